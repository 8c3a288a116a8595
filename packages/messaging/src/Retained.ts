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
import { replayShard } from "@effectmq/storage/replayShard"
import type { Shard } from "@effectmq/storage/Shard"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import { type TopicCursor, TopicIndex } from "./core/TopicIndex.js"
import { Message } from "./Message.js"
import { type RetainedLookup, type RetainedRange, RetainedReplay } from "./RetainedReplay.js"
import { appendMessage, appendRemoval, readMessages } from "./MessageRecord.js"
import { ShardWriter } from "./ShardWriter.js"
import type { Time } from "./Time.js"

export interface RetainedLimits {
  readonly messagesMax: number
  /** Of all of them, topics and properties included. */
  readonly bytesMax: number
  readonly payloadBytesMax: number
}

export interface RetainedEntry {
  readonly message: Message
  /** In the retained shard; -1 until it is appended, at the end of the tick or by `flush`. */
  offset: number
  /** Rises with every message that is kept. */
  readonly sequence: number
}

/** What a filter matched when it was asked for, given out piece by piece. */
export interface RetainedCursor {
  readonly done: boolean
  /**
   * The next entry; undefined where none was found in about so many steps, or none is left. What was replaced or removed since
   * is left out: whoever asked has subscribed, and sees that as it happens.
   */
  next(stepsMax: number): RetainedEntry | undefined
}

interface Write {
  readonly topic: string
  /** undefined removes. */
  readonly entry: RetainedEntry | undefined
  readonly done: ((error: StorageError | undefined) => void) | undefined
}

/** Nodes looked at by one `sweep`: it goes on where the last one stopped. */
const sweepVisitsMax = 20_000
/** How far `matchesAny` looks before it says that there may be a match. */
const anyVisitsMax = 32

export class Retained {
  private readonly entries = new TopicIndex<RetainedEntry>()
  private readonly writer: ShardWriter<Write>
  private sizeBytes = 0
  /** Of those below `$SYS/`. */
  private volatileBytes = 0
  /** Entries below `$SYS/`. */
  private volatileCount = 0
  /** Entries that expire. */
  private expiringCount = 0
  private lastSequence = 0
  private swept: TopicCursor<RetainedEntry> | undefined
  /** Messages refused because a bound was reached. */
  refusedCount = 0

  private constructor(
    private readonly shard: Shard,
    private readonly time: Time,
    /** May be replaced; what is over a bound that was lowered stays. */
    public limits: RetainedLimits
  ) {
    this.writer = new ShardWriter<Write>(
      shard,
      time,
      encodeWrite,
      (writes, _baseOffset, error) => {
        for (const { done } of writes) done?.(error)
      },
      (writes, baseOffset) => {
        if (baseOffset < 0) return
        writes.forEach(({ entry }, index) => {
          if (entry !== undefined) entry.offset = baseOffset + index
        })
      }
    )
  }

  /** Replays the shard. */
  static open(shard: Shard, time: Time, limits: RetainedLimits): Effect.Effect<Retained, StorageError | OffsetOutOfRange> {
    return Effect.gen(function* () {
      const retained = new Retained(shard, time, limits)
      yield* replayShard(shard, shard.startOffset(), (batch) =>
        readMessages(
          batch,
          undefined,
          (message, offset) => retained.put(ownCopy(message), offset),
          (topic) => retained.remove(topic)
        )
      )
      return retained
    })
  }

  get count(): number {
    return this.entries.size
  }

