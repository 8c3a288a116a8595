/**
 * What a leader takes into its log: commands, and changes of the membership one at a time.
 *
 * Invariants
 * - What is not committed is bounded in bytes; one command alone is always taken.
 * - The membership changes only when the one in force is committed and not joint, and an entry of this term is committed: otherwise
 *   a change of an earlier term could come back beside this one, with majorities that share nobody (Ongaro on raft-dev, 2015).
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { MembershipChange } from "../RaftNode.js"
import { entryBytes } from "./Log.js"
import { planChange } from "./MembershipChange.js"
import { isJoint } from "./Quorum.js"
import type { RaftState } from "./RaftState.js"
import type { Refusal } from "./Ready.js"
import { appendOwn } from "./Roles.js"

const refuse = (raft: RaftState, reason: Refusal["reason"], message: string): Refusal => ({
  reason,
  message,
  leaderId: raft.leaderId
})

/** What forbids anything new; undefined where nothing does. */
const obstacle = (raft: RaftState): Refusal | undefined => {
  if (!raft.isLeader) return refuse(raft, "not-leader", "this node does not lead")
  if (raft.transferTo !== 0) return refuse(raft, "busy", `leadership is on its way to node ${raft.transferTo}`)
  return undefined
}

export const proposeCommand = (raft: RaftState, data: Uint8Array): number | Refusal => {
  const refused = obstacle(raft)
  if (refused !== undefined) return refused
  const { options, log } = raft
  if (data.length > options.commandBytesMax) {
    return refuse(raft, "invalid", `a command of ${data.length} bytes is larger than ${options.commandBytesMax}`)
  }
  const entry: Entry = { kind: "command", index: log.lastIndex + 1, term: raft.term, data }
  if (raft.uncommittedBytes > 0 && raft.uncommittedBytes + entryBytes(entry) > options.uncommittedBytesMax) {
    return refuse(raft, "overloaded", `${raft.uncommittedBytes} bytes wait already to be committed`)
  }
  appendOwn(raft, entry)
  return entry.index
}

export const proposeChange = (raft: RaftState, change: MembershipChange): number | Refusal => {
  const refused = obstacle(raft)
  if (refused !== undefined) return refused
  const { log, memberships } = raft
  if (!raft.committedInTerm) return refuse(raft, "busy", "no entry of this term is committed yet")
  if (memberships.currentIndex > log.commitIndex || isJoint(memberships.current)) {
    return refuse(raft, "busy", "another change of the membership is under way")
  }
  const planned = planChange(memberships.current, change)
  if ("problem" in planned) return refuse(raft, "invalid", planned.problem)
  if (change._tag === "Promote" && !hasCaughtUp(raft, change.nodeId)) {
    return refuse(raft, "invalid", `node ${change.nodeId} has not caught up yet`)
  }
  const index = log.lastIndex + 1
  appendOwn(raft, { kind: "membership", index, term: raft.term, membership: planned.next })
  return index
}

/** A voter that is far behind would hold up every commit (dissertation, 4.2.1). */
const hasCaughtUp = (raft: RaftState, nodeId: number): boolean => {
  const progress = raft.progressByNode.get(nodeId)
  if (progress === undefined || progress.state !== "replicate") return false
  if (progress.silentTicks >= raft.options.electionTicks) return false
  return progress.matchIndex + raft.options.promoteLagEntriesMax >= raft.log.lastIndex
}
