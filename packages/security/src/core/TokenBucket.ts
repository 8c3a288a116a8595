/**
 * A rate: so many units a second on average, and a burst at once.
 *
 * What was received is taken whether or not there is enough; the bucket then holds a debt, and says how long to stop reading
 * until it is paid. The caller brings a clock that counts milliseconds and should not go back; where it does, no time passed.
 */
export class TokenBucket {
  private available: number
  private lastMs: number | undefined

  /**
   * @param ratePerSecond above 0; `Infinity` for no limit
   * @param burst units that may come at once after a pause; default: what one second brings
   */
  constructor(
    readonly ratePerSecond: number,
    readonly burst: number = ratePerSecond
  ) {
    if (!(ratePerSecond > 0) || !(burst > 0)) throw new Error("a rate and its burst are above zero")
    this.available = burst
  }

  /** Takes `units` and gives the milliseconds to wait before the next; 0: go on. */
  take(nowMs: number, units: number): number {
    if (this.ratePerSecond === Number.POSITIVE_INFINITY) return 0
    this.refill(nowMs)
    this.available -= units
    return this.available >= 0 ? 0 : Math.ceil((-this.available * 1000) / this.ratePerSecond)
  }

  /** Takes `units` only if they are there now. */
  tryTake(nowMs: number, units: number): boolean {
    if (this.ratePerSecond === Number.POSITIVE_INFINITY) return true
    this.refill(nowMs)
    if (this.available < units) return false
    this.available -= units
    return true
  }

  private refill(nowMs: number): void {
    if (this.lastMs === undefined) this.lastMs = nowMs
    const elapsedMs = nowMs - this.lastMs
    this.lastMs = nowMs
    if (elapsedMs > 0) this.available = Math.min(this.burst, this.available + (elapsedMs * this.ratePerSecond) / 1000)
  }
}
