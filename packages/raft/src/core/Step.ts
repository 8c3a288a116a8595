/**
 * What a member does with a message (Raft paper, figure 2: rules for all servers).
 *
 * Invariants
 * - A newer term is entered, except by what must not raise it: pre-votes, and votes asked for while a leader is heard.
 * - A message of an older term changes nothing; its sender learns the newer one where it may not know it.
 * - A message that is not whole changes nothing.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { advanceCommit } from "./Commit.js"
import { campaign, handleVoteReply, handleVoteRequest, hearsLeader, refuseVote } from "./Election.js"
import { askTransfer } from "./Leadership.js"
import type { RaftState } from "./RaftState.js"
import { violated } from "./RaftViolation.js"
import { answerReads, handleReadRequest } from "./ReadIndex.js"
import { handleAppendReply, handleAppendRequest, refuseOldLeader } from "./Replication.js"
import { becomeFollower } from "./Roles.js"
import { handleSnapshotReply, handleSnapshotRequest } from "./SnapshotTransfer.js"

export const step = (raft: RaftState, message: RaftMessage): void => {
  if (message.to !== raft.nodeId || message.from === raft.nodeId || !isWhole(message)) return
  if (message.term > raft.term && !meetsNewerTerm(raft, message)) return
  if (message.term < raft.term) return meetsOlderTerm(raft, message)
  switch (message._tag) {
    case "VoteRequest":
      return handleVoteRequest(raft, message)
    case "VoteReply":
      // A pre-vote given for this very term is of an earlier attempt.
      return message.preVote && message.granted ? undefined : handleVoteReply(raft, message)
    case "AppendRequest":
      follow(raft, message.from)
      return handleAppendRequest(raft, message)
    case "SnapshotRequest":
      follow(raft, message.from)
      return handleSnapshotRequest(raft, message)
    case "AppendReply":
    case "SnapshotReply":
      return handleFollower(raft, message)
    case "TimeoutNow":
      return raft.role === "follower" ? campaign(raft, true) : undefined
    case "ReadIndexRequest":
      return handleReadRequest(raft, message.from, message.requestId)
    case "ReadIndexReply":
      raft.readAnswers.push({ requestId: message.requestId, index: message.index })
  }
}

/** Entries follow each other, their terms do not fall nor pass that of the message. */
const isWhole = (message: RaftMessage): boolean => {
  if (message.from <= 0) return false
  if (message._tag === "SnapshotRequest") return message.chunk >= 0 && message.chunk < message.snapshot.chunks
  if (message._tag !== "AppendRequest") return true
  let { previousIndex: index, previousTerm: term } = message
  if (index < 0 || term < 0) return false
  for (const entry of message.entries) {
    if (entry.index !== ++index || entry.term < term) return false
    term = entry.term
  }
  return term <= message.term
}

/** Whether the message is of further interest; then it is treated as one of this member's term. */
const meetsNewerTerm = (raft: RaftState, message: RaftMessage): boolean => {
  if (message._tag === "VoteRequest") {
    if (!message.transfer && (hearsLeader(raft) || raft.withholdVotesTicks > 0)) return false
    if (message.preVote) {
      handleVoteRequest(raft, message)
      return false
    }
  }
  if (message._tag === "VoteReply" && message.preVote && message.granted) {
    if (message.term === raft.term + 1) handleVoteReply(raft, message)
    return false
  }
  const leads = message._tag === "AppendRequest" || message._tag === "SnapshotRequest"
  becomeFollower(raft, message.term, leads ? message.from : 0)
  return true
}

const meetsOlderTerm = (raft: RaftState, message: RaftMessage): void => {
  if (message._tag === "VoteRequest") refuseVote(raft, message)
  else if (message._tag === "AppendRequest" || message._tag === "SnapshotRequest") refuseOldLeader(raft, message.from)
}

const follow = (raft: RaftState, leaderId: number): void => {
  if (raft.isLeader || (raft.leaderId !== 0 && raft.leaderId !== leaderId)) {
    violated(`nodes ${raft.leaderId} and ${leaderId} both lead in term ${raft.term}`)
  }
  if (raft.role !== "follower" || raft.leaderId === 0) becomeFollower(raft, raft.term, leaderId)
  raft.electionElapsed = 0
}

const handleFollower = (
  raft: RaftState,
  reply: Extract<RaftMessage, { readonly _tag: "AppendReply" | "SnapshotReply" }>
): void => {
  const progress = raft.progressByNode.get(reply.from)
  if (!raft.isLeader || progress === undefined) return
  progress.heard()
  const advanced = reply._tag === "AppendReply" ? handleAppendReply(raft, progress, reply) : handleSnapshotReply(progress, reply)
  if (advanced) {
    advanceCommit(raft)
    if (raft.isLeader && raft.transferTo === reply.from) askTransfer(raft)
  }
  answerReads(raft)
}
