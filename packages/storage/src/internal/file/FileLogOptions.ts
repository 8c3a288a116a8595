/**
 * What the file engine lets its composer choose, with the defaults, and how the bounds relate.
 */
export interface FileLogOptions {
  /** Where everything lies. One process at a time. */
  readonly directory: string
  /** Size of one file of the write-ahead log; 64 MiB. */
  readonly walFileBytes: number
  /** Most files of the log; together with `walFileBytes` also about the most memory that tails take; 4. */
  readonly walFilesMax: number
  /** A group commit takes no more than this at once; 2 MiB. */
  readonly groupBytesMax: number
  /** Bytes that may wait to be written before appends are refused as `full`; 64 MiB. */
  readonly gatheredBytesMax: number
  /** Largest batch; 16 MiB. */
  readonly batchBytesMax: number
  /** How late a sync may be for shards with durability `interval`; 100 ms. */
  readonly syncIntervalMs: number
  /** A segment that has grown to this is sealed; 128 MiB, and 32 MiB for shards with cleanup `compact`. */
  readonly segmentBytes: number
  readonly compactSegmentBytes: number
  /** How long compaction keeps the record that removes a key; 5 minutes. */
  readonly tombstoneRetentionMs: number
  /** Open files of segments, and tables of segments in memory, kept for the next use; 128 each. */
  readonly openFilesMax: number
  readonly tablesMax: number
}

export const fileLogDefaults: Omit<FileLogOptions, "directory"> = {
  walFileBytes: 64 * 1024 * 1024,
  walFilesMax: 4,
  groupBytesMax: 2 * 1024 * 1024,
  gatheredBytesMax: 64 * 1024 * 1024,
  batchBytesMax: 16 * 1024 * 1024,
  syncIntervalMs: 100,
  segmentBytes: 128 * 1024 * 1024,
  compactSegmentBytes: 32 * 1024 * 1024,
  tombstoneRetentionMs: 5 * 60 * 1000,
  openFilesMax: 128,
  tablesMax: 128
}

/** The options with the defaults, and the bounds that depend on others drawn in. */
export const resolveFileLogOptions = (
  options: { readonly directory: string } & {
    readonly [K in keyof Omit<FileLogOptions, "directory">]?: FileLogOptions[K] | undefined
  }
): FileLogOptions => {
  const chosen = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const all: FileLogOptions = { ...fileLogDefaults, directory: options.directory, ...chosen }
  if (all.walFileBytes < 4096 || all.walFileBytes >= 2 ** 31) throw new Error("walFileBytes is 4 KiB to 2 GiB")
  if (all.walFilesMax < 2) throw new Error("walFilesMax is at least 2")
  // A group, and a batch with its frame, fit into one file behind its header.
  const room = all.walFileBytes - 256
  return { ...all, groupBytesMax: Math.min(all.groupBytesMax, room), batchBytesMax: Math.min(all.batchBytesMax, room) }
}