  /** What they cost to keep. */
  get bytes(): number {
    return this.sizeBytes
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
      else this.put(ownCopy(message), -1)
      done?.(undefined)
      return true
    }
    if (size === 0) {
      if (!this.remove(message.topic) && done === undefined) return true
      this.writer.append({ topic: message.topic, entry: undefined, done })
      return true
    }
    if (size > this.limits.payloadBytesMax || !this.hasRoom(message)) {
      this.refusedCount++
      return false
    }
    const entry = this.put(ownCopy(message), -1)
    this.writer.append({ topic: message.topic, entry, done })
    return true
  }

  /** Removes a topic's message by hand; answers whether there was one. */
  delete(topic: string): boolean {
    if (!this.remove(topic)) return false
    if (!isVolatile(topic)) this.writer.append({ topic, entry: undefined, done: undefined })
    return true
  }

  /** Finds the entries whose topics the filter matches and which have not expired: those there are now. */
  find(filter: string): RetainedCursor {
    const cursor = this.entries.find(filter)
    const upTo = this.lastSequence
    return {
      get done() {
        return cursor.done
      },
      next: (stepsMax) => {
        const entry = cursor.next(stepsMax)
        return entry === undefined || entry.sequence > upTo || isExpired(entry.message, this.time.nowMs()) ? undefined : entry
      }
    }
  }

  /** The same in the order of their offsets; `range` where it goes on after a restart. */
  replay(filter: string, range?: RetainedRange): RetainedReplay {
    // What is on its way has an offset from now on.
    this.writer.flush()
    const lookup: RetainedLookup = {
      find: () => this.entries.find(filter),
      isCurrent: (entry) => this.entries.get(entry.message.topic) === entry && !isExpired(entry.message, this.time.nowMs())
    }
    return new RetainedReplay(lookup, range ?? { position: 0, until: this.shard.endOffset() }, this.lastSequence)
  }

  /** False where nothing matches; true where something does, or where that takes longer to find out. */
  matchesAny(filter: string): boolean {
    const cursor = this.entries.find(filter)
    return cursor.next(anyVisitsMax) !== undefined || !cursor.done
  }

  /** The entries that `find` finds, at most `max`. */
  match(filter: string, max: number = Number.POSITIVE_INFINITY): Array<RetainedEntry> {
    const found: Array<RetainedEntry> = []
    const cursor = this.find(filter)
    while (!cursor.done && found.length < max) {
      const entry = cursor.next(Number.POSITIVE_INFINITY)
      if (entry !== undefined) found.push(entry)
    }
    return found
  }

  /** Removes what has expired, a part of them at a time. */
  sweep(): number {
    if (this.expiringCount === 0) return 0
    const nowMs = this.time.nowMs()
    if (this.swept === undefined || this.swept.done) this.swept = this.entries.all()
    let removed = 0
    // An entry is found in no fewer visits than one.
    for (let visits = 0; visits < sweepVisitsMax && !this.swept.done; visits++) {
      const entry = this.swept.next(1)
      if (entry !== undefined && isExpired(entry.message, nowMs) && this.delete(entry.message.topic)) removed++
    }
    return removed
  }

  /**
   * The message at an offset of the shard: from memory where it is still its topic's, else from the shard as long as compaction
   * leaves it there. undefined where it is gone.
   */
  fetch(topic: string, offset: number): Effect.Effect<Message | undefined, StorageError> {
    const entry = this.entries.get(topic)
    if (offset < 0) return Effect.succeed(undefined)
    if (entry?.offset === offset) return Effect.succeed(entry.message)
    return Effect.gen(this, function* () {
      if (offset < this.shard.startOffset() || offset >= this.shard.committedOffset()) return undefined
      const { batches } = yield* this.shard.read(offset, { bytesMax: 1 })
      let found: Message | undefined
      for (const batch of batches) {
        readMessages(batch, undefined, (message, at) => {
          if (at === offset && message.topic === topic) found = ownCopy(message)
        })
      }
      return found
    }).pipe(Effect.catchTag("OffsetOutOfRange", () => Effect.succeed(undefined)))
  }

  /** Appends what has gathered in this tick: every entry has its offset then. */
  flush(): void {
    this.writer.flush()
  }

  private hasRoom(message: Message): boolean {
    const { bytesMax, messagesMax } = this.limits
    const before = this.entries.get(message.topic)
    if (before === undefined && this.count - this.volatileCount >= messagesMax) return false
    const bytes = this.sizeBytes - this.volatileBytes - (before?.message.sizeBytes ?? 0)
    return bytes + message.sizeBytes <= bytesMax
  }

  private put(message: Message, offset: number): RetainedEntry {
    const entry = { message, offset, sequence: ++this.lastSequence }
    const before = this.entries.set(message.topic, entry)
    if (before !== undefined) this.countIn(before, -1)
    this.countIn(entry, 1)
    return entry
  }

  private remove(topic: string): boolean {
    const before = this.entries.delete(topic)
    if (before === undefined) return false
    this.countIn(before, -1)
    return true
  }

  private countIn({ message }: RetainedEntry, by: 1 | -1): void {
    const bytes = by * message.sizeBytes
    this.sizeBytes += bytes
    if (message.expiresAtMs !== 0) this.expiringCount += by
    if (!isVolatile(message.topic)) return
    this.volatileCount += by
    this.volatileBytes += bytes
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
