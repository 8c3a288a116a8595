/**
 * What members of a Raft group send each other. Each message stands alone: it may be lost, doubled, late or out of order.
 */
import * as Schema from "effect/Schema"
import { Entry } from "./Entry.js"
import { SnapshotMeta } from "./SnapshotMeta.js"

/** Of the encoded form of all messages; another form is a new version beside this one. */
export const raftMessageVersion = 1

const message = <Tag extends string, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.Struct({
    _tag: Schema.Literal(tag),
    from: Schema.Int,
    to: Schema.Int,
    /** The sender's term; in a pre-vote the term it would begin. */
    term: Schema.Int,
    ...fields
  })

/** Asks for a vote. `preVote`: asks whether it would be given, which changes nobody's term (dissertation, 9.6). */
export const VoteRequest = message("VoteRequest", {
  preVote: Schema.Boolean,
  lastIndex: Schema.Int,
  lastTerm: Schema.Int,
  /** Told to by the leader: to be answered although there is a leader (dissertation, 3.10). */
  transfer: Schema.Boolean
})
export type VoteRequest = typeof VoteRequest.Type

export const VoteReply = message("VoteReply", { preVote: Schema.Boolean, granted: Schema.Boolean })
export type VoteReply = typeof VoteReply.Type

/** Entries behind (`previousIndex`, `previousTerm`); none is a heartbeat. */
export const AppendRequest = message("AppendRequest", {
  previousIndex: Schema.Int,
  previousTerm: Schema.Int,
  entries: Schema.Array(Entry),
  commitIndex: Schema.Int,
  /** Rises with every round of heartbeats that a read waits for; comes back in the reply. */
  readRound: Schema.Int
})
export type AppendRequest = typeof AppendRequest.Type

/**
 * `accepted`: the log matches up to `index`. Refused: it does not have `index`; `hintIndex` and `hintTerm` say where the leader may
 * look next.
 */
export const AppendReply = message("AppendReply", {
  accepted: Schema.Boolean,
  index: Schema.Int,
  hintIndex: Schema.Int,
  hintTerm: Schema.Int,
  readRound: Schema.Int
})
export type AppendReply = typeof AppendReply.Type

/** One chunk of a snapshot; the follower asks for the next by its reply. */
export const SnapshotRequest = message("SnapshotRequest", {
  snapshot: SnapshotMeta,
  /** From 0. */
  chunk: Schema.Int,
  data: Schema.Uint8ArrayFromSelf
})
export type SnapshotRequest = typeof SnapshotRequest.Type

/** `nextChunk` equal to the number of chunks: it is whole and installed. */
export const SnapshotReply = message("SnapshotReply", { index: Schema.Int, nextChunk: Schema.Int })
export type SnapshotReply = typeof SnapshotReply.Type

/** The leader wants the receiver to follow it: begin an election now. */
export const TimeoutNow = message("TimeoutNow", {})
export type TimeoutNow = typeof TimeoutNow.Type

/** A follower asks the leader for an index to which it must have applied before it answers a linearizable read. */
export const ReadIndexRequest = message("ReadIndexRequest", { requestId: Schema.Int })
export type ReadIndexRequest = typeof ReadIndexRequest.Type

/** `index` -1: not the leader, or not yet able to say. */
export const ReadIndexReply = message("ReadIndexReply", { requestId: Schema.Int, index: Schema.Int })
export type ReadIndexReply = typeof ReadIndexReply.Type

export const RaftMessage = Schema.Union(
  VoteRequest,
  VoteReply,
  AppendRequest,
  AppendReply,
  SnapshotRequest,
  SnapshotReply,
  TimeoutNow,
  ReadIndexRequest,
  ReadIndexReply
)
export type RaftMessage = typeof RaftMessage.Type
