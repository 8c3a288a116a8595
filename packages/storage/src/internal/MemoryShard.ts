/**
 * A shard that is only in memory. What is appended is committed before the microtask queue is done.
 */
import { BytesError } from "@effectmq/bytes/BytesError"
import {
  batchBaseOffset,
  batchEndOffset,
  batchLastOffsetDelta,
  batchMaxTimestampMs,
  setBaseOffset,
  validateBatch
} from "@effectmq/schemas/record/RecordBatch"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import type { ShardId } from "@effectmq/schemas/ShardId"
import * as Effect from "effect/Effect"
import type { AppendCallback, ReadOptions, ReadResult, Shard, ShardOptions } from "../Shard.js"
import { OffsetOutOfRange, StorageError, type StorageErrorReason } from "../StorageError.js"
import { BatchTail } from "./BatchTail.js"
import { compactBatch, isLive, noteKeys } from "./CompactBatch.js"
import { retentionCut } from "./Retention.js"

/** Bytes that compaction works through before it gives the event loop back. */
const sliceBytes = 1024 * 1024

/** What a shard needs of its engine. */
export interface MemoryHost {
  readonly batchBytesMax: number
  /** Bytes that all shards may hold together. */
  readonly bytesMax: number
  /** Bytes that all shards hold. */
  bytes: number
  closed: boolean
  /** Retention of all shards at once, when they hold too much. */
  makeRoom(): void
  /** Calls back once the current code is done. */
  soon(shard: MemoryShard, entry: MemoryEntry): void
}

export interface MemoryEntry {
  readonly baseOffset: number
  readonly endOffset: number
  readonly done: AppendCallback
}

export class MemoryShard implements Shard {
  readonly #tail = new BatchTail()
  removed = false
  toldInRound = 0
  #start = 0
  #committed = 0
  #end = 0
  #cleanBytes = 0
  #listeners: Array<(committedOffset: number) => void> = []

  constructor(
    readonly host: MemoryHost,
    readonly id: ShardId,
    public options: ShardOptions
  ) {}

  startOffset(): number {
    return this.#start
  }

  committedOffset(): number {
    return this.#committed
  }

  endOffset(): number {
    return this.#end
  }

  sizeBytes(): number {
    return this.#tail.sizeBytes
  }

