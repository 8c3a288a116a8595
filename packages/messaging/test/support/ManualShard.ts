/**
 * A shard in memory that commits when the test says so: what waits for durability can be looked at while it waits.
 */
import { batchEndOffset, batchLastOffsetDelta, setBaseOffset } from "@effectmq/schemas/record/RecordBatch"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import type { ShardId } from "@effectmq/schemas/ShardId"
import type { AppendCallback, ReadOptions, Shard } from "@effectmq/storage/Shard"
import { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"

export class ManualShard implements Shard {
  private readonly batches: Array<Uint8Array> = []
  private pending: Array<{ readonly batch: Uint8Array; readonly baseOffset: number; readonly done: AppendCallback }> = []
  private start = 0
  private end = 0
  private committed = 0
  reads = 0

  constructor(readonly id: ShardId = { tenant: "default", topic: "t", partition: 0 }) {}

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
    this.end += batchLastOffsetDelta(batch) + 1
    this.pending.push({ batch, baseOffset, done })
    return baseOffset
  }

  commit(): void {
    const pending = this.pending
    this.pending = []
    for (const { batch } of pending) this.batches.push(batch)
    this.committed = this.end
    for (const { baseOffset, done } of pending) done(undefined, baseOffset)
  }

  fail(): void {
    const pending = this.pending
    this.pending = []
    this.end = this.committed
    for (const { done } of pending) done(new StorageError({ reason: "io", message: "as the test says" }), -1)
  }

  read(fromOffset: number, options: ReadOptions) {
    return Effect.suspend(() => {
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
    })
  }

  trim(offset: number) {
    return Effect.sync(() => {
      this.start = Math.max(this.start, Math.min(offset, this.committed))
    })
  }

  offsetForTimestamp() {
    return Effect.succeed(this.end)
  }
}
