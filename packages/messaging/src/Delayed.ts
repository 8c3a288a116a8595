/**
 * Messages that are published later: `$delayed/<seconds>/<topic>`, and wills that wait. Kept in the compacted topic
 * `__delayed` (key: id, no value once it is done), in memory as a heap by the time they are due.
 *
 * Invariants
 * - A delayed message is removed from the shard only after its publish was taken over. A crash between the two is found at the
 *   next start by its origin in the log. Where it is not there, nothing durable matched: then it may be published again, and at
 *   QoS 2 those who are connected get it only once its removal is durable.
 * - No id is given twice, whatever the clock does: it names the place in the shard at which this process began.
 */
import * as Effect from "effect/Effect"
import type { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { replayShard } from "@effectmq/storage/replayShard"
import type { Shard } from "@effectmq/storage/Shard"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import { DueQueue } from "./core/DueQueue.js"
import { Message } from "./Message.js"
import { appendMessage, appendRemoval, readMessages } from "./MessageRecord.js"
import type { Acknowledger } from "./Publish.js"
import { ShardWriter } from "./ShardWriter.js"
import type { Time } from "./Time.js"

export interface DelayedLimits {
  /** Messages that may wait at one time. */
  readonly countMax: number
  /** Of all of them, topics and properties included. */
  readonly bytesMax: number
}

export interface DelayedEntry {
  /** Unique in the tenant; also the origin of its publish. Where the message has an origin of its own: `d:` and that. */
  readonly id: string
  readonly dueMs: number
  readonly message: Message
}

interface Write {
  readonly id: string
  readonly entry: DelayedEntry | undefined
  readonly done: ((error: StorageError | undefined) => void) | undefined
}

/** What the ids of delayed messages begin with. */
export const delayedPrefix = "d:"

/** How long a publish that failed waits for its next try. */
const retryMs = 1000

export class Delayed {
  private readonly entriesById = new Map<string, DelayedEntry>()
  private sizeBytes = 0
  private readonly queue = new DueQueue<string>()
  private readonly writer: ShardWriter<Write>
  private stopTimer: (() => void) | undefined
  /** What was given an id in an earlier life and is known today has moved the shard's end. */
  private readonly life: number
  private sequence = 0
  private publish: ((message: Message, acknowledger: Acknowledger) => void) | undefined

  private constructor(
    shard: Shard,
    private readonly time: Time,
    /** May be replaced; what is over a bound that was lowered stays. */
    public limits: DelayedLimits
  ) {
    this.life = shard.endOffset()
    this.writer = new ShardWriter<Write>(shard, time, encodeWrite, (writes, _baseOffset, error) => {
      for (const { done } of writes) done?.(error)
    })
  }

  static open(shard: Shard, time: Time, limits: DelayedLimits): Effect.Effect<Delayed, StorageError | OffsetOutOfRange> {
    return Effect.gen(function* () {
      const delayed = new Delayed(shard, time, limits)
      yield* replayShard(shard, shard.startOffset(), (batch) =>
        readMessages(
          batch,
          undefined,
          (message, _offset, key) => delayed.restore(key, message),
          (key) => delayed.forget(key)
        )
      )
      return delayed
    })
  }

  /** Begins to publish what is due; `done` are the origins that the log already has. */
  start(publish: (message: Message, acknowledger: Acknowledger) => void, done: ReadonlySet<string>): void {
    for (const id of done) this.cancel(id)
    for (const entry of this.entriesById.values()) this.queue.push(entry.dueMs, entry.id)
    this.publish = publish
    this.arm()
  }

  stop(): void {
    this.stopTimer?.()
    this.stopTimer = undefined
    this.publish = undefined
  }

  get count(): number {
    return this.entriesById.size
  }

  /** What those that wait cost to keep. */
  get bytes(): number {
    return this.sizeBytes
  }

  ids(): IterableIterator<string> {
    return this.entriesById.keys()
  }

  list(): ReadonlyArray<DelayedEntry> {
    return [...this.entriesById.values()].sort((a, b) => a.dueMs - b.dueMs)
  }

  /** Keeps the message until it is due; the id, or undefined where the bound is reached (nobody is then told). */
  schedule(message: Message, dueMs: number, acknowledger: Acknowledger | undefined, token: number): string | undefined {
    const { bytesMax, countMax } = this.limits
    if (this.entriesById.size >= countMax || this.sizeBytes + message.sizeBytes > bytesMax) return undefined
    const id = `${delayedPrefix}${message.origin ?? `${this.life.toString(36)}:${(this.sequence++).toString(36)}`}`
    const payload = Buffer.from(message.payload)
    const kept = new Message(
      message.topic,
      payload,
      0,
      payload.length,
      message.qos,
      message.retain,
      message.properties,
      // As it is found again after a restart: from then on it counts as published.
      dueMs,
      message.expiresAtMs,
      message.publisher,
      id
    )
    const entry = { id, dueMs, message: kept }
    if (!this.entriesById.has(id)) this.queue.push(dueMs, id)
    this.remember(entry)
    const done = (error: StorageError | undefined) => {
      // It is not there, and its publisher knows: it may send it again under another id.
      if (error !== undefined && this.entriesById.get(id) === entry) this.forget(id)
      acknowledger?.acknowledged(token, error, 0, -1, -1)
    }
    this.writer.append({ id, entry, done })
    this.arm()
    return id
  }

  /** Answers whether there was one; `done` is told what came of its removal. */
  cancel(id: string, done?: (error: StorageError | undefined) => void): boolean {
    if (!this.forget(id)) return false
    this.writer.append({ id, entry: undefined, done })
    return true
  }

  /** Appends what has gathered in this tick. */
  flush(): void {
    this.writer.flush()
  }

  private restore(id: string, message: Message): void {
    this.remember({ id, dueMs: message.publishedAtMs, message })
  }

  private remember(entry: DelayedEntry): void {
    this.forget(entry.id)
    this.entriesById.set(entry.id, entry)
    this.sizeBytes += entry.message.sizeBytes
  }

  private forget(id: string): boolean {
    const entry = this.entriesById.get(id)
    if (entry === undefined) return false
    this.sizeBytes -= entry.message.sizeBytes
    return this.entriesById.delete(id)
  }

  private arm(): void {
    this.stopTimer?.()
    this.stopTimer = undefined
    const nextMs = this.queue.nextMs()
    if (this.publish === undefined || nextMs === undefined) return
    this.stopTimer = this.time.after(nextMs - this.time.nowMs(), () => this.fire())
  }

  private fire(): void {
    const nowMs = this.time.nowMs()
    for (let id = this.queue.pop(nowMs); id !== undefined; id = this.queue.pop(nowMs)) {
      const entry = this.entriesById.get(id)
      if (entry === undefined) continue
      this.publish?.(entry.message, new Firing(this, entry))
      // Nobody answers for QoS 0: it is taken over as it is published.
      if (entry.message.qos === 0) this.cancel(id)
    }
    this.arm()
  }

  /** The publish failed, or that it was done: it is tried again. */
  again(entry: DelayedEntry): void {
    this.remember(entry)
    this.queue.push(this.time.nowMs() + retryMs, entry.id)
    this.arm()
  }
}

class Firing implements Acknowledger {
  private deliver: (() => void) | undefined

  constructor(
    private readonly delayed: Delayed,
    private readonly entry: DelayedEntry
  ) {}

  deliverLater(_token: number, deliver: () => void): void {
    this.deliver = deliver
  }

  acknowledged(_token: number, error: StorageError | undefined, _matched: number, source: number): void {
    const { delayed, entry, deliver } = this
    // In the log it has reached whoever must get it once: what else failed is not worth doing that again.
    const isLogged = source >= 0 && entry.message.qos === 2
    if (error !== undefined && !isLogged) {
      delayed.again(entry)
    } else if (isLogged || deliver === undefined) {
      delayed.cancel(entry.id)
      deliver?.()
    } else {
      delayed.cancel(entry.id, (error) => {
        if (error === undefined) deliver()
        else delayed.again(entry)
      })
    }
  }
}

const encodeWrite = (builder: RecordBatchBuilder, write: Write): void => {
  if (write.entry === undefined) appendRemoval(builder, write.id)
  else appendMessage(builder, write.entry.message, write.id, write.entry.dueMs)
}
