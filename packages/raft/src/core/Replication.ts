/**
 * How entries get from a leader to its followers (Raft paper, 5.3; pipelining: dissertation, 10.2.1).
 *
 * Invariants
 * - A follower's log is changed only behind a place where it is the same as the leader's, and never where it is committed.
 * - An acceptance says that the follower's log is the leader's up to `index`; it is sent when that much is durable.
 * - What waits unanswered at each follower is bounded (Progress). What is proposed in one turn goes out in one message.
 */
import type { AppendReply, AppendRequest } from "@effectmq/schemas/raft/RaftMessage"
import type { Progress } from "./Progress.js"
import type { RaftState } from "./RaftState.js"
import { violated } from "./RaftViolation.js"
import { beginSending } from "./SnapshotTransfer.js"

const sendAppend = (raft: RaftState, progress: Progress, previousIndex: number, lastIndex: number, commitIndex: number): void => {
  const { log, reads } = raft
  progress.sentReadRound = reads.round
  raft.send({
    _tag: "AppendRequest",
    from: raft.nodeId,
    to: progress.nodeId,
    term: raft.term,
    previousIndex,
    previousTerm: log.termAt(previousIndex),
    entries: lastIndex > previousIndex ? log.between(previousIndex + 1, lastIndex) : [],
    commitIndex,
    readRound: reads.round
  })
}

/**
 * Behind what the follower is known to have, so that it is never refused; where entries have been on their way since the last
 * heartbeat without an answer, behind them instead: then a refusal tells that they were lost.
 */
const sendHeartbeat = (raft: RaftState, progress: Progress): void => {
  const { log } = raft
  const stalled = progress.inflight.count > 0 && progress.matchIndex === progress.matchAtHeartbeat
  progress.matchAtHeartbeat = progress.matchIndex
  if (stalled && log.termAt(progress.nextIndex - 1) >= 0)
    return sendAppend(raft, progress, progress.nextIndex - 1, 0, log.commitIndex)
  const known = log.termAt(progress.matchIndex) >= 0 ? progress.matchIndex : 0
  if (known > 0) return sendAppend(raft, progress, known, 0, Math.min(known, log.commitIndex))
  progress.sentReadRound = raft.reads.round
  raft.send({
    _tag: "AppendRequest",
    from: raft.nodeId,
    to: progress.nodeId,
    term: raft.term,
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    commitIndex: 0,
    readRound: raft.reads.round
  })
}

/** To everybody; also lets those in probe state be tried again. */
export const heartbeat = (raft: RaftState): void => {
  raft.heartbeatElapsed = 0
  for (const progress of raft.progressByNode.values()) {
    if (progress.state === "probe") progress.probeSent = false
    if (progress.state !== "probe" || raft.log.termAt(progress.nextIndex - 1) < 0) sendHeartbeat(raft, progress)
  }
}

/** What the follower lacks, as far as it may be sent now. */
const replicateTo = (raft: RaftState, progress: Progress): void => {
  const { log, options } = raft
  if (progress.state === "snapshot" || (progress.state === "probe" && progress.probeSent)) return
  if (log.termAt(progress.nextIndex - 1) < 0) return beginSending(raft, progress)
  if (progress.state === "probe") {
    // Who is silent gets no entries until it answers: it may be gone.
    const silent = progress.silentTicks >= options.electionTicks
    const end = silent ? 0 : log.endOf(progress.nextIndex, log.lastIndex, options.appendBytesMax)
    progress.probeSent = true
    progress.sentCommit = log.commitIndex
    return sendAppend(raft, progress, progress.nextIndex - 1, end, log.commitIndex)
  }
  while (progress.nextIndex <= log.lastIndex && !progress.inflight.isFull) {
    const end = log.endOf(progress.nextIndex, log.lastIndex, options.appendBytesMax)
    progress.sentCommit = log.commitIndex
    sendAppend(raft, progress, progress.nextIndex - 1, end, log.commitIndex)
    progress.inflight.add(end, log.bytesBetween(progress.nextIndex, end))
    progress.nextIndex = end + 1
  }
  if (progress.sentCommit < log.commitIndex && !progress.inflight.isFull) {
    progress.sentCommit = log.commitIndex
    sendAppend(raft, progress, progress.nextIndex - 1, 0, log.commitIndex)
  }
}

