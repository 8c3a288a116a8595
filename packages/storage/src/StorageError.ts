/**
 * What can go wrong between a shard and what it stands on.
 */
import * as Data from "effect/Data"

/**
 * - `io`: the device or system answered an error. `full`: no space. `fenced`: a sync failed once, the log takes no more.
 * - `closed`: the engine or shard was closed. `corrupt`: a stored batch fails its checksum. `malformed`: the caller's batch
 *   is no valid record batch. `too-large`: the batch is over the engine's limit. `locked`: another process holds the directory.
 */
export type StorageErrorReason = "io" | "full" | "fenced" | "closed" | "corrupt" | "malformed" | "too-large" | "locked"

export class StorageError extends Data.TaggedError("StorageError")<{
  readonly reason: StorageErrorReason
  /** What was being done, in words a log reader understands. */
  readonly message: string
  readonly cause?: unknown
}> {}

/** The offset asked for was trimmed, or lies past the committed offset. */
export class OffsetOutOfRange extends Data.TaggedError("OffsetOutOfRange")<{
  readonly offset: number
  readonly startOffset: number
  readonly committedOffset: number
}> {}
