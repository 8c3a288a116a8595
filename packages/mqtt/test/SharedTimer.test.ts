import * as fc from "fast-check"
import { SharedTimer } from "@effectmq/mqtt/features/SharedTimer"
import { describe, expect, it } from "vitest"

/** Time that the test moves, and how many timers were set at once. */
class Host {
  private now = 1000.5
  private timers: Array<{ readonly dueMs: number; readonly task: () => void }> = []
  timersMost = 0

  nowMs(): number {
    return this.now
  }
  after(delayMs: number, task: () => void): () => void {
    const timer = { dueMs: this.now + delayMs, task }
    this.timers.push(timer)
    this.timersMost = Math.max(this.timersMost, this.timers.length)
    return () => {
      this.timers = this.timers.filter((other) => other !== timer)
    }
  }
  advance(ms: number): void {
    const untilMs = this.now + ms
    for (;;) {
      const [next] = this.timers.filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)
      if (next === undefined) break
      this.timers = this.timers.filter((timer) => timer !== next)
      this.now = Math.max(this.now, next.dueMs)
      next.task()
    }
    this.now = untilMs
  }
}

describe("waits on one timer", () => {
  it("end in time, each once, with one host timer", () => {
    const delays = fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 50 })
    fc.assert(
      fc.property(delays, fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 20 }), (delaysMs, stepsMs) => {
        const host = new Host()
        const timer = new SharedTimer(host)
        const runs: Array<number> = delaysMs.map(() => 0)
        const startMs = host.nowMs()
        delaysMs.forEach((delayMs, index) => {
          timer.after(delayMs, () => {
            runs[index] = (runs[index] as number) + 1
            expect(host.nowMs() - startMs).toBeGreaterThanOrEqual(delayMs)
            expect(host.nowMs() - startMs).toBeLessThanOrEqual(delayMs + 6)
          })
        })
        for (const stepMs of [...stepsMs, 1100]) host.advance(stepMs)
        expect(runs).toEqual(delaysMs.map(() => 1))
        expect(host.timersMost).toBeLessThanOrEqual(1)
      })
    )
  })

  it("can be taken back, and set from within a task", () => {
    const host = new Host()
    const timer = new SharedTimer(host)
    const ran: Array<string> = []
    timer.after(10, () => ran.push("stopped"))()
    timer.after(10, () => {
      ran.push("first")
      timer.after(10, () => ran.push("second"))
    })
    host.advance(16)
    expect(ran).toEqual(["first"])
    host.advance(16)
    expect(ran).toEqual(["first", "second"])
    timer.after(10, () => ran.push("never"))
    timer.stop()
    timer.after(10, () => ran.push("never"))
    host.advance(100)
    expect(ran).toEqual(["first", "second"])
  })
})