/** All that a leader has to send for what happened since the last time. */
export const replicate = (raft: RaftState): void => {
  for (const progress of raft.progressByNode.values()) {
    replicateTo(raft, progress)
    if (progress.sentReadRound < raft.reads.round) sendHeartbeat(raft, progress)
  }
}

const answer = (raft: RaftState, request: AppendRequest, accepted: boolean, index: number, hintIndex = 0, hintTerm = 0): void =>
  raft.sendAfterWrite({
    _tag: "AppendReply",
    from: raft.nodeId,
    to: request.from,
    term: raft.term,
    accepted,
    index,
    hintIndex,
    hintTerm,
    readRound: request.readRound
  })

/** The sender's term is over: it learns so, and nothing else. */
export const refuseOldLeader = (raft: RaftState, to: number): void =>
  raft.sendAfterWrite({
    _tag: "AppendReply",
    from: raft.nodeId,
    to,
    term: raft.term,
    accepted: false,
    index: 0,
    hintIndex: 0,
    hintTerm: 0,
    readRound: 0
  })

const otherCommitted = (request: AppendRequest, index: number): never =>
  violated(`leader ${request.from} has another entry ${index} than the one that is committed`)

/** From the leader of this term, on a follower. */
export const handleAppendRequest = (raft: RaftState, request: AppendRequest): void => {
  const { log, memberships } = raft
  if (raft.installing !== undefined) return
  const { previousIndex, previousTerm, entries } = request
  const lastIndex = previousIndex + entries.length
  const termHere = log.termAt(previousIndex)
  if (termHere !== previousTerm && previousIndex <= log.commitIndex && termHere >= 0) otherCommitted(request, previousIndex)
  if (termHere !== previousTerm && previousIndex > log.commitIndex) {
    // The last place where the logs may be the same, by what both terms say (paper, end of 5.3).
    const hintIndex = log.lastWithTermUpTo(Math.min(previousIndex, log.lastIndex), previousTerm)
    return answer(raft, request, false, previousIndex, hintIndex, log.termAt(hintIndex))
  }
  for (const entry of entries) {
    const known = log.termAt(entry.index)
    if (known === entry.term) continue
    if (entry.index <= log.commitIndex) {
      if (known >= 0) otherCommitted(request, entry.index)
      continue
    }
    if (known >= 0) {
      log.truncateFrom(entry.index)
      memberships.truncatedFrom(entry.index)
    }
    log.append(entry)
    memberships.appended(entry)
  }
  log.commitIndex = Math.max(log.commitIndex, Math.min(request.commitIndex, lastIndex))
  // What was on its way from an earlier leader is of no use any more, and must not hold up snapshots of one's own.
  if (raft.receiving !== undefined && raft.receiving.snapshot.index <= log.commitIndex) raft.receiving = undefined
  answer(raft, request, true, Math.max(lastIndex, log.commitIndex))
}

/** Whether the follower is known to have more than before. */
export const handleAppendReply = (raft: RaftState, progress: Progress, reply: AppendReply): boolean => {
  const { log } = raft
  if (reply.readRound > progress.readRound) progress.readRound = reply.readRound
  if (!reply.accepted) {
    // Nobody refuses to begin at 0.
    if (reply.index > 0) progress.refused(reply.index, log.lastWithTermUpTo(reply.hintIndex, reply.hintTerm))
    return false
  }
  if (reply.index > log.lastIndex) {
    violated(
      `node ${reply.from} has entry ${reply.index} of this leader, whose log ends at ${log.lastIndex}: it lost what it wrote`
    )
  }
  const before = progress.matchIndex
  progress.accepted(reply.index)
  return progress.matchIndex > before
}
