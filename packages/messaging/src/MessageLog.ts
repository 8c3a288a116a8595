/**
 * The MQTT log of a tenant: the shards ("sources") in which QoS 1 and 2 messages for durable subscribers stand once.
 *
 * Invariants
 * - `onCommitted` is called in offset order per source; `dispatched(source)` is one past the last offset it was called for.
 * - Nothing at or past the lowest offset that a holder needs is trimmed.
 */
import * as Effect from "effect/Effect"
import type { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { replayShard } from "@effectmq/storage/replayShard"
import type { Shard } from "@effectmq/storage/Shard"
import type { StorageError } from "@effectmq/storage/StorageError"
import type { Message } from "./Message.js"
import { appendMessage, keyToTopic, readMessages } from "./MessageRecord.js"
import type { PendingPublish } from "./Publish.js"
import { ShardWriter } from "./ShardWriter.js"
import type { LogEntry } from "./Subscriber.js"
import type { Time } from "./Time.js"

/** Somebody who still needs messages of the log. */
export interface LogHolder {
  /** The lowest offset it needs; Infinity where it needs none. */
  lowestHeld(source: number): number
}

export type ReadCallback = (entries: ReadonlyArray<LogEntry>, nextOffset: number, lostCount: number) => void

/** Where an origin was found: for exactly-once after a restart. */
export interface FoundOrigin {
  readonly origin: string
  readonly source: number
  readonly offset: number
}

const retryMs = 1000

export class MessageLog {
  private readonly writers: ReadonlyArray<ShardWriter<PendingPublish>>
  private readonly dispatchedOffsets: Array<number>
  private readonly holders = new Set<LogHolder>()
  /** Messages with an origin that are in the log, while other things of them are not stored yet. */
  private open: Array<PendingPublish> = []

  constructor(
    private readonly shards: ReadonlyArray<Shard>,
    private readonly time: Time,
    /** Runs an effect in the background; failures are the effect's own to handle. */
    private readonly run: (effect: Effect.Effect<void>) => void,
    private readonly onCommitted: (publish: PendingPublish) => void
  ) {
    this.dispatchedOffsets = shards.map((shard) => shard.endOffset())
    this.writers = shards.map(
      (shard, source) =>
        new ShardWriter<PendingPublish>(shard, time, encodePublish, (items, baseOffset, error) =>
          this.committed(source, items, baseOffset, error)
        )
    )
  }

  get sourceCount(): number {
    return this.shards.length
  }

  /** Appends the message of a publish; `publish.done` follows. */
  append(source: number, publish: PendingPublish): void {
    ;(this.writers[source] as ShardWriter<PendingPublish>).append(publish)
  }

  /** One past the newest message given to subscribers. */
  dispatched(source: number): number {
    return this.dispatchedOffsets[source] as number
  }

  /** The same, less what its publisher was not told of: before it, whoever tagged a message knows that it is in the log. */
  told(source: number): number {
    this.open = this.open.filter(({ waiting }) => waiting > 0)
    return this.open.reduce(
      (lowest, publish) => (publish.source === source ? Math.min(lowest, publish.offset) : lowest),
      this.dispatched(source)
    )
  }

  /** One past the newest message by source, those not yet committed included: where a new subscription begins. */
  ends(): ReadonlyArray<number> {
    for (const writer of this.writers) writer.flush()
    return this.shards.map((shard) => shard.endOffset())
  }

  /** Reads on behind `from`; where messages were trimmed it goes on at the first there is, and says how many are gone. */
  read(source: number, from: number, bytesMax: number, wants: (topic: string) => boolean, callback: ReadCallback): void {
    const shard = this.shards[source] as Shard
    const start = Math.max(from, shard.startOffset())
    const attempt: Effect.Effect<void> = shard.read(start, { bytesMax, keyFilter: (key) => wants(keyToTopic(key)) }).pipe(
      Effect.flatMap((result) =>
        Effect.sync(() => {
          const entries: Array<LogEntry> = []
          for (const batch of result.batches) {
            readMessages(batch, wants, (message, offset) => {
              if (offset >= start) entries.push({ message, source, offset })
            })
          }
          callback(entries, result.nextOffset, start - from)
        })
      ),
      Effect.catchTag("OffsetOutOfRange", () => Effect.sync(() => callback([], shard.startOffset(), 0))),
      Effect.catchAll((error) =>
        Effect.logError("a subscriber's backlog cannot be read; trying again").pipe(
          Effect.annotateLogs({ shard: shard.id.topic, source, from, reason: error.reason, error: error.message }),
          Effect.andThen(
            Effect.sync(() => {
              this.time.after(retryMs, () => this.run(attempt))
            })
          )
        )
      )
    )
    this.run(attempt)
  }

  /** One message by its place; undefined where it is no longer there. */
  fetch(source: number, offset: number, callback: (message: Message | undefined) => void): void {
    if (offset < (this.shards[source] as Shard).startOffset()) {
      callback(undefined)
      return
    }
    this.read(
      source,
      offset,
      1,
      () => true,
      (entries) => {
        callback(entries.find((entry) => entry.offset === offset)?.message)
      }
    )
  }

  /** Every origin in the log at or behind the positions, in offset order per source. */
  originsSince(positions: ReadonlyArray<number>, visit: (found: FoundOrigin) => void): Effect.Effect<void, StorageError> {
    return Effect.forEach(this.shards, (shard, source) => this.originsOf(shard, source, positions[source] ?? 0, visit), {
      discard: true
    })
  }

  /** Appends what has gathered in this tick. */
  flush(): void {
    for (const writer of this.writers) writer.flush()
  }

  hold(holder: LogHolder): void {
    this.holders.add(holder)
  }

  release(holder: LogHolder): void {
    this.holders.delete(holder)
  }

  /** Forgets what no holder needs. */
  get trim(): Effect.Effect<void, StorageError> {
    return Effect.forEach(
      this.shards,
      (shard, source) =>
        Effect.suspend(() => {
          let lowest = this.dispatched(source)
          for (const holder of this.holders) lowest = Math.min(lowest, holder.lowestHeld(source))
          return lowest > shard.startOffset() ? shard.trim(lowest) : Effect.void
        }),
      { discard: true }
    )
  }

  private originsOf(
    shard: Shard,
    source: number,
    from: number,
    visit: (found: FoundOrigin) => void
  ): Effect.Effect<void, StorageError> {
    return replayShard(shard, Math.max(from, shard.startOffset()), (batch) =>
      readMessages(batch, undefined, (message, offset) => {
        if (message.origin !== undefined && offset >= from) visit({ origin: message.origin, source, offset })
      })
    ).pipe(Effect.catchTag("OffsetOutOfRange", () => this.originsOf(shard, source, shard.startOffset(), visit)))
  }

  private committed(
    source: number,
    publishes: ReadonlyArray<PendingPublish>,
    baseOffset: number,
    error: StorageError | undefined
  ): void {
    if (error !== undefined) {
      for (const publish of publishes) publish.done(error)
      return
    }
    for (let index = 0; index < publishes.length; index++) {
      const publish = publishes[index] as PendingPublish
      publish.source = source
      publish.offset = baseOffset + index
      this.dispatchedOffsets[source] = baseOffset + index + 1
      this.onCommitted(publish)
      publish.done(undefined)
      if (publish.waiting > 0 && publish.message.origin !== undefined) this.open.push(publish)
    }
  }
}

const encodePublish = (builder: RecordBatchBuilder, publish: PendingPublish): void => appendMessage(builder, publish.message)
