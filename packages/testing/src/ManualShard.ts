/**
 * A shard in memory that commits and answers reads when the test says so, and survives a crash with what was committed.
 */
import { batchEndOffset, batchLastOffsetDelta, setBaseOffset } from "@effectmq/schemas/record/RecordBatch"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import type { ShardId } from "@effectmq/schemas/ShardId"
import type { AppendCallback, ReadOptions, ReadResult, Shard } from "@effectmq/storage/Shard"
import { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"

const refused = new StorageError({ reason: "io", message: "as the test says" })

interface Append {
  readonly batch: Uint8Array
  readonly baseOffset: number
  readonly done: AppendCallback
}

export class ManualShard implements Shard {
  private batches: Array<Uint8Array> = []
  private appends: Array<Append> = []
  private waitingReads: Array<() => void> = []
  private start = 0
  private end = 0
  private committed = 0
  /** Asked for so far. */
  reads = 0
  /** Reads wait for `completeReads`. */
  slowReads = false
  /** Every append is refused. */
  broken = false

  constructor(readonly id: ShardId = { tenant: "default", topic: "t", partition: 0 }) {}

  /** What a new process finds: the committed batches, and as many of the others as `extra` says reached the disk. */
  afterCrash(extra: number): ManualShard {
    const shard = new ManualShard(this.id)
    shard.batches = [...this.batches, ...this.appends.slice(0, extra).map(({ batch }) => batch)]
    const last = shard.batches[shard.batches.length - 1]
    shard.start = this.start
    shard.end = last === undefined ? this.start : batchEndOffset(last)
    shard.committed = shard.end
    shard.slowReads = this.slowReads
    return shard
  }

  get waiting(): number {
    return this.appends.length + this.waitingReads.length
  }

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
    return this.batches.reduce((sum, batch) => sum + batch.length, 0)
  }
  onCommitted(): () => void {
    return () => {}
  }

  append(batch: Uint8Array, done: AppendCallback): number {
    const baseOffset = this.end
    setBaseOffset(batch, baseOffset)
    if (!this.broken) this.end += batchLastOffsetDelta(batch) + 1
    this.appends.push({ batch, baseOffset, done })
    return baseOffset
  }

  /** Makes the first `count` appends durable. */
  commit(count = this.appends.length): void {
    for (const { batch, baseOffset, done } of this.appends.splice(0, count)) {
      if (this.broken) {
        done(refused, -1)
      } else {
        this.batches.push(batch)
        this.committed = batchEndOffset(batch)
        done(undefined, baseOffset)
      }
    }
  }

  /** None of what waits reached the disk. */
  fail(): void {
    this.end = this.committed
    for (const { done } of this.appends.splice(0)) done(refused, -1)
  }

  completeReads(count = this.waitingReads.length): void {
    for (const read of this.waitingReads.splice(0, count)) read()
  }

  read(fromOffset: number, options: ReadOptions): Effect.Effect<ReadResult, OffsetOutOfRange> {
    const now = Effect.suspend(() => this.readNow(fromOffset, options))
    if (!this.slowReads) return now
    return Effect.flatMap(
      Effect.async<void>((resume) => void this.waitingReads.push(() => resume(Effect.void))),
      () => now
    )
  }

  private readNow(fromOffset: number, options: ReadOptions): Effect.Effect<ReadResult, OffsetOutOfRange> {
    this.reads++
    if (fromOffset < this.start || fromOffset > this.committed) {
      return Effect.fail(new OffsetOutOfRange({ offset: fromOffset, startOffset: this.start, committedOffset: this.committed }))
    }
    const found: Array<Uint8Array> = []
    let nextOffset = fromOffset
    let bytes = 0
    for (const batch of this.batches) {
      if (batchEndOffset(batch) <= fromOffset) continue
      if (bytes > 0 && bytes + batch.length > options.bytesMax) break
      nextOffset = batchEndOffset(batch)
      let wanted = options.keyFilter === undefined
      forEachRecord(batch, (record) => {
        if (options.keyFilter?.(record.key as Buffer) === true) wanted = true
      })
      if (!wanted) continue
      found.push(batch)
      bytes += batch.length
    }
    return Effect.succeed({ batches: found, nextOffset })
  }

  trim(offset: number) {
    return Effect.sync(() => {
      this.start = Math.max(this.start, Math.min(offset, this.committed))
      this.batches = this.batches.filter((batch) => batchEndOffset(batch) > this.start)
    })
  }

  offsetForTimestamp() {
    return Effect.succeed(this.end)
  }
}
