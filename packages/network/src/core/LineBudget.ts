/**
 * How many lines a log may get about something that others can cause at will: so many at once, then one each `quietMs`, which says
 * how many were not written.
 */
export class LineBudget {
  private left: number
  private refilledMs: number
  private unsaid = 0

  constructor(
    private readonly burst: number,
    private readonly quietMs: number,
    nowMs: number
  ) {
    this.left = burst
    this.refilledMs = nowMs
  }

  /** How many lines this one stands for, itself among them; 0: write none. */
  take(nowMs: number): number {
    // A clock that was set back: silence until it is where it was would be long.
    if (nowMs < this.refilledMs) this.refilledMs = nowMs
    const earned = Math.floor((nowMs - this.refilledMs) / this.quietMs)
    if (earned > 0) {
      this.left = Math.min(this.burst, this.left + earned)
      this.refilledMs += earned * this.quietMs
    }
    if (this.left === 0) {
      this.unsaid++
      return 0
    }
    this.left--
    const lines = this.unsaid + 1
    this.unsaid = 0
    return lines
  }
}
