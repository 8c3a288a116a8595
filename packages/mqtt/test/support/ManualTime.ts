/**
 * Time that stands still until the test moves it; ticks end when the test says so.
 */
import type { Time } from "@effectmq/messaging/Time"

interface Timer {
  readonly dueMs: number
  readonly task: () => void
}

export class ManualTime implements Time {
  private tasks: Array<() => void> = []
  private timers: Array<Timer> = []

  constructor(private now = 1_700_000_000_000) {}

  nowMs(): number {
    return this.now
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
    this.now += ms
    for (;;) {
      const due = this.timers.filter((timer) => timer.dueMs <= this.now).sort((a, b) => a.dueMs - b.dueMs)[0]
      if (due === undefined) return
      this.timers = this.timers.filter((timer) => timer !== due)
      due.task()
    }
  }
}
