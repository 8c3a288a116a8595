/**
 * Gathers records for one shard and appends them as one batch per tick.
 *
 * Invariant: `onCommitted` is called once for every batch, in the order of appending, with its items in offset order.
 */
import type { Shard } from "@effectmq/storage/Shard"
import type { StorageError } from "@effectmq/storage/StorageError"
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import type { Time } from "./Time.js"

/** A batch is appended before the tick's end when it has grown to this. */
const batchBytesMax = 1024 * 1024

export class ShardWriter<T> {
  private readonly builder = new RecordBatchBuilder()
  private items: Array<T> = []
  private scheduled = false
  private readonly flushTask = () => this.flush()

  constructor(
    readonly shard: Shard,
    private readonly time: Time,
    private readonly encode: (builder: RecordBatchBuilder, item: T) => void,
    private readonly onCommitted: (items: ReadonlyArray<T>, baseOffset: number, error: StorageError | undefined) => void,
    /** Told at once which offsets a batch was given; -1 where it was refused. */
    private readonly onAppended?: (items: ReadonlyArray<T>, baseOffset: number) => void
  ) {}

  append(item: T): void {
    this.encode(this.builder, item)
    this.items.push(item)
    if (this.builder.sizeBytes >= batchBytesMax) {
      this.flush()
    } else if (!this.scheduled) {
      this.scheduled = true
      this.time.afterTick(this.flushTask)
    }
  }

  /** Appends now what has gathered. */
  flush(): void {
    this.scheduled = false
    if (this.items.length === 0) return
    const items = this.items
    this.items = []
    const given = this.shard.append(this.builder.finish(), (error, baseOffset) => this.onCommitted(items, baseOffset, error))
    this.onAppended?.(items, given)
  }
}
