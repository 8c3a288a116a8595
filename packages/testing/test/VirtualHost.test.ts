import { describe, expect, it } from "vitest"
import { SeededRandom } from "../src/SeededRandom.js"
import { VirtualHost } from "../src/VirtualHost.js"

const withHost = async (body: (host: VirtualHost) => Promise<void>): Promise<void> => {
  const host = new VirtualHost({ startMs: 1_000_000, random: new SeededRandom(1).next })
  const restore = host.install()
  try {
    await body(host)
  } finally {
    restore()
  }
}

describe("VirtualHost", () => {
  it("runs immediates in order, timers by their time, and microtasks in between", () =>
    withHost(async (host) => {
      const seen: Array<string> = []
      const note = (what: string) => seen.push(`${what} at ${Date.now() - 1_000_000}`)
      setTimeout(() => note("late"), 20)
      setTimeout(() => {
        note("early")
        setImmediate(() => note("immediate of early"))
      }, 10)
      setTimeout(() => note("same time"), 10)
      setImmediate(() => {
        note("first")
        void Promise.resolve()
          .then(() => undefined)
          .then(() => note("microtask of first"))
      })
      setImmediate(() => note("second"))
      await host.advance(15)
      expect(seen).toEqual([
        "first at 0",
        "microtask of first at 0",
        "second at 0",
        "early at 10",
        "immediate of early at 10",
        "same time at 10"
      ])
      expect(Date.now()).toBe(1_000_015)
      await host.advance(5)
      expect(seen.at(-1)).toBe("late at 20")
    }))

  it("runs as many tasks as it is told, cancels, repeats", () =>
    withHost(async (host) => {
      const seen: Array<number> = []
      for (let index = 0; index < 5; index++) setImmediate(() => seen.push(index))
      clearTimeout(setTimeout(() => seen.push(-1), 1))
      expect(await host.run(3)).toBe(3)
      expect(seen).toEqual([0, 1, 2])
      const timer = setInterval(() => seen.push(9), 10)
      await host.advance(35)
      clearInterval(timer)
      await host.advance(35)
      expect(seen).toEqual([0, 1, 2, 3, 4, 9, 9, 9])
      expect(await host.run(3)).toBe(0)
    }))

  it("forgets everything when killed, and stops where it is halted", () =>
    withHost(async (host) => {
      const seen: Array<string> = []
      setImmediate(() => seen.push("before"))
      setImmediate(() => seen.push("after"))
      host.halted = () => seen.length > 0
      await host.advance(1000)
      expect(seen).toEqual(["before"])
      expect(host.nowMs).toBe(1_000_000)
      host.kill()
      host.halted = () => false
      await host.advance(1000)
      expect(seen).toEqual(["before"])
    }))

  it("gives the host its own back, and tells who waits for himself", async () => {
    const before = globalThis.setImmediate
    await withHost(async (host) => {
      const again = () => void setImmediate(again)
      again()
      await expect(host.advance(1)).rejects.toThrow("no time passes")
    })
    expect(globalThis.setImmediate).toBe(before)
    expect(Date.now()).toBeGreaterThan(1_100_000)
  })
})

describe("SeededRandom", () => {
  it("repeats with its seed, differs between seeds and streams, and is even", () => {
    const numbers = (seed: number, stream: number) => {
      const random = new SeededRandom(seed, stream)
      return Array.from({ length: 1000 }, () => random.int(0, 9))
    }
    expect(numbers(7, 0)).toEqual(numbers(7, 0))
    expect(numbers(7, 0)).not.toEqual(numbers(8, 0))
    expect(numbers(7, 0)).not.toEqual(numbers(7, 1))
    for (let digit = 0; digit < 10; digit++) {
      const count = numbers(7, 0).filter((number) => number === digit).length
      expect(count).toBeGreaterThan(60)
      expect(count).toBeLessThan(140)
    }
    const random = new SeededRandom(3)
    const picked = Array.from({ length: 1000 }, () =>
      random.weighted([
        [1, "a"],
        [3, "b"],
        [0, "c"]
      ])
    )
    expect(new Set(picked)).toEqual(new Set(["a", "b"]))
    expect(picked.filter((one) => one === "b").length).toBeGreaterThan(650)
  })
})
