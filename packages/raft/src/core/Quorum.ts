/**
 * Majorities. While a membership is joint, everything needs a majority of both its halves (Raft dissertation, 4.3).
 *
 * Invariant: any two sets that are a majority of one membership, or of two memberships that follow each other, share a voter.
 */
import type { Membership } from "@effectmq/schemas/raft/Membership"

export const emptyMembership: Membership = { voters: [], outgoingVoters: [], learners: [], members: [] }

export const isJoint = (membership: Membership): boolean => membership.outgoingVoters.length > 0

/** In either half. */
export const isVoter = (membership: Membership, nodeId: number): boolean =>
  membership.voters.includes(nodeId) || membership.outgoingVoters.includes(nodeId)

const majorityOf = (voters: ReadonlyArray<number>, has: (nodeId: number) => boolean): boolean => {
  let count = 0
  for (const nodeId of voters) if (has(nodeId)) count++
  return count > voters.length / 2
}

/** Nobody is a majority of no voters. */
export const hasMajority = (membership: Membership, has: (nodeId: number) => boolean): boolean =>
  majorityOf(membership.voters, has) && (!isJoint(membership) || majorityOf(membership.outgoingVoters, has))

const majorityIndex = (voters: ReadonlyArray<number>, indexOf: (nodeId: number) => number): number => {
  if (voters.length === 0) return 0
  if (voters.length === 1) return indexOf(voters[0] as number)
  const rising = voters.map(indexOf).sort((a, b) => a - b)
  return rising[Math.floor((rising.length - 1) / 2)] as number
}

/** The highest index that a majority has reached. */
export const reachedByMajority = (membership: Membership, indexOf: (nodeId: number) => number): number => {
  const incoming = majorityIndex(membership.voters, indexOf)
  return isJoint(membership) ? Math.min(incoming, majorityIndex(membership.outgoingVoters, indexOf)) : incoming
}

export type VoteOutcome = "won" | "lost" | "open"

/** `lost`: a majority can no longer be reached. */
export const voteOutcome = (membership: Membership, votes: ReadonlyMap<number, boolean>): VoteOutcome => {
  if (hasMajority(membership, (nodeId) => votes.get(nodeId) === true)) return "won"
  return hasMajority(membership, (nodeId) => votes.get(nodeId) !== false) ? "open" : "lost"
}
