import { describe, expect, it } from "vitest"
import { type Flushable, TickFlush } from "../src/internal/TickFlush.js"

/** As a connection does: marks itself, then writes; a flush in between would take its buffer away. */
class Writer implements Flushable {
  dirty = false
  writing = false
  flushed = 0

  constructor(private readonly flush: TickFlush) {}

  write(): void {
    this.writing = true
    if (!this.dirty) this.flush.mark(this)
    this.writing = false
  }

  flushGathered(): void {
    if (this.writing) throw new Error("flushed while it writes")
    this.flushed++
  }
}

describe("TickFlush", () => {
  it("flushes each of very many writers once, and none of them while it writes", () => {
    const scheduled: Array<() => void> = []
    const flush = new TickFlush((run) => scheduled.push(run))
    const writers = Array.from({ length: 10_000 }, () => new Writer(flush))
    for (const writer of writers) writer.write()
    // What is at once dirty is bounded.
    expect(writers.filter((writer) => writer.dirty).length).toBeLessThanOrEqual(1024)
    for (const run of scheduled) run()
    expect(writers.every((writer) => writer.flushed === 1 && !writer.dirty)).toBe(true)
  })
})
