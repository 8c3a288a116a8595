/**
 * A run of batches in memory, in offset order: what the memory engine keeps, and what the file engine has not yet written behind.
 */
import { batchBaseOffset, batchCompression, batchEndOffset, batchMaxTimestampMs } from "@effectmq/schemas/record/RecordBatch"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import type { ReadOptions, ReadResult } from "../Shard.js"

/** With a key filter, how many bytes one call looks through before it gives the event loop back. */
const filterBytesMax = 1024 * 1024

export type KeyFilter = (key: Uint8Array) => boolean

/** True where a record's key passes, and where the keys cannot be read. */
export const batchPasses = (batch: Uint8Array, filter: KeyFilter, cursor: RecordCursor): boolean => {
  if (batchCompression(batch) !== "none") return true
  try {
    cursor.reset(batch)
    while (cursor.next()) {
      const key = cursor.key
      if (key !== undefined && filter(key)) return true
    }
    return false
  } catch {
    return true
  }
}

/** The first record of a batch that is not older; the batch's first offset where its records cannot be read. */
export const offsetInBatch = (batch: Uint8Array, timestampMs: number): number => {
  if (batchCompression(batch) !== "none") return batchBaseOffset(batch)
  const cursor = new RecordCursor(batch)
  try {
    while (cursor.next()) if (cursor.timestampMs >= timestampMs) return cursor.offset
  } catch {
    return batchBaseOffset(batch)
  }
  return batchEndOffset(batch)
}

const nothing = new Uint8Array(0)

export class BatchTail {
  sizeBytes = 0
  #batches: Array<Uint8Array> = []
  #head = 0
  #cursor: RecordCursor | undefined

  get count(): number {
    return this.#batches.length - this.#head
  }

  /** The batch at `index`, 0 being the oldest. */
  at(index: number): Uint8Array {
    return this.#batches[this.#head + index]
  }

  /** Offset of the oldest record; `otherwise` where there is none. */
  firstOffset(otherwise: number): number {
    return this.count === 0 ? otherwise : batchBaseOffset(this.at(0))
  }

  push(batch: Uint8Array): void {
    this.#batches.push(batch)
    this.sizeBytes += batch.length
  }

  /** Index of the first batch that ends past `offset`; `count` where there is none. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (batchEndOffset(this.at(middle)) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Drops the oldest `count` batches. */
  dropFirst(count: number): void {
    for (let index = 0; index < count; index++) {
      this.sizeBytes -= this.at(index).length
      // The array holds on to its front for a while; a thousand large batches there would be a gibibyte.
      this.#batches[this.#head + index] = nothing
    }
    this.#head += count
    if (this.#head === this.#batches.length) {
      this.#batches = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head)
      this.#head = 0
    }
  }

  /** Drops what begins at `offset` or later. */
  dropFrom(offset: number): void {
    while (this.count > 0 && batchBaseOffset(this.#batches[this.#batches.length - 1]) >= offset) {
      this.sizeBytes -= (this.#batches.pop() as Uint8Array).length
    }
  }

  /** Puts another run in place of all. */
  replace(batches: Array<Uint8Array>): void {
    this.#batches = batches
    this.#head = 0
    this.sizeBytes = 0
    for (const batch of batches) this.sizeBytes += batch.length
  }

  /** Batches from `fromOffset` on that end at `limitOffset` or before. With a filter it may stop early without having found any. */
  read(fromOffset: number, limitOffset: number, options: ReadOptions): ReadResult {
    const batches: Array<Uint8Array> = []
    const filter = options.keyFilter
    let bytes = 0
    let seenBytes = 0
    let nextOffset = fromOffset
    for (let index = this.indexOf(fromOffset); index < this.count; index++) {
      const batch = this.at(index)
      const endOffset = batchEndOffset(batch)
      if (endOffset > limitOffset) break
      if (filter !== undefined) {
        seenBytes += batch.length
        this.#cursor ??= new RecordCursor()
        if (!batchPasses(batch, filter, this.#cursor)) {
          nextOffset = endOffset
          if (seenBytes > filterBytesMax) return { batches, nextOffset }
          continue
        }
      }
      if (batches.length > 0 && bytes + batch.length > options.bytesMax) return { batches, nextOffset }
      batches.push(batch)
      bytes += batch.length
      nextOffset = endOffset
      if (bytes >= options.bytesMax) return { batches, nextOffset }
    }
    return { batches, nextOffset: limitOffset }
  }

  /** First offset before `limitOffset` whose record is not older; undefined where there is none. */
  offsetForTimestamp(timestampMs: number, limitOffset: number): number | undefined {
    for (let index = 0; index < this.count; index++) {
      const batch = this.at(index)
      if (batchEndOffset(batch) > limitOffset) return undefined
      if (batchMaxTimestampMs(batch) < timestampMs) continue
      const offset = offsetInBatch(batch, timestampMs)
      if (offset < batchEndOffset(batch)) return offset
    }
    return undefined
  }
}
