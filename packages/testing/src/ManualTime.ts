/**
 * The port `Time` of messaging, as the test says: time stands still until it is moved, and ticks end when they are ended. The calendar
 * can be set; timers go by how much time has passed.
 */

interface Timer {
  readonly dueMs: number
  readonly task: () => void
}

export class ManualTime {
  private tasks: Array<() => void> = []
  private timers: Array<Timer> = []
  private setByMs = 0

  constructor(private now = 1_700_000_000_000) {}

  nowMs(): number {
    return this.now + this.setByMs
  }

  /** By a clock that nobody sets. */
  uptimeMs(): number {
    return this.now
  }

  /** Somebody sets the calendar's clock, by so much; no time passes. */
  setClock(byMs: number): void {
    this.setByMs += byMs
  }

  afterTick(task: () => void): void {
    this.tasks.push(task)
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { dueMs: this.now + Math.max(0, delayMs), task }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((other) => other !== timer)
    }
  }

  get pending(): number {
    return this.tasks.length
  }

  endTick(): void {
    while (this.tasks.length > 0) for (const task of this.tasks.splice(0)) task()
  }

  advance(ms: number): void {
    const untilMs = this.now + ms
    for (;;) {
      const due = this.timers.filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0]
      if (due === undefined) break
      this.timers = this.timers.filter((timer) => timer !== due)
      this.now = due.dueMs
      due.task()
    }
    this.now = untilMs
  }
}
