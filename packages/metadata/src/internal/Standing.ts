/**
 * A member that was taken out while it was cut off is told by nobody: the others speak to members alone. So a member that hears of no
 * leader for a while asks those it knows who takes part. One that has no log yet cannot answer whoever sends it one, unless it was
 * told of him: it asks its contacts for the others.
 *
 * Invariant: it gives up its place only where a later membership that is committed is without it, and no other that is as late has it.
 */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { Identify } from "@effectmq/schemas/rpc/MetadataRpcs"
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import type { ClusterPeersService } from "../ClusterPeers.js"

export interface StandingParts {
  readonly nodeId: number
  readonly raft: RaftNodeService
  readonly peers: ClusterPeersService
  /** Whom it was told of. */
  readonly contacts: ReadonlyArray<Member>
  /** undefined where this node does not know it. */
  readonly clusterId: () => string | undefined
}

type Identity = Rpc.Success<typeof Identify>

/** The one that is asked asks all others. */
const statusMsMax = 3_000
/** Without a leader for so many looks in a row. */
const leaderlessLooks = 3

const isMember = ({ membership }: RaftStatus, nodeId: number): boolean =>
  membership.members.some((member) => member.nodeId === nodeId)

/** Of a node whose log says who the members are, and does not name it: it was taken out, or is not taken in yet. */
export const outside = (status: RaftStatus): string | undefined => {
  const { nodeId, membership, membershipIndex } = status
  if (membership.members.length === 0 || isMember(status, nodeId)) return undefined
  const memberIds = membership.members.map((member) => member.nodeId).join(", ")
  return `is no member of the cluster, whose members are ${memberIds} since entry ${membershipIndex}: stop it if it was taken out`
}

/** Where the membership that a node knows is committed and not on its way to another: the index of its entry. */
export const settledMembership = (status: RaftStatus): { readonly membershipIndex?: number } => {
  const { membership, membershipIndex, commitIndex } = status
  return membershipIndex <= commitIndex && membership.outgoingVoters.length === 0 ? { membershipIndex } : {}
}

const ask = ({ nodeId, peers }: StandingParts, other: Member, askMsMax: number): Effect.Effect<Identity | undefined> =>
  Effect.map(Effect.option(Effect.timeout(peers.at(other).identify({ nodeId }), askMsMax)), (found) =>
    found._tag === "Some" ? found.value : undefined
  )

/** Why this node is no member any more; undefined where nobody says so. */
const goneBecause = (parts: StandingParts, askMsMax: number): Effect.Effect<string | undefined> =>
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
    // Its own log may have grown meanwhile.
    if (newest === undefined || newest.index <= raft.status().membershipIndex || newest.answer.memberIds.includes(nodeId)) return
    const { nodeId: said, memberIds } = newest.answer
    return (
      `it was taken out of the cluster, whose members are ${memberIds.join(", ")} since entry ${newest.index}, as node ${said} says: ` +
      "stop it, or let it join under a new number with an empty data directory"
    )
  })

/** Who takes part, as the first contact says that knows anybody; empty where none does. */
const membersBy = ({ nodeId, contacts, peers }: StandingParts): Effect.Effect<ReadonlyArray<Member>> =>
  Effect.gen(function* () {
    for (const contact of contacts) {
      const found = yield* Effect.option(Effect.timeout(peers.at(contact).status, statusMsMax))
      const nodes = found._tag === "Some" ? found.value.nodes : []
      const members = nodes.flatMap(({ nodeId: id, address, part }): ReadonlyArray<Member> => {
        const isOther = address !== undefined && part !== "observer" && id !== nodeId
        return isOther ? [{ nodeId: id, address }] : []
      })
      if (members.length > 0) return members
    }
    return []
  })

export const standing = (parts: StandingParts, lookMs: number): Effect.Effect<never> => {
  const { nodeId, raft } = parts
  let leaderless = 0
  let wasMember = false
  const look = Effect.gen(function* () {
    const status = raft.status()
    const isIn = isMember(status, nodeId)
    if (status.membership.members.length === 0) {
      const members = yield* membersBy(parts)
      if (members.length > 0) raft.setContacts(members)
    }
    if (wasMember && !isIn) yield* Effect.logWarning("this node was taken out of the cluster and takes part no more: stop it")
    wasMember = isIn
    leaderless = isIn && status.leaderId === 0 && status.fenced === undefined ? leaderless + 1 : 0
    if (leaderless < leaderlessLooks) return
    const reason = yield* goneBecause(parts, lookMs)
    if (reason !== undefined && raft.status().leaderId === 0) raft.fence(reason)
  })
  return Effect.forever(Effect.zipRight(Effect.sleep(lookMs), look))
}
