/**
 * What a caller of a Raft store must keep to; each answers in words what is wrong, which is a bug of the caller.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"

export interface LogBounds {
  readonly firstIndex: number
  readonly lastIndex: number
  readonly snapshotIndex: number
}

export const entriesProblem = (entries: ReadonlyArray<Entry>, log: LogBounds): string | undefined => {
  const first = entries[0]
  if (first === undefined) return undefined
  if (first.index > log.lastIndex + 1) return `entry ${first.index} does not follow entry ${log.lastIndex}`
  if (first.index < log.firstIndex) return `entry ${first.index} was forgotten, the first one is ${log.firstIndex}`
  if (first.index <= log.snapshotIndex)
    return `entry ${first.index} cannot be replaced, the snapshot at ${log.snapshotIndex} holds it`
  for (let at = 1; at < entries.length; at++) {
    if (entries[at].index !== first.index + at) return `entry ${entries[at].index} comes after entry ${first.index + at - 1}`
  }
  return undefined
}

export const chunkProblem = (snapshot: SnapshotMeta, chunk: number): string | undefined => {
  if (snapshot.index < 1) return "a snapshot stands for one entry at least"
  return Number.isSafeInteger(chunk) && chunk >= 0 && chunk < snapshot.chunks
    ? undefined
    : `there is no chunk ${chunk} of ${snapshot.chunks}`
}

export const completionProblem = (snapshot: SnapshotMeta, log: "keep" | "discard", bounds: LogBounds): string | undefined => {
  if (snapshot.index < bounds.snapshotIndex) return `the snapshot at ${bounds.snapshotIndex} is newer`
  return log === "keep" && snapshot.index > bounds.lastIndex
    ? `the log ends at ${bounds.lastIndex}, before the snapshot at ${snapshot.index}`
    : undefined
}
