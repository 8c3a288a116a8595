/**
 * Moves what the write-ahead log holds into segments, shard by shard in big writes, so that log files can be used again.
 *
 * A checkpoint: write and sync every shard's tail, swap in the catalog that names the result, release the log files before the point
 * where it began. A crash at any moment leaves the last catalog and the log from its point on, which is enough.
 */
import { batchBaseOffset, batchEndOffset } from "@effectmq/schemas/record/RecordBatch"
import type { FileShard } from "./FileShard.js"
import { Segment } from "./Segment.js"
import { SegmentGrowth, type SegmentWriter } from "./SegmentWriter.js"

/** Most bytes of one write and one chunk of the index, beyond one batch. */
const chunkBytes = 4 * 1024 * 1024

export interface WriteBehindOptions {
  /** May change: it is looked at when a segment takes more. */
  segmentBytes: number
  readonly compactSegmentBytes: number
  readonly now: () => number
}

export class WriteBehind {
  readonly dirty = new Set<FileShard>()

  constructor(
    readonly writer: SegmentWriter,
    readonly options: WriteBehindOptions,
    /** False when the engine takes no more writes. */
    readonly goOn: () => boolean
  ) {}

  /** Writes and syncs every tail as far as it is committed now. */
  async flushAll(): Promise<void> {
    for (const shard of [...this.dirty]) {
      if (!this.goOn()) return
      await this.flush(shard)
    }
  }

  /** Goes in steps of one chunk, each synced: the sync of the log does not wait long behind one of these. */
  async flush(shard: FileShard): Promise<void> {
    const limit = shard.committed
    while (!shard.removed && shard.stored < limit && this.goOn()) {
      const segment = await this.#growing(shard)
      const run = this.#run(shard, shard.stored, limit)
      if (segment === undefined || run.length === 0) break
      const growth = new SegmentGrowth(segment)
      await this.writer.write(growth, run)
      await this.writer.sync(growth, "log")
      const isNew = segment.sizeBytes === 0
      if (shard.removed) {
        if (isNew) shard.host.discard([segment])
        break
      }
      this.writer.publish(growth)
      if (isNew) shard.segments.push(segment)
      shard.tail.dropFirst(shard.tail.indexOf(growth.endOffset))
      shard.stored = Math.max(shard.stored, growth.endOffset)
    }
    if (shard.tail.count === 0) this.dirty.delete(shard)
  }

  #segmentBytes(shard: FileShard): number {
    return shard.options.cleanup === "compact" ? this.options.compactSegmentBytes : this.options.segmentBytes
  }

  /** The segment that takes what comes next; undefined where nothing does any more. */
  async #growing(shard: FileShard): Promise<Segment | undefined> {
    const last = shard.segments[shard.segments.length - 1]
    if (last !== undefined && !last.sealed) {
      if (last.sizeBytes < this.#segmentBytes(shard)) return last
      await this.seal(last)
    }
    if (shard.tail.count === 0) return undefined
    return new Segment(shard.number, batchBaseOffset(shard.tail.at(0)), 0, this.options.now())
  }

  /** Ends a segment: nothing more is added to it. */
  async seal(segment: Segment): Promise<void> {
    await this.writer.syncIndex(segment)
    segment.sealed = true
  }

  /** The next batches of the tail from `offset` on, at most a chunk. */
  #run(shard: FileShard, offset: number, limit: number): Array<Uint8Array> {
    const run: Array<Uint8Array> = []
    let bytes = 0
    for (let index = shard.tail.indexOf(offset); index < shard.tail.count; index++) {
      const batch = shard.tail.at(index)
      if (batchEndOffset(batch) > limit || (run.length > 0 && bytes + batch.length > chunkBytes)) break
      run.push(batch)
      bytes += batch.length
    }
    return run
  }
}
