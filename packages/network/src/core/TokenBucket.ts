/**
 * How many per second, with a burst: refilled by time that the caller tells.
 *
 * Invariant: 0 <= tokens <= burst.
 */
export class TokenBucket {
  private tokens: number
  private filledAtMs: number | undefined = undefined

  constructor(
    readonly perSecond: number,
    readonly burst: number
  ) {
    if (!(perSecond > 0) || !(burst >= 1)) throw new Error(`token bucket: ${perSecond} per second, burst ${burst}`)
    this.tokens = burst
  }

  /** @param nowMs a clock that does not go back; where it does, nothing is refilled */
  take(nowMs: number): boolean {
    if (this.filledAtMs !== undefined && nowMs > this.filledAtMs)
      this.tokens = Math.min(this.burst, this.tokens + ((nowMs - this.filledAtMs) / 1000) * this.perSecond)
    this.filledAtMs = nowMs
    if (this.tokens < 1) return false
    this.tokens -= 1
    return true
  }
}
