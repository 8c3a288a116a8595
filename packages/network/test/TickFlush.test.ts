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

  /** A tick of so many chunks, each for a writer of its own; gives how many were answered before its end. */
  const tick = (flush: TickFlush, scheduled: Array<() => void>, chunks: number): number => {
    const writers = Array.from({ length: chunks }, () => new Writer(flush))
    for (const writer of writers) {
      flush.beginChunk()
      writer.write()
      flush.endChunk()
    }
    const early = writers.filter((writer) => writer.flushed > 0).length
    for (const run of scheduled.splice(0)) run()
    expect(writers.every((writer) => writer.flushed === 1 && !writer.dirty)).toBe(true)
    return early
  }

  it("answers at once while ticks are quiet, and together again when they bring more", () => {
    const scheduled: Array<() => void> = []
    const flush = new TickFlush((run) => scheduled.push(run))
    expect(tick(flush, scheduled, 1)).toBe(0)
    for (let chunk = 0; chunk < 64; chunk++) expect(tick(flush, scheduled, 1)).toBe(1)
    expect(tick(flush, scheduled, 1)).toBe(0)
    // It takes the busy ticks for quiet ones until 64 chunks have passed.
    for (let round = 0; round < 3; round++) expect(tick(flush, scheduled, 20)).toBe(20)
    expect(tick(flush, scheduled, 20)).toBe(4)
    for (let round = 0; round < 9; round++) expect(tick(flush, scheduled, 20)).toBe(0)
    expect(tick(flush, scheduled, 2)).toBe(0)
    expect(tick(flush, scheduled, 2)).toBe(2)
  })

  it("writes at the end of the tick what no chunk has caused", () => {
    const scheduled: Array<() => void> = []
    const flush = new TickFlush((run) => scheduled.push(run))
    tick(flush, scheduled, 1)
    const writer = new Writer(flush)
    writer.write()
    expect(writer.flushed).toBe(0)
    expect(scheduled.length).toBe(1)
    expect(tick(flush, scheduled, 1)).toBe(1)
    expect(writer.flushed).toBe(1)
  })
})
