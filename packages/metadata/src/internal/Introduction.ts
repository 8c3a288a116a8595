/**
 * What a node whose store is empty does before it takes part: it asks the others whether they know it.
 *
 * A node that voted and acknowledged, and then lost its disk, would break what Raft rests on if it came back as if nothing had been:
 * with it a majority could be found again that does not have what was acknowledged.
 *
 * Invariants
 * - It takes part in a cluster that is there only when the leader of that cluster, through whoever answered, does not know its number
 *   with another store.
 * - It begins a cluster only when a majority of the first members, itself not counted, answered that they hold nothing of one: had
 *   anything been acknowledged with the help of this node, one of them would hold it.
 */
import { InvalidMembership, NodeIdTaken } from "@effectmq/schemas/errors/MetadataError"
import type { Identify } from "@effectmq/schemas/rpc/MetadataRpcs"
import { votersMax } from "@effectmq/raft/core/MembershipChange"
import type { StoredRaft } from "@effectmq/raft/RaftStore"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import type { ClusterPeersService } from "../ClusterPeers.js"
import { namedAnew, namesOf } from "./Standing.js"
import { uptimeMs } from "./uptime.js"

export interface IntroductionParts {
  readonly nodeId: number
  readonly storeId: string
  /** Whom to ask. */
  readonly others: ReadonlyArray<Member>
  /** Those of a new cluster, this node among them; empty: it waits to be added to one. */
  readonly initialMembers: ReadonlyArray<Member>
  readonly peers: ClusterPeersService
  /** Called with what has to happen first; undefined once it has. */
  readonly waitsFor: (what: string | undefined) => void
}

export type IntroductionError = NodeIdTaken | InvalidMembership

/** `begins`: there is no cluster yet. `joins`: there is one, which is to send this node its log. */
export type Introduced = "begins" | "joins"

const askMsMax = 1_000
const againMs = 200
const tellAfterMs = 5_000
/** Until a node that joins is told of again: it may have been given the wrong contacts, or old ones. */
const tellAgainMs = 30_000

export const isEmpty = ({ hardState, snapshot, entries }: StoredRaft): boolean =>
  snapshot === undefined && entries.length === 0 && hardState.term === 0

/** What one of them said. `nothing`: it holds nothing of a cluster. `silent`: it cannot be reached, or does not know for sure yet.
 * `out`: it was taken out of the cluster, and does not know who leads. */
type Answer = "nothing" | "cluster" | "silent" | "out"

const judged = (
  { nodeId, storeId, initialMembers }: IntroductionParts,
  other: Member,
  found: Rpc.Success<typeof Identify>
): Effect.Effect<Answer, IntroductionError> => {
  const { knownStoreId, nodeId: answering, clusterId, memberIds, holdsLog, isConfirmed } = found
  if (knownStoreId !== undefined && knownStoreId !== storeId) {
    return Effect.fail(new NodeIdTaken({ nodeId, storeId: knownStoreId }))
  }
  if (initialMembers.length > 0 && clusterId !== undefined && !memberIds.includes(nodeId)) {
    const reason = `node ${answering} is of a cluster that this node is not in: start this one with cluster.join, and add it there`
    return Effect.fail(new InvalidMembership({ nodeId, reason }))
  }
  if (answering !== other.nodeId) {
    const message = `at ${other.address}, where node ${other.nodeId} should be, node ${answering} answers`
    return Effect.as(Effect.logError(`${message}: the lists of the cluster's nodes differ`), "silent")
  }
  if (holdsLog === false) return Effect.succeed("nothing")
  if (clusterId !== undefined && isConfirmed === true) return Effect.succeed("cluster")
  return Effect.succeed(memberIds.length > 0 && !memberIds.includes(answering) ? "out" : "silent")
}

const ask = (parts: IntroductionParts, other: Member): Effect.Effect<Answer, IntroductionError> =>
  parts.peers
    .at(other)
    .identify({ nodeId: parts.nodeId })
    .pipe(
      Effect.timeoutOption(askMsMax),
      Effect.matchEffect({
        onFailure: () => Effect.succeed<Answer>("silent"),
        onSuccess: (found) => (found._tag === "None" ? Effect.succeed<Answer>("silent") : judged(parts, other, found.value))
      })
    )

/** A node alone has nobody to ask. */
const nothingsMin = ({ initialMembers, others }: IntroductionParts): number => {
  if (initialMembers.length === 1) return 0
  return Math.min(others.length, Math.floor(initialMembers.length / 2) + 1)
}

const waitingFor = ({ initialMembers, others }: IntroductionParts, answers: ReadonlyArray<Answer>): string => {
  const named = (answer: Answer) => namesOf(others.filter((_, at) => answers[at] === answer))
  const silent = named("silent")
  if (initialMembers.length > 0) {
    return `other nodes of the cluster (a new cluster begins when most of the others are there): ${silent === "" ? "none has a leader yet" : silent}`
  }
  const out = named("out")
  const found = [
    ...(silent === "" ? [] : [`not there, or without a leader: ${silent}`]),
    ...(out === "" ? [] : [`taken out of the cluster: ${out}`]),
    ...(silent === "" && out === "" ? ["none holds anything of a cluster yet"] : [])
  ]
  return `other nodes of the cluster (its nodes must say whether they know this one): ${found.join("; ")}; ${namedAnew}`
}

export const introduce = (parts: IntroductionParts): Effect.Effect<Introduced, IntroductionError> =>
  Effect.gen(function* () {
    const { others, initialMembers } = parts
    const isFirst = initialMembers.length > 0
    if (initialMembers.length > votersMax) {
      const reason = `a new cluster begins with at most ${votersMax} nodes that vote: add others as learners or observers`
      return yield* Effect.fail(new InvalidMembership({ nodeId: parts.nodeId, reason }))
    }
    if (others.length === 0) return isFirst ? "begins" : "joins"
    const beganAtMs = yield* uptimeMs
    let toldAtMs = beganAtMs
    for (;;) {
      // All of them anew each time: who held nothing a while ago may hold something now.
      const answers = yield* Effect.forEach(others, (other) => ask(parts, other), { concurrency: "unbounded" })
      const nothings = answers.filter((answer) => answer === "nothing").length
      const joins = answers.includes("cluster")
      if (joins || (isFirst && nothings >= nothingsMin(parts))) {
        parts.waitsFor(undefined)
        return joins ? "joins" : "begins"
      }
      const what = waitingFor(parts, answers)
      parts.waitsFor(what)
      const now = yield* uptimeMs
      if (now - toldAtMs >= (isFirst || toldAtMs === beganAtMs ? tellAfterMs : tellAgainMs)) {
        toldAtMs = now
        yield* isFirst ? Effect.logInfo(`waiting for ${what}`) : Effect.logWarning(`waiting for ${what}`)
      }
      yield* Effect.sleep(againMs)
    }
  })
