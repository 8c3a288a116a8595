/**
 * A shard of the file engine: segments on disk, then the tail in memory that they do not hold yet.
 *
 * Invariants
 * - storedOffset and startOffset <= committedOffset <= endOffset. The tail holds exactly the batches from storedOffset on; where the
 *   start lies in the middle of one, the start is past storedOffset.
 * - Segments are in offset order and do not overlap; all but the last are sealed. Where retention, compaction or trimming took
 *   records, there are gaps, also within a segment.
 */
import * as Effect from "effect/Effect"
import type { ShardId } from "@effectmq/schemas/ShardId"
import {
  batchBaseOffset,
  batchEndOffset,
  batchLastOffsetDelta,
  batchMaxTimestampMs,
  setBaseOffset,
  validateBatch
} from "@effectmq/schemas/record/RecordBatch"
import type { AppendCallback, Durability, ReadOptions, ReadResult, Shard, ShardOptions } from "../../Shard.js"
import { OffsetOutOfRange, StorageError } from "../../StorageError.js"
import { BatchTail } from "../BatchTail.js"
import type { Segment } from "./Segment.js"
import type { SegmentReader } from "./SegmentReader.js"
import { toReadError, toStorageError } from "./StorageFailure.js"
import type { FrameKind } from "./WalFrame.js"
import { frameKind } from "./WalFrame.js"

/** An entry of the write-ahead log and whom to tell. */
export class LogEntry {
  /** By the clock that only goes forward. */
  readonly appendedAtMs = performance.now()

  constructor(
    readonly kind: FrameKind,
    readonly shard: FileShard,
    readonly payload: Uint8Array,
    readonly durability: Durability,
    readonly baseOffset: number,
    readonly endOffset: number,
    readonly done: AppendCallback | undefined
  ) {}

  get shardNumber(): number {
    return this.shard.number
  }
}

/** What a shard needs of its engine. */
export interface ShardHost {
  readonly batchBytesMax: number
  readonly reader: SegmentReader
  /** Why nothing can be appended now. */
  refusal(): StorageError | undefined
  log(entry: LogEntry): void
  /** The shard has a tail that wants to be written behind some day. */
  dirty(shard: FileShard): void
  /** These segments are no longer the shard's: forget them in the catalog, then remove their files. */
  discard(segments: ReadonlyArray<Segment>): void
}

export class FileShard implements Shard {
  readonly tail = new BatchTail()
  segments: Array<Segment> = []
  removed = false
  /** The last group in which its listeners were told. */
  toldInGroup = 0
  start = 0
  /** What lies before is in segments, or gone. */
  stored = 0
  committed = 0
  end = 0
  /** Entries that wait for a sync. */
  unsynced = 0
  #listeners: Array<(committedOffset: number) => void> = []

  constructor(
    readonly host: ShardHost,
    readonly id: ShardId,
    readonly number: number,
    public options: ShardOptions
  ) {}

  startOffset(): number {
    return this.start
  }

  committedOffset(): number {
    return this.committed
  }

  endOffset(): number {
    return this.end
  }

  sizeBytes(): number {
    let bytes = this.tail.sizeBytes
    for (const segment of this.segments) bytes += segment.sizeBytes
    return bytes
  }

  append(batch: Uint8Array, done: AppendCallback): number {
    const error = this.host.refusal() ?? this.#batchRefusal(batch)
    if (error !== undefined) {
      queueMicrotask(() => done(error, -1))
      return -1
    }
    const baseOffset = this.end
    setBaseOffset(batch, baseOffset)
    this.end = baseOffset + batchLastOffsetDelta(batch) + 1
    if (this.tail.count === 0) this.host.dirty(this)
    this.tail.push(batch)
    // While an entry waits for a sync, later ones do too: answers come in offset order.
    const durability = this.unsynced > 0 ? "fsync" : this.options.durability
    if (durability === "fsync") this.unsynced++
    this.host.log(new LogEntry(frameKind.batch, this, batch, durability, baseOffset, this.end, done))
    return baseOffset
  }

