import { type SlicedWork, Slices } from "@effectmq/messaging/core/Slices"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ManualTime } from "@effectmq/testing/ManualTime"

class Counted implements SlicedWork {
  done = 0
  constructor(public wanted: number) {}

  step(): boolean {
    if (this.done < this.wanted) this.done++
    return this.done < this.wanted
  }
}

describe("Slices", () => {
  it("does a part at once and the rest in later turns, in turns with other work", () => {
    const turns: Array<() => void> = []
    const slices = new Slices((task) => turns.push(task), 300)
    const long = new Counted(100_000)
    const short = new Counted(5)
    slices.run(long)
    expect(long.done).toBe(300)
    slices.run(short)
    expect(short.done).toBe(0)
    turns.shift()?.()
    expect(long.done).toBeLessThan(700)
    expect(short.done).toBe(5)
    expect(slices.pendingCount).toBe(1)
  })

  it("does all of all work within so many steps each turn", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2000), { maxLength: 20 }), fc.integer({ min: 1, max: 500 }), (sizes, stepsPerTurn) => {
        const time = new ManualTime()
        const slices = new Slices((task) => time.afterTick(task), stepsPerTurn)
        const works = sizes.map((size) => new Counted(size))
        for (const work of works) slices.run(work)
        time.endTick()
        expect(works.map(({ done }) => done)).toEqual(sizes)
        expect(slices.pendingCount).toBe(0)
      })
    )
  })

  it("takes up again work that paused, and goes on with others where one throws", () => {
    const time = new ManualTime()
    const slices = new Slices((task) => time.afterTick(task), 10)
    const work = new Counted(3)
    slices.run(work)
    work.wanted = 6
    slices.run(work)
    expect(work.done).toBe(6)
    const broken: SlicedWork = {
      step: () => {
        throw new Error("broken")
      }
    }
    expect(() => slices.run(broken)).toThrow("broken")
    const after = new Counted(50)
    slices.run(after)
    time.endTick()
    expect(after.done).toBe(50)
  })
})
