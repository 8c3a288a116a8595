/**
 * What a change makes of a membership. A change of who votes goes through a joint membership, which is left as soon as it is
 * committed; a change of learners or addresses takes one entry, since it changes no majority (Raft dissertation, 4.2 and 4.3).
 *
 * Invariant: lists are sorted, `members` are exactly those that the lists name.
 */
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import type { MembershipChange } from "../RaftNode.js"
import { isVoter } from "./Quorum.js"

/** More voters make every commit slower and nothing safer. */
export const votersMax = 9
export const learnersMax = 16

export type PlannedChange = { readonly next: Membership } | { readonly problem: string }

const sorted = (nodeIds: ReadonlyArray<number>): ReadonlyArray<number> => [...nodeIds].sort((a, b) => a - b)
const without = (nodeIds: ReadonlyArray<number>, nodeId: number): ReadonlyArray<number> => nodeIds.filter((one) => one !== nodeId)
const byNodeId = (members: ReadonlyArray<Member>): ReadonlyArray<Member> => [...members].sort((a, b) => a.nodeId - b.nodeId)

/** The first membership of a group: all vote. */
export const firstMembership = (members: ReadonlyArray<Member>): Membership => ({
  voters: sorted(members.map((member) => member.nodeId)),
  outgoingVoters: [],
  learners: [],
  members: byNodeId(members)
})

/** Joint where voters change. `membership` must not be joint. */
export const planChange = (membership: Membership, change: MembershipChange): PlannedChange => {
  const { voters, learners, members } = membership
  switch (change._tag) {
    case "AddLearner": {
      const { nodeId } = change.member
      if (!Number.isSafeInteger(nodeId) || nodeId <= 0) return { problem: "a node id is a positive whole number" }
      if (members.some((member) => member.nodeId === nodeId)) return { problem: `node ${nodeId} is a member already` }
      if (learners.length >= learnersMax) return { problem: `there are ${learnersMax} learners already` }
      return { next: { ...membership, learners: sorted([...learners, nodeId]), members: byNodeId([...members, change.member]) } }
    }
    case "Promote": {
      if (voters.includes(change.nodeId)) return { problem: `node ${change.nodeId} has a vote already` }
      if (!learners.includes(change.nodeId)) return { problem: `node ${change.nodeId} is not a learner, add it first` }
      if (voters.length >= votersMax) return { problem: `there are ${votersMax} voters already` }
      const next = sorted([...voters, change.nodeId])
      return { next: { ...membership, voters: next, outgoingVoters: voters, learners: without(learners, change.nodeId) } }
    }
    case "Remove": {
      if (learners.includes(change.nodeId)) {
        const rest = members.filter((member) => member.nodeId !== change.nodeId)
        return { next: { ...membership, learners: without(learners, change.nodeId), members: rest } }
      }
      if (!voters.includes(change.nodeId)) return { problem: `node ${change.nodeId} is not a member` }
      if (voters.length === 1) return { problem: `node ${change.nodeId} is the only voter` }
      return { next: { ...membership, voters: without(voters, change.nodeId), outgoingVoters: voters } }
    }
    case "SetAddress": {
      const { nodeId } = change.member
      if (!members.some((member) => member.nodeId === nodeId)) return { problem: `node ${nodeId} is not a member` }
      return { next: { ...membership, members: members.map((member) => (member.nodeId === nodeId ? change.member : member)) } }
    }
  }
}

/** The membership behind a joint one. */
export const leaveJoint = (membership: Membership): Membership => {
  const final = { ...membership, outgoingVoters: [] }
  const stays = (nodeId: number) => isVoter(final, nodeId) || final.learners.includes(nodeId)
  return { ...final, members: membership.members.filter((member) => stays(member.nodeId)) }
}