  #batchRefusal(batch: Uint8Array): StorageError | undefined {
    if (this.removed) return new StorageError({ reason: "closed", message: "the shard was removed" })
    const bytesMax = this.host.batchBytesMax
    if (batch.length > bytesMax)
      return new StorageError({ reason: "too-large", message: `a batch has at most ${bytesMax} bytes` })
    const problem = validateBatch(batch)
    return problem === undefined
      ? undefined
      : new StorageError({ reason: "malformed", message: `no valid record batch: ${problem}` })
  }

  read(fromOffset: number, options: ReadOptions): Effect.Effect<ReadResult, StorageError | OffsetOutOfRange> {
    return Effect.suspend((): Effect.Effect<ReadResult, StorageError | OffsetOutOfRange> => {
      const refusal = this.#readRefusal(fromOffset)
      if (refusal !== undefined) return Effect.fail(refusal)
      if (fromOffset >= this.stored && options.keyFilter === undefined) {
        return Effect.succeed(this.tail.read(fromOffset, this.committed, options))
      }
      return Effect.tryPromise({ try: () => this.#read(fromOffset, options), catch: toReadError })
    })
  }

  #readRefusal(fromOffset: number): StorageError | OffsetOutOfRange | undefined {
    if (this.removed) return new StorageError({ reason: "closed", message: "the shard was removed" })
    if (fromOffset < this.start || fromOffset > this.committed || !Number.isInteger(fromOffset)) {
      return new OffsetOutOfRange({ offset: fromOffset, startOffset: this.start, committedOffset: this.committed })
    }
    return undefined
  }

  /** Goes through segments, then the tail, until there is something or nothing is left. */
  async #read(fromOffset: number, options: ReadOptions): Promise<ReadResult> {
    let offset = fromOffset
    for (;;) {
      if (offset >= this.committed) return { batches: [], nextOffset: offset }
      const segment = this.segments[this.segmentIndexOf(offset)]
      let result: ReadResult
      if (segment === undefined) {
        result = this.tail.read(Math.max(offset, this.stored), this.committed, options)
      } else {
        try {
          result = await this.host.reader.read(segment, offset, options)
        } catch (error) {
          if (!segment.dropped) throw error
          // Retention or compaction took the segment while it was read.
          const refusal = this.#readRefusal(offset)
          if (refusal !== undefined) throw refusal
          continue
        }
      }
      if (result.batches.length > 0) return result
      offset = result.nextOffset
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }

  /** Index of the first segment that ends past `offset`. */
  segmentIndexOf(offset: number): number {
    let low = 0
    let high = this.segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.segments[middle].endOffset > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  onCommitted(listener: (committedOffset: number) => void): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter((one) => one !== listener)
    }
  }

  /** Tells the listeners; `guard` keeps what one throws from the others. */
  tell(guard: (run: () => void) => void): void {
    for (const listener of this.#listeners) guard(() => listener(this.committed))
  }

  trim(offset: number): Effect.Effect<void, StorageError> {
    return Effect.async<void, StorageError>((resume) => {
      const error = this.host.refusal()
      if (error !== undefined && error.reason !== "full") return resume(Effect.fail(error))
      this.moveStart(offset, (failure) =>
        resume(failure === undefined || failure.reason === "full" ? Effect.void : Effect.fail(failure))
      )
    })
  }

  /** Moves the start, in memory at once and in the log as soon as it takes entries. */
  moveStart(offset: number, done?: AppendCallback): void {
    const to = Math.min(offset, this.committed)
    if (to <= this.start || this.removed) {
      done?.(undefined, to)
      return
    }
    this.trimNow(to)
    const payload = Buffer.alloc(8)
    payload.writeBigInt64BE(BigInt(to))
    this.host.log(new LogEntry(frameKind.trimmed, this, payload, "fsync", to, to, done))
    // Without space there is no telling when that is; the next catalog has it anyway.
    if (this.host.refusal()?.reason === "full") done?.(undefined, to)
  }

  /** Moves the start and lets go of what lies before, in memory. */
  trimNow(offset: number): void {
    this.start = Math.max(this.start, offset)
    const count = this.segmentIndexOf(this.start)
    // A segment that grows stays until it is sealed.
    const whole = count > 0 && !this.segments[count - 1].sealed ? count - 1 : count
    if (whole > 0) this.host.discard(this.segments.splice(0, whole))
    if (this.start <= this.stored) return
    this.tail.dropFirst(this.tail.indexOf(this.start))
    this.stored = this.tail.firstOffset(Math.max(this.start, this.stored))
  }

  /** The committed batches of the tail, for retention. */
  *committedTail(): Iterable<{ endOffset: number; sizeBytes: number; maxTimestampMs: number }> {
    for (let index = 0; index < this.tail.count; index++) {
      const batch = this.tail.at(index)
      const endOffset = batchEndOffset(batch)
      if (endOffset > this.committed) return
      yield { endOffset, sizeBytes: batch.length, maxTimestampMs: batchMaxTimestampMs(batch) }
    }
  }

  offsetForTimestamp(timestampMs: number): Effect.Effect<number, StorageError> {
    return Effect.tryPromise({
      try: async () => {
        for (let index = 0; index < this.segments.length; ) {
          const segment = this.segments[index]
          if (segment.maxTimestampMs < timestampMs) {
            index++
            continue
          }
          try {
            const offset = await this.host.reader.offsetForTimestamp(segment, timestampMs)
            if (offset !== undefined) return Math.max(offset, this.start)
            index++
          } catch (error) {
            if (!segment.dropped) throw error
            index = 0
          }
        }
        return this.tail.offsetForTimestamp(timestampMs, this.committed) ?? this.committed
      },
      catch: (cause) => toStorageError("finding an offset", cause)
    })
  }

  /** Forgets what was given offsets and never stored. */
  rollBack(): void {
    this.tail.dropFrom(this.committed)
    this.end = this.committed
    this.unsynced = 0
  }

  /** Takes a batch from the log at the start. Returns false where it does not follow what is there. */
  replay(batch: Uint8Array): boolean {
    const baseOffset = batchBaseOffset(batch)
    const endOffset = batchEndOffset(batch)
    if (endOffset <= this.end) return true
    if (baseOffset !== this.end) return false
    if (this.tail.count === 0) this.host.dirty(this)
    this.tail.push(batch)
    this.end = endOffset
    this.committed = endOffset
    return true
  }

  /** The log has been replayed. What a power loss took of unsynced batches cannot be before the start: there it is gone anyway. */
  replayed(): void {
    if (this.end >= this.start) return
    this.tail.dropFirst(this.tail.count)
    this.stored = this.start
    this.committed = this.start
    this.end = this.start
  }
}
