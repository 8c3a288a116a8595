/**
 * Compaction by key: rewrites the sealed segments of a shard without the records that a later one with the same key replaces.
 *
 * Invariants
 * - Offsets stay. The newest record of every key stays, except a tombstone older than `tombstoneRetentionMs`.
 * - Every pass begins at the shard's oldest segment, so when a tombstone goes nothing older of its key is left.
 * - New files are synced before they replace the old; the catalog decides which count.
 */
import { batchBaseOffset } from "@effectmq/schemas/record/RecordBatch"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import { BytesError } from "@effectmq/bytes/BytesError"
import { compactBatch, isLive, noteKeys } from "../CompactBatch.js"
import type { FileShard } from "./FileShard.js"
import { Segment } from "./Segment.js"
import type { SegmentTables } from "./SegmentTables.js"
import { SegmentGrowth, type SegmentWriter } from "./SegmentWriter.js"

const chunkBytes = 4 * 1024 * 1024
/** Newest offsets held in memory for one pass; what more there is waits for the next. */
const keysMax = 1_000_000

export interface CompactionOptions {
  readonly segmentBytes: number
  readonly tombstoneRetentionMs: number
  readonly now: () => number
}

/** Bytes of sealed segments that were not compacted yet, and of those that were. */
const sealedBytes = (shard: FileShard): { readonly dirty: number; readonly clean: number } => {
  let dirty = 0
  let clean = 0
  for (const segment of shard.segments) {
    if (!segment.sealed) break
    if (segment.clean) clean += segment.sizeBytes
    else dirty += segment.sizeBytes
  }
  return { dirty, clean }
}

/** True where a pass would be worth reading and writing everything once. */
export const wantsCompaction = (shard: FileShard): boolean => {
  if (shard.options.cleanup !== "compact") return false
  const { dirty, clean } = sealedBytes(shard)
  return dirty > 0 && dirty * 2 >= clean
}

export class Compaction {
  readonly #cursor = new RecordCursor()
  #generation = 0

  constructor(
    readonly writer: SegmentWriter,
    readonly tables: SegmentTables,
    readonly options: CompactionOptions,
    readonly goOn: () => boolean
  ) {}

  /** One pass. Rejects with `corrupt` where a segment is damaged; the shard is then as it was. */
  async run(shard: FileShard): Promise<void> {
    const newestByKey = new Map<string, number>()
    const sources: Array<Segment> = []
    for (const segment of shard.segments) {
      if (!segment.sealed || newestByKey.size > keysMax || !this.goOn()) break
      if (!segment.clean) {
        await this.#each(segment, (bytes, at) => this.#readable(() => noteKeys(bytes, at, this.#cursor, newestByKey)))
      }
      sources.push(segment)
    }
    if (sources.length === 0) return
    const outputs = await this.#rewrite(shard, sources, newestByKey)
    const isSame = sources.every((segment, index) => shard.segments[index] === segment)
    if (outputs === undefined || shard.removed || !isSame || !this.goOn()) {
      shard.host.discard(outputs ?? [])
      return
    }
    shard.segments.splice(0, sources.length, ...outputs)
    shard.host.discard(sources)
  }

  /** Writes what lives to new segments; undefined where the engine stopped. */
  async #rewrite(
    shard: FileShard,
    sources: ReadonlyArray<Segment>,
    newestByKey: ReadonlyMap<string, number>
  ): Promise<Array<Segment> | undefined> {
    const tombstonesBeforeMs = this.options.now() - this.options.tombstoneRetentionMs
    const lives = (record: RecordCursor) => isLive(record, newestByKey, tombstonesBeforeMs)
    // Never a name that an earlier pass used: its files may still be waiting to be removed.
    this.#generation = Math.max(this.#generation, ...sources.map((segment) => segment.generation)) + 1
    const generation = this.#generation
    const outputs: Array<Segment> = []
    let growth: SegmentGrowth | undefined
    let run: Array<Uint8Array> = []
    let runBytes = 0
    const flush = async () => {
      if (run.length === 0) return
      if (growth === undefined)
        growth = new SegmentGrowth(new Segment(shard.number, batchBaseOffset(run[0]), generation, this.options.now()))
      await this.writer.write(growth, run)
      run = []
      runBytes = 0
      if (growth.sizeBytes >= this.options.segmentBytes) await finish()
    }
    const finish = async () => {
      if (growth === undefined) return
      const segment = growth.segment
      await this.writer.sync(growth, "both")
      this.writer.publish(growth)
      segment.sealed = true
      segment.clean = true
      outputs.push(segment)
      growth = undefined
    }
    try {
      for (const source of sources) {
        if (!this.goOn() || shard.removed) throw stopped
        await this.#each(
          source,
          (bytes, at, sizeBytes) => {
            const whole = bytes.subarray(at, at + sizeBytes)
            const kept = this.#readable(() => compactBatch(bytes, at, this.#cursor, lives), whole)
            if (kept === undefined) return
            run.push(kept)
            runBytes += kept.length
          },
          async () => {
            if (runBytes >= chunkBytes) await flush()
          }
        )
      }
      await flush()
      await finish()
      return outputs
    } catch (error) {
      shard.host.discard(growth === undefined ? outputs : [...outputs, growth.segment])
      if (error === stopped) return undefined
      throw error
    }
  }

  /** Visits the batches of a segment piece by piece, giving other work its turn in between. */
  async #each(
    segment: Segment,
    visit: (bytes: Buffer, at: number, sizeBytes: number) => void,
    afterPiece?: () => Promise<void>
  ): Promise<void> {
    const table = await this.tables.get(segment)
    for (const chunk of table.chunks) {
      await this.tables.scan(segment, chunk.start, chunk.end, visit)
      await afterPiece?.()
    }
  }

  /** What cannot be read record by record stays whole. */
  #readable<A>(run: () => A, otherwise?: A): A | undefined {
    try {
      return run()
    } catch (error) {
      if (error instanceof BytesError) return otherwise
      throw error
    }
  }
}

const stopped = new Error("compaction was stopped")
