/**
 * Linearizable reads: an index to which a member must have applied before it answers (Raft dissertation, 6.4; leases: 6.4.1).
 *
 * Invariants
 * - The index is a commit index of a leader that a majority confirmed as such after the request came, or that holds a lease.
 * - A leader says none before an entry of its own term is committed: it does not know before what is.
 * - A lease ends before any follower that granted it may vote, by the margin; it never outlives an attempt to hand leadership on.
 */
import { hasMajority } from "./Quorum.js"
import type { RaftState } from "./RaftState.js"

const confirms = (raft: RaftState, round: number): boolean =>
  hasMajority(
    raft.memberships.current,
    (nodeId) => nodeId === raft.nodeId || (raft.progressByNode.get(nodeId)?.readRound ?? -1) >= round
  )

const answer = (raft: RaftState, to: number, requestId: number, index: number): void => {
  if (to === raft.nodeId) raft.readAnswers.push({ requestId, index })
  else raft.send({ _tag: "ReadIndexReply", from: raft.nodeId, to, term: raft.term, requestId, index })
}

/** Of this member itself. */
export const requestRead = (raft: RaftState, requestId: number): void => {
  if (raft.isLeader) handleReadRequest(raft, raft.nodeId, requestId)
  else if (raft.leaderId === 0) raft.readAnswers.push({ requestId, index: -1 })
  else raft.send({ _tag: "ReadIndexRequest", from: raft.nodeId, to: raft.leaderId, term: raft.term, requestId })
}

export const handleReadRequest = (raft: RaftState, from: number, requestId: number): void => {
  const { reads, options } = raft
  if (!raft.isLeader || reads.count >= options.readsWaitingMax) return answer(raft, from, requestId, -1)
  if (raft.committedInTerm && holdsLease(raft)) return answer(raft, from, requestId, raft.log.commitIndex)
  reads.wait({ from, requestId }, raft.committedInTerm)
}

/** Those whose round a majority has answered. */
export const answerReads = (raft: RaftState): void => {
  for (const { index, requests } of raft.reads.takeConfirmed((round) => confirms(raft, round))) {
    for (const { from, requestId } of requests) answer(raft, from, requestId, index)
  }
}

/** With each heartbeat, where leases are in use. */
export const beginLeaseRound = (raft: RaftState): void => {
  if (!raft.options.leaseReads) return
  raft.reads.round++
  const { sentAt } = raft.reads
  sentAt.push({ round: raft.reads.round, tick: raft.now })
  while (raft.now - (sentAt[0] as (typeof sentAt)[number]).tick > raft.options.electionTicks) sentAt.shift()
}

/** No other leader can have been elected: a majority heard this one lately enough to give no vote yet. */
const holdsLease = (raft: RaftState): boolean => {
  const { options, reads, now } = raft
  if (!options.leaseReads || raft.transferAsked) return false
  const latest = reads.sentAt.findLastIndex((sent) => confirms(raft, sent.round))
  if (latest < 0) return false
  reads.sentAt.splice(0, latest)
  const sent = reads.sentAt[0] as (typeof reads.sentAt)[number]
  return now - sent.tick < options.electionTicks - options.leaseMarginTicks
}
