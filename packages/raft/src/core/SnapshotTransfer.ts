/**
 * A follower that needs entries which the leader no longer has gets a snapshot, chunk by chunk (Raft paper, 7).
 *
 * Invariants
 * - The follower says which chunk it needs; the leader sends one at a time and again when no answer comes, so a transfer goes on
 *   where it was after a loss.
 * - Chunks of one transfer come from one leader's one snapshot: two members may write the same state differently.
 * - A whole snapshot takes the place of a log that does not reach it; one that the log reaches is not installed.
 */
import type { SnapshotReply, SnapshotRequest } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import type { Progress } from "./Progress.js"
import type { RaftState } from "./RaftState.js"

/** Who did not answer yet may be gone: it gets heartbeats first. */
export const beginSending = (raft: RaftState, progress: Progress): void => {
  if (raft.snapshot === undefined || !progress.heardEver || progress.silentTicks >= raft.options.electionTicks) return
  progress.becomeSnapshot(raft.snapshot)
}

/** Chunks that were not answered go again, to those that are heard. */
export const tickSending = (raft: RaftState, progress: Progress): void => {
  const { sending } = progress
  if (sending === undefined || progress.silentTicks >= raft.options.electionTicks) return
  if (++sending.ticks >= raft.options.electionTicks) sending.due = true
}

export const sendChunks = (raft: RaftState): void => {
  for (const { sending, nodeId } of raft.progressByNode.values()) {
    if (sending === undefined || !sending.due) continue
    sending.due = false
    sending.ticks = 0
    raft.chunkReads.push({ to: nodeId, term: raft.term, snapshot: sending.snapshot, chunk: sending.chunk })
  }
}

/** The one that is being sent cannot be read any more. */
export const sendNewerSnapshot = (raft: RaftState, snapshot: SnapshotMeta): void => {
  for (const progress of raft.progressByNode.values()) {
    if (progress.sending !== undefined) progress.becomeSnapshot(snapshot)
  }
}

export const handleSnapshotReply = (progress: Progress, reply: SnapshotReply): boolean => {
  const { sending } = progress
  if (sending === undefined || reply.index !== sending.snapshot.index) return false
  if (reply.nextChunk >= sending.snapshot.chunks) {
    progress.matchIndex = Math.max(progress.matchIndex, reply.index)
    progress.becomeProbe()
    return true
  }
  if (reply.nextChunk === sending.chunk) return false
  sending.chunk = reply.nextChunk
  sending.due = true
  return false
}

/** The same transfer as the one that is under way. */
const continues = (raft: RaftState, request: SnapshotRequest): boolean => {
  const now = raft.receiving
  return (
    now !== undefined &&
    now.from === request.from &&
    now.snapshot.index === request.snapshot.index &&
    now.snapshot.term === request.snapshot.term &&
    now.snapshot.chunks === request.snapshot.chunks &&
    now.snapshot.bytes === request.snapshot.bytes
  )
}

/** From the leader of this term, on a follower. */
export const handleSnapshotRequest = (raft: RaftState, request: SnapshotRequest): void => {
  const { log } = raft
  const { snapshot, chunk, data } = request
  if (raft.installing !== undefined) return
  const reply = (nextChunk: number) =>
    raft.sendAfterWrite({
      _tag: "SnapshotReply",
      from: raft.nodeId,
      to: request.from,
      term: raft.term,
      index: snapshot.index,
      nextChunk
    })
  if (log.termAt(snapshot.index) === snapshot.term) log.commitIndex = Math.max(log.commitIndex, snapshot.index)
  if (snapshot.index <= log.commitIndex) {
    raft.receiving = undefined
    return reply(snapshot.chunks)
  }
  const before = raft.receiving
  // One that is older than what this leader sent already is late.
  if (before !== undefined && before.term === request.term && snapshot.index < before.snapshot.index) return
  const receiving =
    before !== undefined && continues(raft, request)
      ? { ...before, term: request.term }
      : { from: request.from, term: request.term, snapshot, nextChunk: 0 }
  raft.receiving = receiving
  if (chunk !== receiving.nextChunk) return reply(receiving.nextChunk)
  raft.chunks.push({ snapshot, chunk, data })
  const nextChunk = chunk + 1
  if (nextChunk === snapshot.chunks) raft.installing = snapshot
  raft.receiving = { ...receiving, nextChunk }
  reply(nextChunk)
}
