/**
 * Cold reads: batches of a segment from an offset on, with or without a key filter, and offsets by timestamp.
 *
 * Invariant: nothing is returned whose checksum and base offset were not checked. The checksum does not cover the base offset, so it is
 * compared with what the index says, or with the batch before.
 */
import {
  batchBaseOffset,
  batchEndOffset,
  batchHeaderSizeBytes,
  batchMaxTimestampMs,
  validateBatch
} from "@effectmq/schemas/record/RecordBatch"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import { readFully } from "../../Disk.js"
import type { ReadOptions, ReadResult } from "../../Shard.js"
import { batchPasses, type KeyFilter, offsetInBatch } from "../BatchTail.js"
import type { Segment } from "./Segment.js"
import { type Chunk, type ChunkBatch, type ChunkDetails, decodeDetails } from "./SegmentIndex.js"
import { chunkIndexOf, markIndexOf, type SegmentTables } from "./SegmentTables.js"

const pieceBytesMin = 64 * 1024
const pieceBytesMax = 4 * 1024 * 1024
/** Batches this near each other are read at once. */
const gapBytesMax = 32 * 1024

export class SegmentReader {
  readonly #cursor = new RecordCursor()

  constructor(readonly tables: SegmentTables) {}

  /**
   * Batches of the segment that hold `fromOffset` or later. `nextOffset` is at least the end of what was looked at, and never before
   * `fromOffset`.
   */
  async read(segment: Segment, fromOffset: number, options: ReadOptions): Promise<ReadResult> {
    const table = await this.tables.get(segment)
    let result: ReadResult = { batches: [], nextOffset: fromOffset }
    for (let index = chunkIndexOf(table, fromOffset); index < table.chunks.length; index++) {
      const chunk = table.chunks[index]
      const from = Math.max(result.nextOffset, chunk.firstOffset)
      const details = options.keyFilter !== undefined || segment.generation > 0 ? await this.#details(segment, chunk) : undefined
      const reading =
        options.keyFilter !== undefined && details !== undefined
          ? this.#readMatching(segment, details, from, options.bytesMax, options.keyFilter)
          : this.#readRun(segment, chunk, details, from, options)
      const batches = await reading
      if (batches.length > 0) {
        const nextOffset = batchEndOffset(batches[batches.length - 1])
        return { batches, nextOffset }
      }
      result = { batches, nextOffset: Math.max(fromOffset, chunk.endOffset) }
    }
    // Compaction can leave a segment that ends later than its last record. A table that lags behind its segment says nothing of the rest.
    const end = table.chunks[table.chunks.length - 1]?.end ?? 0
    return end < segment.sizeBytes ? result : { batches: [], nextOffset: Math.max(fromOffset, segment.endOffset) }
  }

