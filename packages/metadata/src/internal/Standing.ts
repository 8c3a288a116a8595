/**
 * What a member does about its place in the cluster (internal/Place): it says when it was taken out or in, and asks others what its own log
 * cannot tell.
 *
 * A member that was taken out while it was cut off is told by nobody: the others speak to members alone. So a member that hears of no
 * leader for a while asks those it knows who takes part. One that has no log yet cannot answer whoever sends it one, unless it was
 * told of him: it asks its contacts for the others, and then those for the ones that came later.
 *
 * Invariant: it gives up its place only where a later membership that is committed is without it, and no other that is as late has it.
 */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { Identify } from "@effectmq/schemas/rpc/MetadataRpcs"
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ClusterPeersService } from "../ClusterPeers.js"
import { clusterOf, isMember, type Place } from "./Place.js"
import { uptimeMs } from "./uptime.js"

export interface StandingParts {
  readonly nodeId: number
  readonly raft: RaftNodeService
  readonly peers: ClusterPeersService
  /** Whom it was told of. */
  readonly contacts: ReadonlyArray<Member>
  /** undefined where this node does not know it. */
  readonly clusterId: () => string | undefined
  /** Where the others reach this node; undefined where nobody does. */
  readonly address: string | undefined
  readonly place: Place
  /** What to do when it was taken in again. */
  readonly returned: Effect.Effect<void>
  /** Called while it has no log, with what has to happen; undefined once it has one. */
  readonly waitsFor: (what: string | undefined) => void
}

type Identity = Rpc.Success<typeof Identify>

/** The one that is asked asks all others. */
const statusMsMax = 3_000
/** Without a leader for so many looks in a row. */
const leaderlessLooks = 3
/** Until it is said that no contact knows a leader, and until that is said again. */
const tellAfterMs = 5_000
const tellAgainMs = 30_000

export const namesOf = (members: ReadonlyArray<Member>): string =>
  members.map(({ nodeId, address }) => `${nodeId} at ${address}`).join(", ")

/** For a node that joins and was told of nodes that are not there. */
export const namedAnew =
  "if these were taken out, start this node again with cluster.nodes naming nodes that are in the cluster now"

/** Where the membership that a node knows is committed and not on its way to another: the index of its entry. */
export const settledMembership = (status: RaftStatus): { readonly membershipIndex?: number } => {
  const { membership, membershipIndex, commitIndex } = status
  return membershipIndex <= commitIndex && membership.outgoingVoters.length === 0 ? { membershipIndex } : {}
}

const ask = ({ nodeId, peers }: StandingParts, other: Member, askMsMax: number): Effect.Effect<Identity | undefined> =>
  Effect.map(Effect.option(Effect.timeout(peers.at(other).identify({ nodeId }), askMsMax)), (found) =>
    found._tag === "Some" ? found.value : undefined
  )

interface Found {
  /** Why this node is no member any more; undefined where nobody says so. */
  readonly reason?: string
  /** Whether one of its cluster hears of a leader. */
  readonly isLed: boolean
}

const askOthers = (parts: StandingParts, askMsMax: number): Effect.Effect<Found> =>
  Effect.gen(function* () {
    const { nodeId, raft } = parts
    const { membership } = raft.status()
    const others = membership.members.filter((member) => member.nodeId !== nodeId)
    const found = yield* Effect.forEach(others, (other) => ask(parts, other, askMsMax), { concurrency: "unbounded" })
    const answers = found.filter((answer) => answer !== undefined)
    const own = parts.clusterId()
    const strangers = answers.filter(({ clusterId }) => own !== undefined && clusterId !== undefined && clusterId !== own)
    for (const stranger of strangers) {
      const where = others[found.indexOf(stranger)]?.address
      yield* Effect.logError(`at ${where} node ${stranger.nodeId} is of another cluster than this node`)
    }
    let newest: { readonly index: number; readonly answer: Identity } | undefined
    for (const answer of answers) {
      const { membershipIndex: index = 0, memberIds } = answer
      if (strangers.includes(answer) || index === 0 || index < (newest?.index ?? 0)) continue
      if (index > (newest?.index ?? 0) || memberIds.includes(nodeId)) newest = { index, answer }
    }
    const isLed = answers.some((answer) => answer.isConfirmed === true && !strangers.includes(answer))
    // Its own log may have grown meanwhile.
    const isNews = newest !== undefined && newest.index > raft.status().membershipIndex
    if (newest === undefined || !isNews || newest.answer.memberIds.includes(nodeId)) return { isLed }
    const { nodeId: said, memberIds } = newest.answer
    const reason =
      `it was taken out of ${clusterOf(memberIds, newest.index)}, as node ${said} says: ` +
      "stop it, or let it join under a new number with an empty data directory"
    return { isLed, reason }
  })

