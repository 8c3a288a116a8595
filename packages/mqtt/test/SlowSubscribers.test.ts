import * as fc from "fast-check"
import { SlowSubscribers } from "@effectmq/mqtt/features/SlowSubscribers"
import { describe, expect, it } from "vitest"

const options = { enabled: true, thresholdMs: 500, countMax: 3, windowSeconds: 300 }
const shown = (slow: SlowSubscribers, nowMs: number) =>
  slow.list(nowMs).map((one) => `${one.clientId} ${one.topic} ${one.latencyMs}`)

describe("slow subscribers", () => {
  it("are those above the threshold, slowest first, each with its slowest delivery", () => {
    const slow = new SlowSubscribers(options)
    slow.observe("a", "t", 500, 0)
    slow.observe("b", "t", 600, 0)
    slow.observe("c", "t", 900, 0)
    slow.observe("b", "t", 700, 10)
    slow.observe("b", "t", 650, 20)
    expect(shown(slow, 20)).toEqual(["c t 900", "b t 700"])
    expect(slow.list(20)[1]).toEqual({ clientId: "b", topic: "t", latencyMs: 700, deliveries: 3, lastAtMs: 20 })
  })

  it("are at most so many: a slower one takes the place of the least slow", () => {
    const slow = new SlowSubscribers(options)
    for (const [clientId, latencyMs] of [
      ["a", 600],
      ["b", 700],
      ["c", 800],
      ["d", 550],
      ["e", 900]
    ] as const) {
      slow.observe(clientId, "t", latencyMs, 0)
    }
    expect(shown(slow, 0)).toEqual(["e t 900", "c t 800", "b t 700"])
    slow.observe("b", "t", 2000, 0)
    slow.observe("f", "t", 850, 0)
    expect(shown(slow, 0)).toEqual(["b t 2000", "e t 900", "f t 850"])
  })

  it("are forgotten when the window has passed without a slow delivery", () => {
    const slow = new SlowSubscribers(options)
    slow.observe("a", "t", 5000, 0)
    slow.observe("b", "t", 600, 1000)
    slow.observe("c", "t", 700, 2000)
    slow.observe("b", "t", 600, 200_000)
    // Full, and least slow of all: there is room because `a` is out of time.
    slow.observe("d", "t", 501, 300_000)
    expect(shown(slow, 300_000)).toEqual(["c t 700", "b t 600", "d t 501"])
    expect(shown(slow, 500_000)).toEqual(["d t 501"])
    expect(shown(slow, 600_000)).toEqual([])
  })

  it("are counted, and nobody is where it is turned off", () => {
    const slow = new SlowSubscribers(options)
    slow.observe("a", "t", 600, 0)
    slow.observe("a", "t", 600, 0)
    expect(slow.slowDeliveries).toBe(2)
    expect(slow.size).toBe(1)
    const off = new SlowSubscribers({ ...options, enabled: false })
    off.observe("a", "t", 1e9, 0)
    expect(off.slowDeliveries).toBe(0)
    expect(off.list(0)).toEqual([])
  })

  it("can be cleared, all or one client", () => {
    const slow = new SlowSubscribers(options)
    slow.observe("a", "t", 600, 0)
    slow.observe("a", "u", 600, 0)
    slow.observe("b", "t", 700, 0)
    slow.clear("a")
    expect(shown(slow, 0)).toEqual(["b t 700"])
    slow.clear()
    expect(slow.list(0)).toEqual([])
  })

  it("are the slowest of all while nothing expires", () => {
    const observation = fc.record({ client: fc.integer({ min: 0, max: 9 }), latencyMs: fc.integer({ min: 400, max: 2000 }) })
    fc.assert(
      fc.property(fc.array(observation, { maxLength: 200 }), (observations) => {
        const slow = new SlowSubscribers(options)
        const slowestByClient = new Map<string, number>()
        for (const { client, latencyMs } of observations) {
          slow.observe(`${client}`, "t", latencyMs, 0)
          if (latencyMs > 500) slowestByClient.set(`${client}`, Math.max(latencyMs, slowestByClient.get(`${client}`) ?? 0))
        }
        const expected = [...slowestByClient.values()].sort((a, b) => b - a).slice(0, 3)
        expect(slow.list(0).map((one) => one.latencyMs)).toEqual(expected)
      })
    )
  })
})
