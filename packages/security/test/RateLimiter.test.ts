import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { RateLimiter } from "../src/core/RateLimiter.js"
import { TokenBucket } from "../src/core/TokenBucket.js"

describe("TokenBucket", () => {
  it("lets a burst through, then the rate", () => {
    const bucket = new TokenBucket(10, 5)
    expect([1, 1, 1, 1, 1].map((units) => bucket.take(0, units))).toEqual([0, 0, 0, 0, 0])
    expect(bucket.take(0, 1)).toBe(100)
    expect(bucket.take(100, 1)).toBe(100)
    expect(bucket.take(10_000, 5)).toBe(0)
    expect(bucket.take(10_000, 20)).toBe(2000)
    expect(bucket.tryTake(11_000, 1)).toBe(false)
    expect(bucket.tryTake(12_100, 1)).toBe(true)
  })

  it("a client that waits as told never gets more than burst plus rate", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.integer({ min: 1, max: 1000 }),
        FastCheck.array(FastCheck.tuple(FastCheck.nat(200), FastCheck.integer({ min: 1, max: 50 })), {
          minLength: 1,
          maxLength: 50
        }),
        (rate, steps) => {
          const bucket = new TokenBucket(rate)
          let nowMs = 0
          let taken = 0
          let lastUnits = 0
          for (const [laterMs, units] of steps) {
            nowMs += laterMs
            // Everything before this take was paid for by now.
            expect(taken).toBeLessThanOrEqual(rate + (nowMs * rate) / 1000 + 1e-6)
            nowMs += bucket.take(nowMs, units)
            taken += units
            lastUnits = units
          }
          expect(taken - lastUnits).toBeLessThanOrEqual(rate + (nowMs * rate) / 1000 + 1e-6)
        }
      )
    )
  })

  it("a clock that goes back gives nothing", () => {
    const bucket = new TokenBucket(1, 1)
    expect(bucket.take(1000, 1)).toBe(0)
    expect(bucket.take(0, 1)).toBe(1000)
    expect(bucket.take(1000, 0)).toBe(0)
  })

  it("refuses rates that are none", () => {
    for (const rate of [0, -1, Number.NaN]) expect(() => new TokenBucket(rate)).toThrow("above zero")
    expect(new TokenBucket(Number.POSITIVE_INFINITY).take(0, 1e9)).toBe(0)
  })
})

describe("RateLimiter", () => {
  it("waits for the longer of messages and bytes", () => {
    const limiter = new RateLimiter({ messagesPerSecond: 10, bytesPerSecond: 1000 })
    expect(limiter.unlimited).toBe(false)
    expect(limiter.take(0, 10, 100)).toBe(0)
    expect(limiter.take(0, 1, 100)).toBe(100)
    expect(limiter.take(0, 0, 1800)).toBe(1000)
  })

  it("without limits, costs and delays nothing", () => {
    for (const limits of [{}, { messagesPerSecond: 0, bytesPerSecond: 0 }]) {
      const limiter = new RateLimiter(limits)
      expect(limiter.unlimited).toBe(true)
      expect(limiter.take(0, 1e9, 1e9)).toBe(0)
    }
  })

  it("takes new limits, and keeps the debt of one that stays", () => {
    const limiter = new RateLimiter({ messagesPerSecond: 10, bytesPerSecond: 1000 })
    limiter.take(0, 30, 0)
    limiter.configure({ messagesPerSecond: 10 })
    expect(limiter.take(0, 0, 1e9)).toBe(2000)
    limiter.configure({ messagesPerSecond: 20 })
    expect(limiter.take(0, 20, 0)).toBe(0)
    limiter.configure({})
    expect(limiter.unlimited).toBe(true)
  })
})