  async #details(segment: Segment, chunk: Chunk): Promise<ChunkDetails | undefined> {
    const place = chunk.details
    if (place === undefined) return undefined
    const bytes = Buffer.allocUnsafe(place.sizeBytes)
    const path = segment.indexPath(this.tables.directory)
    const count = await this.tables.handles
      .use(path, "read", (file) => readFully(this.tables.disk, file, bytes, place.position))
      .catch(() => 0)
    return decodeDetails(chunk, bytes.subarray(0, count))
  }

  /** Reads on from the mark before `from`; at least one batch where the chunk has one that passes. */
  async #readRun(
    segment: Segment,
    chunk: Chunk,
    details: ChunkDetails | undefined,
    from: number,
    options: ReadOptions
  ): Promise<Array<Buffer>> {
    const batches: Array<Buffer> = []
    const mark = markIndexOf(chunk, from)
    let position = chunk.positions[mark]
    let expected = chunk.offsets[mark]
    let ordinal = details?.batches.findIndex((batch) => batch.position === position) ?? 0
    let collectedBytes = 0
    let wantedBytes = Math.min(Math.max(options.bytesMax + pieceBytesMin, pieceBytesMin), pieceBytesMax)
    while (position < chunk.end) {
      const bytes = await this.tables.readLog(segment, position, Math.min(wantedBytes, chunk.end - position))
      let at = 0
      while (at < bytes.length) {
        if (at + batchHeaderSizeBytes > bytes.length) break
        const sizeBytes = this.tables.checkedSize(segment, bytes, at, position + at, chunk.end)
        const baseOffset = batchBaseOffset(bytes, at)
        const wanted = details === undefined ? expected : details.batches[ordinal]?.baseOffset
        const known = details !== undefined || segment.generation === 0
        if (known ? baseOffset !== wanted : baseOffset < expected) throw this.tables.damage(segment, position + at)
        if (at + sizeBytes > bytes.length) {
          wantedBytes = Math.max(wantedBytes, sizeBytes)
          break
        }
        if (batchEndOffset(bytes, at) > from) {
          if (validateBatch(bytes, at, at + sizeBytes, "stored") !== undefined) throw this.tables.damage(segment, position + at)
          const batch = bytes.subarray(at, at + sizeBytes)
          if (options.keyFilter === undefined || batchPasses(batch, options.keyFilter, this.#cursor)) {
            if (batches.length > 0 && collectedBytes + sizeBytes > options.bytesMax) return batches
            batches.push(batch)
            collectedBytes += sizeBytes
          }
        }
        expected = batchEndOffset(bytes, at)
        ordinal++
        at += sizeBytes
      }
      if (batches.length > 0) return batches
      if (at === 0 && bytes.length === chunk.end - position) throw this.tables.damage(segment, position)
      position += at
    }
    return batches
  }

  /** Reads the batches that have a key that passes, or keys that cannot be read. */
  async #readMatching(
    segment: Segment,
    details: ChunkDetails,
    from: number,
    bytesMax: number,
    filter: KeyFilter
  ): Promise<Array<Buffer>> {
    const ordinals = new Set(details.unreadable)
    for (const { key, ordinals: of } of details.keys) if (filter(key)) for (const ordinal of of) ordinals.add(ordinal)
    const matching: Array<ChunkBatch> = []
    let bytes = 0
    for (const ordinal of [...ordinals].sort((a, b) => a - b)) {
      const batch = details.batches[ordinal]
      if (batch.endOffset <= from) continue
      if (matching.length > 0 && bytes + batch.sizeBytes > bytesMax) break
      matching.push(batch)
      bytes += batch.sizeBytes
    }
    const batches: Array<Buffer> = []
    for (let first = 0, last = 0; first < matching.length; first = last + 1) {
      const start = matching[first].position
      for (last = first; last + 1 < matching.length; last++) {
        const end = matching[last].position + matching[last].sizeBytes
        const next = matching[last + 1]
        if (next.position - end > gapBytesMax || next.position + next.sizeBytes - start > pieceBytesMax) break
      }
      const run = await this.tables.readLog(segment, start, matching[last].position + matching[last].sizeBytes - start)
      for (const batch of matching.slice(first, last + 1)) {
        const at = batch.position - start
        const end = at + batch.sizeBytes
        if (validateBatch(run, at, end, "stored") !== undefined || batchBaseOffset(run, at) !== batch.baseOffset) {
          throw this.tables.damage(segment, batch.position)
        }
        batches.push(run.subarray(at, end))
      }
    }
    return batches
  }

  /** First offset of the segment whose record is not older; undefined where there is none. */
  async offsetForTimestamp(segment: Segment, timestampMs: number): Promise<number | undefined> {
    const table = await this.tables.get(segment)
    for (const chunk of table.chunks) {
      if (chunk.maxTimestampMs < timestampMs) continue
      const mark = chunk.maxTimestampsMs.findIndex((maxMs) => maxMs >= timestampMs)
      let found: number | undefined
      await this.tables.scan(segment, chunk.positions[mark], chunk.positions[mark + 1] ?? chunk.end, (bytes, at, sizeBytes) => {
        if (found !== undefined || batchMaxTimestampMs(bytes, at) < timestampMs) return
        const batch = bytes.subarray(at, at + sizeBytes)
        const offset = offsetInBatch(batch, timestampMs)
        if (offset < batchEndOffset(batch)) found = offset
      })
      if (found !== undefined) return found
    }
    return undefined
  }
}
