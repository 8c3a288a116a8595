/**
 * Turns the commits of a tenant's log, and the log itself, into a bounded queue for one reader: a persistent session or a
 * durable shared group.
 *
 * Per source the feed is *live* (it has seen everything dispatched; entries come from memory) or *lagging* (it reads the log
 * from its position, with a filter of its subscriptions, while it has room). It lags when its queue was full, and when its
 * reader was away; it is live again when its position reaches what was dispatched.
 *
 * Invariants
 * - Entries of one source reach the reader in offset order, each once between `attach` and `detach`.
 * - The queue holds at most `queueMax` entries, and about `queueBytesMax` bytes (what one read brings comes on top).
 * - `safePosition(source)` is never past an entry that the reader has not accepted.
 */
import type { MessageLog } from "./MessageLog.js"
import type { LogEntry } from "./Subscriber.js"

/** `M`: what comes with an entry, for a session its match. */
export interface FeedReader<M> {
  /** How many entries it takes now; 0 while nobody is connected. */
  readonly capacity: number
  accept(entry: LogEntry, match: M): void
  /** What its subscriptions say now of a message read from the log; undefined where they do not want it. */
  matchLogged(entry: LogEntry): M | undefined
  /** Whether messages of that topic may be wanted. */
  wantsTopic(topic: string): boolean
  /** Messages that retention took away before they were read. */
  lost(count: number): void
}

export interface FeedLimits {
  readonly queueMax: number
  readonly queueBytesMax: number
  /** Messages kept for a reader that is away. */
  readonly offlineMax: number
}

interface Queued<M> {
  readonly entry: LogEntry
  readonly match: M
}

/** Bytes of log read at a time by a lagging feed. */
const readBytesMax = 256 * 1024

export class LogFeed<M> {
  private queue: Array<Queued<M>> = []
  private head = 0
  private queuedBytes = 0
  private readonly live: Array<boolean>
  private readonly positions: Array<number>
  private reading = false
  /** Rises with every `detach`: what a read from before it brings is not for the positions of now. */
  private generation = 0
  private attached = false
  /** Matching messages that went by while the reader was away: for the offline limit. */
  missedCount = 0
  /** Oldest missed messages that the offline limit says to pass over. */
  private skip = 0
  /** False while nothing between its positions and the newest dispatched offsets is for the reader. */
  private behind = true

  constructor(
    private readonly log: MessageLog,
    private readonly reader: FeedReader<M>,
    positions: ReadonlyArray<number>,
    private readonly limits: FeedLimits
  ) {
    this.positions = [...positions]
    this.live = this.positions.map(() => false)
  }

  get queuedCount(): number {
    return this.queue.length - this.head
  }

  /** The reader is there: reading begins at the positions. */
  attach(): void {
    if (this.attached) return
    this.attached = true
    for (let source = 0; source < this.positions.length; source++) {
      if (!this.behind) this.positions[source] = this.log.dispatched(source)
      this.live[source] = this.positions[source] === this.log.dispatched(source)
    }
    this.skip = Math.max(0, this.missedCount - this.limits.offlineMax)
    if (this.skip > 0) this.reader.lost(this.skip)
    this.missedCount = 0
    this.pump()
  }

  /** The reader has gone: what is queued is forgotten and read again from the log at the next `attach`. */
  detach(): void {
    if (!this.attached) return
    this.attached = false
    this.reading = false
    this.generation++
    this.behind = this.queuedCount > 0 || this.live.includes(false)
    for (let source = 0; source < this.positions.length; source++) this.positions[source] = this.safePosition(source)
    this.live.fill(false)
    this.missedCount = this.queuedCount
    this.queue = []
    this.head = 0
    this.queuedBytes = 0
  }

  /** A committed entry that matches; called in offset order per source. */
  offer(entry: LogEntry, match: M): void {
    if (!this.attached) {
      this.missedCount++
      this.behind = true
      return
    }
    const { source, offset } = entry
    if (this.live[source] !== true || offset < (this.positions[source] as number)) return
    if (this.queuedCount === 0 && this.reader.capacity > 0) {
      this.positions[source] = offset + 1
      this.reader.accept(entry, match)
    } else if (this.queuedCount < this.limits.queueMax && this.queuedBytes < this.limits.queueBytesMax) {
      this.positions[source] = offset + 1
      this.enqueue(entry, match)
    } else {
      this.positions[source] = offset
      this.live[source] = false
    }
  }

  /** Hands over what the reader has room for; call it whenever there may be room. */
  pump(): void {
    while (this.head < this.queue.length && this.attached && this.reader.capacity > 0) {
      const { entry, match } = this.queue[this.head++] as Queued<M>
      this.queuedBytes -= entry.message.sizeBytes
      this.reader.accept(entry, match)
    }
    if (this.head === this.queue.length && this.head > 0) {
      this.queue = []
      this.head = 0
    } else if (this.head > 1024) {
      this.queue = this.queue.slice(this.head)
      this.head = 0
    }
    const { queueBytesMax, queueMax } = this.limits
    const hasRoom = this.queuedCount <= queueMax / 2 && this.queuedBytes <= queueBytesMax / 2
    if (this.attached && !this.reading && hasRoom) this.readOn()
  }

  /** Next offset to look at: everything before it was accepted by the reader, or is not for it. */
  safePosition(source: number): number {
    // Away, and nothing came by that is for the reader: it need not hold the log.
    if (!this.attached && !this.behind) return this.log.dispatched(source)
    let position = this.live[source] === true ? this.log.dispatched(source) : (this.positions[source] as number)
    for (let index = this.head; index < this.queue.length; index++) {
      const { entry } = this.queue[index] as Queued<M>
      if (entry.source === source && entry.offset < position) {
        position = entry.offset
        break
      }
    }
    return position
  }

  /** The entry waits, without what its message came in. */
  private enqueue({ message, source, offset }: LogEntry, match: M): void {
    const kept = message.compact()
    this.queue.push({ entry: { message: kept, source, offset }, match })
    this.queuedBytes += kept.sizeBytes
  }

  private readOn(): void {
    const source = this.live.indexOf(false)
    if (source === -1) return
    const from = this.positions[source] as number
    if (from >= this.log.dispatched(source)) {
      this.live[source] = true
      this.readOn()
      return
    }
    this.reading = true
    const { generation } = this
    this.log.read(
      source,
      from,
      readBytesMax,
      (topic) => this.reader.wantsTopic(topic),
      (entries, nextOffset, lostCount) => {
        if (generation !== this.generation) return
        this.reading = false
        if (lostCount > 0) this.reader.lost(lostCount)
        for (const entry of entries) {
          if (entry.offset < from) continue
          const match = this.reader.matchLogged(entry)
          if (match === undefined) continue
          if (this.skip > 0) this.skip--
          else this.enqueue(entry, match)
        }
        // Entries committed and not yet dispatched will be offered: reading stops short of them.
        this.positions[source] = Math.max(from, nextOffset)
        if ((this.positions[source] as number) >= this.log.dispatched(source)) this.live[source] = true
        this.pump()
      }
    )
  }
}
