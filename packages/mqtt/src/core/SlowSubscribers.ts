/**
 * The slowest subscribers: for each the longest time between a message's arrival at the broker and its acknowledgement.
 *
 * Invariant: at most `countMax` are remembered; those not slow for `windowSeconds` are forgotten.
 */
export interface SlowSubscriber {
  readonly clientId: string
  /** The longest of the window. */
  readonly latencyMs: number
  readonly atMs: number
}

export interface SlowSubscribersOptions {
  readonly enabled: boolean
  readonly thresholdMs: number
  readonly countMax: number
  readonly windowSeconds: number
}

export class SlowSubscribers {
  private readonly slowestByClientId = new Map<string, SlowSubscriber>()

  constructor(private readonly options: SlowSubscribersOptions) {}

  observe(clientId: string, latencyMs: number, nowMs: number): void {
    if (latencyMs < this.options.thresholdMs || !this.options.enabled) return
    const before = this.slowestByClientId.get(clientId)
    if (before === undefined && this.slowestByClientId.size >= this.options.countMax && !this.makeRoom(latencyMs, nowMs)) return
    const longest = before === undefined || this.isOld(before, nowMs) ? latencyMs : Math.max(before.latencyMs, latencyMs)
    this.slowestByClientId.set(clientId, { clientId, latencyMs: longest, atMs: nowMs })
  }

  /** Slowest first. */
  list(nowMs: number): ReadonlyArray<SlowSubscriber> {
    for (const slow of this.slowestByClientId.values()) {
      if (this.isOld(slow, nowMs)) this.slowestByClientId.delete(slow.clientId)
    }
    return [...this.slowestByClientId.values()].sort((a, b) => b.latencyMs - a.latencyMs)
  }

  private isOld(slow: SlowSubscriber, nowMs: number): boolean {
    return nowMs - slow.atMs > this.options.windowSeconds * 1000
  }

  /** The fastest of the remembered goes, if it is faster than the new one or its time is over. */
  private makeRoom(latencyMs: number, nowMs: number): boolean {
    const slowest = this.list(nowMs)
    if (slowest.length < this.options.countMax) return true
    const fastest = slowest[slowest.length - 1]
    if (fastest === undefined || fastest.latencyMs >= latencyMs) return false
    this.slowestByClientId.delete(fastest.clientId)
    return true
  }
}
