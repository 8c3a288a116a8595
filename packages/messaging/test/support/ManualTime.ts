/**
 * Time that stands still until the test moves it; ticks end when the test says so.
 */
import type { Time } from "@effectmq/messaging/Time"

export class ManualTime implements Time {
  private tasks: Array<() => void> = []
  private timers: Array<{ readonly dueMs: number; readonly task: () => void }> = []
  private now = 1_000_000

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

  endTick(): void {
    while (this.tasks.length > 0) for (const task of this.tasks.splice(0)) task()
  }

  advance(ms: number): void {
    const untilMs = this.now + ms
    for (;;) {
      const next = this.timers.filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0]
      if (next === undefined) break
      this.timers = this.timers.filter((timer) => timer !== next)
      this.now = next.dueMs
      next.task()
    }
    this.now = untilMs
  }
}