  append(batch: Uint8Array, done: AppendCallback): number {
    const refusal = this.#refusal(batch)
    if (refusal !== undefined) {
      const error = new StorageError(refusal)
      queueMicrotask(() => done(error, -1))
      return -1
    }
    const baseOffset = this.#end
    setBaseOffset(batch, baseOffset)
    this.#end = baseOffset + batchLastOffsetDelta(batch) + 1
    this.#tail.push(batch)
    this.host.bytes += batch.length
    this.host.soon(this, { baseOffset, endOffset: this.#end, done })
    return baseOffset
  }

  #refusal(batch: Uint8Array): { readonly reason: StorageErrorReason; readonly message: string } | undefined {
    const { batchBytesMax, bytesMax } = this.host
    if (this.removed || this.host.closed) return { reason: "closed", message: "the shard or its engine is closed" }
    if (batch.length > batchBytesMax) return { reason: "too-large", message: `a batch has at most ${batchBytesMax} bytes` }
    const problem = validateBatch(batch)
    if (problem !== undefined) return { reason: "malformed", message: `no valid record batch: ${problem}` }
    if (this.host.bytes + batch.length > bytesMax) this.host.makeRoom()
    if (this.host.bytes + batch.length > bytesMax)
      return { reason: "full", message: `the memory engine holds at most ${bytesMax} bytes` }
    return undefined
  }

  commit(entry: MemoryEntry): void {
    this.#committed = entry.endOffset
  }

  tell(guard: (run: () => void) => void): void {
    for (const listener of this.#listeners) guard(() => listener(this.#committed))
  }

  read(fromOffset: number, options: ReadOptions): Effect.Effect<ReadResult, StorageError | OffsetOutOfRange> {
    const attempt: Effect.Effect<ReadResult, StorageError | OffsetOutOfRange> = Effect.suspend(() => {
      if (this.removed) return Effect.fail(new StorageError({ reason: "closed", message: "the shard was removed" }))
      if (fromOffset < this.#start || fromOffset > this.#committed || !Number.isInteger(fromOffset)) {
        return Effect.fail(
          new OffsetOutOfRange({ offset: fromOffset, startOffset: this.#start, committedOffset: this.#committed })
        )
      }
      const result = this.#tail.read(fromOffset, this.#committed, options)
      if (result.batches.length > 0 || result.nextOffset >= this.#committed) return Effect.succeed(result)
      return Effect.zipRight(Effect.yieldNow(), this.read(Math.max(result.nextOffset, this.#start), options))
    })
    return attempt
  }

  onCommitted(listener: (committedOffset: number) => void): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter((one) => one !== listener)
    }
  }

  trim(offset: number): Effect.Effect<void> {
    return Effect.sync(() => this.trimNow(offset))
  }

  trimNow(offset: number): void {
    this.#start = Math.max(this.#start, Math.min(offset, this.#committed))
    const before = this.#tail.sizeBytes
    // All that end at the start or before.
    this.#tail.dropFirst(this.#tail.indexOf(this.#start))
    this.host.bytes += this.#tail.sizeBytes - before
  }

  offsetForTimestamp(timestampMs: number): Effect.Effect<number> {
    return Effect.sync(() =>
      Math.max(this.#start, this.#tail.offsetForTimestamp(timestampMs, this.#committed) ?? this.#committed)
    )
  }

  *#runs(): Iterable<{ endOffset: number; sizeBytes: number; maxTimestampMs: number }> {
    for (let index = 0; index < this.#tail.count; index++) {
      const batch = this.#tail.at(index)
      const endOffset = batchEndOffset(batch)
      if (endOffset > this.#committed) return
      yield { endOffset, sizeBytes: batch.length, maxTimestampMs: batchMaxTimestampMs(batch) }
    }
  }

  /** Applies retention by age and size. */
  retain(nowMs: number): void {
    const { retentionMs, retentionBytes, cleanup } = this.options
    if (cleanup !== "delete" || (retentionMs === undefined && retentionBytes === undefined)) return
    const cut = retentionCut(this.#runs(), this.#tail.sizeBytes, { retentionMs, retentionBytes, nowMs })
    if (cut !== undefined) this.trimNow(cut)
  }

  /** True where half as much came since the last compaction as was left by it. */
  wantsCompaction(): boolean {
    return this.options.cleanup === "compact" && (this.#tail.sizeBytes - this.#cleanBytes) * 2 >= this.#cleanBytes
  }

  /** Leaves only the newest committed record of every key. */
  async compact(tombstonesBeforeMs: number): Promise<void> {
    const limit = this.#committed
    const sources: Array<Uint8Array> = []
    for (let index = 0; index < this.#tail.count && batchEndOffset(this.#tail.at(index)) <= limit; index++) {
      sources.push(this.#tail.at(index))
    }
    const cursor = new RecordCursor()
    const newestByKey = new Map<string, number>()
    await inSlices(sources, (batch) => void readable(() => noteKeys(batch, 0, cursor, newestByKey)))
    const kept: Array<Uint8Array> = []
    await inSlices(sources, (batch) => {
      const buffer = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength)
      const left = readable(() => compactBatch(buffer, 0, cursor, (one) => isLive(one, newestByKey, tombstonesBeforeMs)), buffer)
      if (left !== undefined) kept.push(left)
    })
    if (this.removed) return
    const before = this.#tail.sizeBytes
    const batches = kept.filter((batch) => batchEndOffset(batch) > this.#start)
    for (let index = 0; index < this.#tail.count; index++) {
      if (batchBaseOffset(this.#tail.at(index)) >= limit) batches.push(this.#tail.at(index))
    }
    this.#tail.replace(batches)
    this.#cleanBytes = this.#tail.sizeBytes
    this.host.bytes += this.#tail.sizeBytes - before
  }

  remove(): void {
    this.removed = true
    this.host.bytes -= this.#tail.sizeBytes
    this.#tail.replace([])
  }
}

/** What cannot be read record by record stays whole. */
const readable = <A>(run: () => A, otherwise?: A): A | undefined => {
  try {
    return run()
  } catch (error) {
    if (error instanceof BytesError) return otherwise
    throw error
  }
}

const inSlices = async (batches: ReadonlyArray<Uint8Array>, visit: (batch: Uint8Array) => void): Promise<void> => {
  let bytes = 0
  for (const batch of batches) {
    visit(batch)
    bytes += batch.length
    if (bytes < sliceBytes) continue
    bytes = 0
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
