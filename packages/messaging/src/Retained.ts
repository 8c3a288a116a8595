/**
 * The retained messages of a tenant [MQTT5 3.3.1.3]: one per topic, in memory and in the compacted topic `__retained`.
 *
 * Invariants
 * - What memory holds is what a replay of the shard gives, save for what is still on its way into the log and for `$SYS/`.
 * - An empty payload removes [MQTT-3.3.1-6]; a bound refuses the new and keeps the old.
 * - Below `$SYS/` stand figures that the broker publishes again and again: they are kept in memory alone, and do not count
 *   against the bounds.
 */
import * as Effect from "effect/Effect"
import type { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import type { Shard } from "@effectmq/storage/Shard"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import { TopicIndex } from "./core/TopicIndex.js"
import { Message } from "./Message.js"
import { appendMessage, appendRemoval, readMessages } from "./MessageRecord.js"
import { ShardWriter } from "./ShardWriter.js"
import type { Time } from "./Time.js"

export interface RetainedLimits {
  readonly messagesMax: number
  readonly payloadBytesMax: number
}

export interface RetainedEntry {
  readonly message: Message
  /** In the retained shard; -1 until its append has been given one. */
  offset: number
}

interface Write {
  readonly topic: string
  /** undefined removes. */
  readonly entry: RetainedEntry | undefined
  readonly done: ((error: StorageError | undefined) => void) | undefined
}

export class Retained {
  private readonly entries = new TopicIndex<RetainedEntry>()
  private readonly writer: ShardWriter<Write>
  private payloadBytes = 0
  /** Entries below `$SYS/`. */
  private volatileCount = 0
  /** Messages refused because a bound was reached. */
  refusedCount = 0

  private constructor(
    private readonly shard: Shard,
    private readonly time: Time,
    private readonly limits: RetainedLimits
  ) {
    this.writer = new ShardWriter<Write>(shard, time, encodeWrite, (writes, baseOffset, error) => {
      for (let index = 0; index < writes.length; index++) {
        const { entry, done } = writes[index] as Write
        if (entry !== undefined && error === undefined) entry.offset = baseOffset + index
        done?.(error)
      }
    })
  }

  /** Replays the shard. */
  static open(shard: Shard, time: Time, limits: RetainedLimits): Effect.Effect<Retained, StorageError | OffsetOutOfRange> {
    return Effect.gen(function* () {
      const retained = new Retained(shard, time, limits)
      let position = shard.startOffset()
      while (position < shard.committedOffset()) {
        const result = yield* shard.read(position, { bytesMax: 4 * 1024 * 1024 })
        for (const batch of result.batches) {
          readMessages(
            batch,
            undefined,
            (message, offset) => retained.put({ message: ownCopy(message), offset }),
            (topic) => retained.remove(topic)
          )
        }
        position = result.nextOffset
      }
      return retained
    })
  }

  get count(): number {
    return this.entries.size
  }

  get bytes(): number {
    return this.payloadBytes
  }

  get(topic: string): RetainedEntry | undefined {
    const entry = this.entries.get(topic)
    return entry === undefined || isExpired(entry.message, this.time.nowMs()) ? undefined : entry
  }

  /**
   * Keeps or removes the topic's message; `done` when that is durable. False where a bound refuses it (`done` is then not
   * called).
   */
  publish(message: Message, done: ((error: StorageError | undefined) => void) | undefined): boolean {
    const size = message.payloadEnd - message.payloadStart
    if (isVolatile(message.topic)) {
      if (size === 0) this.remove(message.topic)
      else this.put({ message: ownCopy(message), offset: -1 })
      done?.(undefined)
      return true
    }
    if (size === 0) {
      if (!this.remove(message.topic) && done === undefined) return true
      this.writer.append({ topic: message.topic, entry: undefined, done })
      return true
    }
    const full = this.count - this.volatileCount >= this.limits.messagesMax && this.entries.get(message.topic) === undefined
    if (size > this.limits.payloadBytesMax || full) {
      this.refusedCount++
      return false
    }
    const entry = { message: ownCopy(message), offset: -1 }
    this.put(entry)
    this.writer.append({ topic: message.topic, entry, done })
    return true
  }

  /** Removes a topic's message by hand; answers whether there was one. */
  delete(topic: string): boolean {
    if (!this.remove(topic)) return false
    if (!isVolatile(topic)) this.writer.append({ topic, entry: undefined, done: undefined })
    return true
  }

  /** The entries whose topics the filter matches and which have not expired, at most `max`. */
  match(filter: string, max: number = Number.POSITIVE_INFINITY): Array<RetainedEntry> {
    const nowMs = this.time.nowMs()
    const found: Array<RetainedEntry> = []
    this.entries.match(filter, (entry) => {
      if (!isExpired(entry.message, nowMs)) found.push(entry)
      return found.length < max
    })
    return found
  }

  /** Removes what has expired. */
  sweep(): number {
    const nowMs = this.time.nowMs()
    const expired: Array<string> = []
    this.entries.visit((entry) => {
      if (isExpired(entry.message, nowMs)) expired.push(entry.message.topic)
      return true
    })
    for (const topic of expired) this.delete(topic)
    return expired.length
  }

  /** The message at an offset of the shard, if it is still its topic's. */
  fetch(topic: string, offset: number): Message | undefined {
    const entry = this.entries.get(topic)
    return entry?.offset === offset ? entry.message : undefined
  }

  /** Appends what has gathered in this tick. */
  flush(): void {
    this.writer.flush()
  }

  /** The shard, for those who read it by offset. */
  get source(): Shard {
    return this.shard
  }

  private put(entry: RetainedEntry): void {
    const { message } = entry
    this.remove(message.topic)
    this.payloadBytes += message.payloadEnd - message.payloadStart
    if (isVolatile(message.topic)) this.volatileCount++
    this.entries.set(message.topic, entry)
  }

  private remove(topic: string): boolean {
    const before = this.entries.get(topic)
    if (before === undefined) return false
    this.payloadBytes -= before.message.payloadEnd - before.message.payloadStart
    if (isVolatile(topic)) this.volatileCount--
    return this.entries.delete(topic)
  }
}

const isVolatile = (topic: string): boolean => topic.startsWith("$SYS/")

const isExpired = (message: Message, nowMs: number): boolean => message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs

/** A copy that does not keep alive the chunk the message came in. */
const ownCopy = (message: Message): Message => {
  const payload = Buffer.from(message.payload)
  return new Message(
    message.topic,
    payload,
    0,
    payload.length,
    message.qos,
    true,
    message.properties,
    message.publishedAtMs,
    message.expiresAtMs,
    message.publisher,
    undefined
  )
}

const encodeWrite = (builder: RecordBatchBuilder, write: Write): void => {
  if (write.entry === undefined) appendRemoval(builder, write.topic)
  else appendMessage(builder, write.entry.message)
}
