/**
 * Which clients are slow: the table of the slowest deliveries by client and topic, by the time from the broker taking a
 * message until the client has acknowledged it.
 *
 * Invariants
 * - At most `countMax` entries; one more pushes out the least slow of them, where it is slower than that.
 * - An entry shows the slowest delivery since it came in, and goes when none was slow for `windowSeconds`.
 */
export interface SlowSubscribersOptions {
  readonly enabled: boolean
  /** A delivery that takes longer is slow. */
  readonly thresholdMs: number
  readonly countMax: number
  readonly windowSeconds: number
}

export interface SlowSubscriber {
  readonly clientId: string
  readonly topic: string
  /** Of the slowest delivery. */
  readonly latencyMs: number
  /** Slow deliveries since the entry came in. */
  readonly deliveries: number
  /** Wall-clock ms of the last slow delivery. */
  readonly lastAtMs: number
}

interface Entry {
  readonly clientId: string
  readonly topic: string
  latencyMs: number
  deliveries: number
  lastAtMs: number
}

export class SlowSubscribers {
  /** Since start. */
  slowDeliveries = 0
  private readonly entries = new Set<Entry>()
  private readonly byClientId = new Map<string, Map<string, Entry>>()
  /** What takes longer is slow; infinite while nobody is counted. */
  thresholdMs = Number.POSITIVE_INFINITY
  private windowMs = 0
  private countMax = 0
  /** The least slow entry while the table is full. */
  private least: Entry | undefined
  /** Nothing expires before. */
  private nextExpiryMs = Number.POSITIVE_INFINITY

  constructor(options: SlowSubscribersOptions) {
    this.configure(options)
  }

  /** Other options from now on. Whom there is no more room for is forgotten, the least slow first; turned off, everybody. */
  configure(options: SlowSubscribersOptions): void {
    this.thresholdMs = options.enabled ? options.thresholdMs : Number.POSITIVE_INFINITY
    this.windowMs = options.windowSeconds * 1000
    this.countMax = options.countMax
    this.nextExpiryMs = Number.NEGATIVE_INFINITY
    if (!options.enabled) this.clear()
    while (this.entries.size > this.countMax) this.remove(this.findLeast())
  }

  /** Entries now. */
  get size(): number {
    return this.entries.size
  }

  /** A client has acknowledged a message. Called for every delivery: where it was in time this is one comparison. */
  observe(clientId: string, topic: string, latencyMs: number, nowMs: number): void {
    if (latencyMs <= this.thresholdMs) return
    this.slowDeliveries++
    const known = this.byClientId.get(clientId)?.get(topic)
    if (known !== undefined) {
      known.deliveries++
      known.lastAtMs = nowMs
      if (latencyMs > known.latencyMs) {
        known.latencyMs = latencyMs
        if (known === this.least) this.least = undefined
      }
      return
    }
    if (nowMs >= this.nextExpiryMs) this.expire(nowMs)
    if (this.entries.size >= this.countMax) {
      const least = (this.least ??= this.findLeast())
      if (latencyMs <= least.latencyMs) return
      this.remove(least)
    }
    this.add({ clientId, topic, latencyMs, deliveries: 1, lastAtMs: nowMs })
  }

  /** Slowest first. */
  list(nowMs: number): ReadonlyArray<SlowSubscriber> {
    this.expire(nowMs)
    return [...this.entries].sort((a, b) => b.latencyMs - a.latencyMs).map((entry) => ({ ...entry }))
  }

  /** Forgets everybody, or one client. */
  clear(clientId?: string): void {
    for (const entry of [...this.entries]) {
      if (clientId === undefined || entry.clientId === clientId) this.remove(entry)
    }
  }

  private add(entry: Entry): void {
    this.entries.add(entry)
    let byTopic = this.byClientId.get(entry.clientId)
    if (byTopic === undefined) {
      byTopic = new Map()
      this.byClientId.set(entry.clientId, byTopic)
    }
    byTopic.set(entry.topic, entry)
    this.nextExpiryMs = Math.min(this.nextExpiryMs, entry.lastAtMs + this.windowMs)
  }

  private remove(entry: Entry): void {
    this.entries.delete(entry)
    this.least = undefined
    const byTopic = this.byClientId.get(entry.clientId)
    byTopic?.delete(entry.topic)
    if (byTopic?.size === 0) this.byClientId.delete(entry.clientId)
  }

  private expire(nowMs: number): void {
    let nextExpiryMs = Number.POSITIVE_INFINITY
    for (const entry of this.entries) {
      const expiryMs = entry.lastAtMs + this.windowMs
      if (expiryMs <= nowMs) this.remove(entry)
      else nextExpiryMs = Math.min(nextExpiryMs, expiryMs)
    }
    this.nextExpiryMs = nextExpiryMs
  }

  private findLeast(): Entry {
    let least: Entry | undefined
    for (const entry of this.entries) {
      if (least === undefined || entry.latencyMs < least.latencyMs) least = entry
    }
    return least as Entry
  }
}
