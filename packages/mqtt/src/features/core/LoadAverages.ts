/**
 * How much happens per minute, as an average that forgets: over 1, 5 and 15 minutes, as of a Unix machine's load.
 *
 * With `r` the rate since the last look and `t` the time since then, average := r + exp(-t / period) * (average - r).
 */
export const loadPeriods = [
  ["1min", 60],
  ["5min", 300],
  ["15min", 900]
] as const

export class LoadAverages {
  private lastCount: number | undefined = undefined
  private lastMs = 0
  /** In the order of `loadPeriods`, per minute. */
  readonly perMinute: Array<number> = loadPeriods.map(() => 0)

  /** `count` since start. The first look only remembers it; one without any time since the last changes nothing. */
  look(count: number, nowMs: number): void {
    const seconds = (nowMs - this.lastMs) / 1000
    const before = this.lastCount
    if (before !== undefined && seconds <= 0) return
    this.lastCount = count
    this.lastMs = nowMs
    if (before === undefined) return
    const rate = (Math.max(0, count - before) * 60) / seconds
    for (let index = 0; index < loadPeriods.length; index++) {
      const average = this.perMinute[index] as number
      const [, periodSeconds] = loadPeriods[index] as (typeof loadPeriods)[number]
      this.perMinute[index] = rate + Math.exp(-seconds / periodSeconds) * (average - rate)
    }
  }
}
