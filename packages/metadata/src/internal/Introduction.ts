/**
 * What a node whose store is empty does before it takes part: it asks the others whether they know it.
 *
 * A node that voted and acknowledged, and then lost its disk, would break what Raft rests on if it came back as if nothing had been.
 * So it takes part only when so many others answered that, with itself, they are a majority, and none knew it with another store.
 */
import { InvalidMembership, NodeIdTaken } from "@effectmq/schemas/errors/MetadataError"
import type { StoredRaft } from "@effectmq/raft/RaftStore"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import type { ClusterPeersService } from "../ClusterPeers.js"

export interface IntroductionParts {
  readonly nodeId: number
  readonly storeId: string
  readonly others: ReadonlyArray<Member>
  /** This node is to be one of the first members, and does not wait to be added. */
  readonly isFirst: boolean
  /** How many of them must answer. */
  readonly answersMin: number
  readonly peers: ClusterPeersService
}

export type IntroductionError = NodeIdTaken | InvalidMembership

const askMsMax = 1_000
const againMs = 200
const tellMs = 5_000

export const isEmpty = ({ hardState, snapshot, entries }: StoredRaft): boolean =>
  snapshot === undefined && entries.length === 0 && hardState.term === 0

const ask = ({ nodeId, storeId, isFirst, peers }: IntroductionParts, other: Member): Effect.Effect<boolean, IntroductionError> =>
  peers
    .at(other)
    .identify({ nodeId })
    .pipe(
      Effect.timeoutOption(askMsMax),
      Effect.matchEffect({
        onFailure: () => Effect.succeed(false),
        onSuccess: (found): Effect.Effect<boolean, IntroductionError> => {
          if (found._tag === "None") return Effect.succeed(false)
          const { knownStoreId, nodeId: answering, clusterId, memberIds } = found.value
          if (knownStoreId !== undefined && knownStoreId !== storeId) {
            return Effect.fail(new NodeIdTaken({ nodeId, storeId: knownStoreId }))
          }
          if (isFirst && clusterId !== undefined && !memberIds.includes(nodeId)) {
            const reason = `node ${answering} is of a cluster that this node is not in: start this one with cluster.join, and add it there`
            return Effect.fail(new InvalidMembership({ nodeId, reason }))
          }
          if (answering === other.nodeId) return Effect.succeed(true)
          const message = `at ${other.address}, where node ${other.nodeId} should be, node ${answering} answers`
          return Effect.as(Effect.logError(`${message}: the lists of the cluster's nodes differ`), false)
        }
      })
    )

export const introduce = (parts: IntroductionParts): Effect.Effect<void, IntroductionError> =>
  Effect.gen(function* () {
    const { others, answersMin } = parts
    const answered = new Set<number>()
    for (let waitedMs = 0; answered.size < answersMin; waitedMs += againMs) {
      const asked = others.filter(({ nodeId }) => !answered.has(nodeId))
      const answers = yield* Effect.forEach(asked, (other) => ask(parts, other), { concurrency: "unbounded" })
      for (const [at, answer] of answers.entries()) if (answer) answered.add(asked[at]?.nodeId as number)
      if (answered.size >= answersMin) return
      if (waitedMs % tellMs === 0 && waitedMs > 0) {
        const missing = others.filter(({ nodeId }) => !answered.has(nodeId))
        const names = missing.map(({ nodeId, address }) => `${nodeId} at ${address}`).join(", ")
        yield* Effect.logInfo(`waiting for other nodes of the cluster: ${names}`)
      }
      yield* Effect.sleep(againMs)
    }
  })
