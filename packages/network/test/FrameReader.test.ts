/** Frames in chunks of any size, and lines that a log gets. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FrameReader, FrameTooLarge } from "../src/core/FrameReader.js"
import { LineBudget } from "../src/core/LineBudget.js"

const framed = (frames: ReadonlyArray<Uint8Array>): Buffer =>
  Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(frame.length)
      return [length, frame]
    })
  )

const readAll = (reader: FrameReader, bytes: Buffer, sizes: ReadonlyArray<number>): Array<Buffer> => {
  const found: Array<Buffer> = []
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number
    // As sockets do, each chunk in memory of its own.
    reader.read(Buffer.from(bytes.subarray(at, at + size)), (frame) => found.push(frame) > 0)
    at += size
  }
  return found
}

describe("frames", () => {
  it("are found whatever the chunks are", () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 })
    const sizes = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1 })
    fc.assert(
      fc.property(frames, sizes, (all, chunkSizes) => {
        const found = readAll(new FrameReader(300), framed(all), chunkSizes)
        expect(found.map((frame) => frame.toString("hex"))).toEqual(all.map((frame) => Buffer.from(frame).toString("hex")))
      })
    )
  })

  it("of the largest size pass, larger ones are refused when their length is known", () => {
    const reader = new FrameReader(1000)
    expect(readAll(reader, framed([Buffer.alloc(1000)]), [7])).toHaveLength(1)
    expect(() => reader.read(Buffer.from([0, 0, 0x03, 0xe9]), () => true)).toThrow(FrameTooLarge)
  })

  it("hold no more memory than has come, however small the chunks are", () => {
    const reader = new FrameReader(64 * 1024 * 1024)
    reader.read(Buffer.from([0x03, 0xff, 0xff, 0xff]), () => true)
    const before = process.memoryUsage()
    for (let at = 0; at < 100_000; at++) reader.read(Buffer.from([1]), () => true)
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 1024 * 1024)
  })

  it("are not looked at any more when the reader is told to stop", () => {
    const found: Array<number> = []
    new FrameReader(10).read(framed([Buffer.from([1]), Buffer.from([2])]), (frame) => found.push(frame[0] as number) < 1)
    expect(found).toEqual([1])
  })
})

describe("a budget of lines", () => {
  it("gives some at once and then one now and then, which counts the others", () => {
    const budget = new LineBudget(2, 1000, 0)
    expect([budget.take(0), budget.take(10), budget.take(20), budget.take(999)]).toEqual([1, 1, 0, 0])
    expect([budget.take(1000), budget.take(1001)]).toEqual([3, 0])
    expect(budget.take(50_000)).toBe(2)
    expect([budget.take(50_000), budget.take(50_001)]).toEqual([1, 0])
  })

  it("goes on when the clock is set back", () => {
    const budget = new LineBudget(1, 1000, 100_000)
    expect([budget.take(100_000), budget.take(10), budget.take(1009), budget.take(1010)]).toEqual([1, 0, 0, 3])
  })
})