/** Of a node without a log: who takes part, as the first says that knows anybody, best one that hears a leader. */
const membersBy = ({ nodeId, peers }: StandingParts, asked: ReadonlyArray<Member>) =>
  Effect.gen(function* () {
    let told: { readonly members: ReadonlyArray<Member>; readonly isStale: boolean } = { members: [], isStale: true }
    for (const one of asked) {
      const found = yield* Effect.option(Effect.timeout(peers.at(one).status, statusMsMax))
      if (found._tag === "None") continue
      const members = found.value.nodes.flatMap(({ nodeId: id, address, part }): ReadonlyArray<Member> => {
        const isOther = address !== undefined && part !== "observer" && id !== nodeId
        return isOther ? [{ nodeId: id, address }] : []
      })
      if (members.length === 0) continue
      if (!found.value.stale) return { members, isStale: false }
      if (told.members.length === 0) told = { members, isStale: true }
    }
    return told
  })

/** What a node without a log does with each look, until the leader sends it one. */
const waiting = (parts: StandingParts) => {
  const { nodeId, address, contacts, raft, waitsFor } = parts
  let known: ReadonlyArray<Member> = []
  let unheardSinceMs: number | undefined
  let toldAtMs = Number.NEGATIVE_INFINITY
  return Effect.gen(function* () {
    const asked = [...known, ...contacts.filter((contact) => !known.some((one) => one.nodeId === contact.nodeId))]
    const { members, isStale } = yield* membersBy(parts, asked)
    if (members.length > 0) {
      known = members
      raft.setContacts(members)
    }
    const now = yield* uptimeMs
    unheardSinceMs = isStale ? (unheardSinceMs ?? now) : undefined
    if (unheardSinceMs === undefined || contacts.length === 0) {
      return waitsFor(`effectmq cluster add ${nodeId} ${address ?? "HOST:PORT"} on a node of the cluster`)
    }
    const what = `a node that knows who leads its cluster: none of ${namesOf(asked)} says so; ${namedAnew}`
    waitsFor(what)
    if (now - unheardSinceMs < tellAfterMs || now - toldAtMs < tellAgainMs) return
    toldAtMs = now
    yield* Effect.logWarning(`this node is not in a cluster yet and waits for ${what}`)
  })
}

export const standing = (parts: StandingParts, lookMs: number): Effect.Effect<never, never, Scope.Scope> => {
  const { nodeId, raft, place } = parts
  // One that was taken out while it was down asks at once, before it serves.
  let leaderless = leaderlessLooks - 1
  let isOut = false
  let returns = 0
  const wait = waiting(parts)
  const look = Effect.gen(function* () {
    const status = raft.status()
    const isIn = isMember(status.membership, nodeId)
    if (status.membership.members.length === 0) yield* wait
    else parts.waitsFor(undefined)
    const wasOut = isOut
    place.look(status)
    isOut = place.reason !== undefined
    if (!wasOut && isOut) yield* Effect.logError(`this node takes no part in the metadata any more: ${place.reason}`)
    if (place.returns > returns) {
      returns = place.returns
      yield* Effect.logInfo("this node is in the cluster again")
      yield* Effect.forkScoped(parts.returned)
    }
    leaderless = isIn && status.leaderId === 0 && status.fenced === undefined ? leaderless + 1 : 0
    if (status.leaderId !== 0) place.mayBeOut = false
    if (leaderless < leaderlessLooks) return
    const { isLed, reason } = yield* askOthers(parts, lookMs)
    const isLeaderless = raft.status().leaderId === 0
    place.mayBeOut = isLed && isLeaderless
    if (reason === undefined || !isLeaderless) return
    place.wasToldWhy(reason)
    raft.fence(reason)
  })
  return Effect.forever(Effect.zipLeft(look, Effect.sleep(lookMs)))
}
