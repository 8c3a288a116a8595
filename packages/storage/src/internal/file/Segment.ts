/**
 * A run of a shard in one file, with its index in another beside it. Only the newest segment of a shard grows.
 *
 * Invariant: the first `sizeBytes` of the file are synced and hold whole batches of offsets from `baseOffset` to `endOffset`; what lies
 * behind them in the file counts for nothing.
 */
import { join } from "node:path"

export class Segment {
  sizeBytes = 0
  /** Bytes of the index file that describe the first `sizeBytes`. */
  indexBytes = 0
  endOffset: number
  maxTimestampMs = 0
  /** True when nothing more is added. */
  sealed = false
  /** True when compaction has left no record that a later one of this or an older segment replaces. */
  clean = false
  /** True when the shard no longer has it: its files are going. */
  dropped = false

  constructor(
    readonly shardNumber: number,
    readonly baseOffset: number,
    /** 0 as written; one more with every compaction. */
    readonly generation: number,
    /** Wall-clock ms at which it was begun. */
    readonly openedAtMs: number
  ) {
    this.endOffset = baseOffset
  }

  get name(): string {
    return `${this.shardNumber}-${this.baseOffset}-${this.generation}`
  }

  logPath(directory: string): string {
    return join(directory, `${this.name}.log`)
  }

  indexPath(directory: string): string {
    return join(directory, `${this.name}.index`)
  }
}
