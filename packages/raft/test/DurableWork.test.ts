/**
 * How a write that finds no space is tried again: at once it is told, later and later it is tried, and nothing else is tried twice.
 */
import { expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { persist } from "../src/internal/DurableWork.js"
import { meters } from "../src/internal/RaftMeters.js"
import { emptyContents, make } from "../src/MemoryRaftStore.js"
import { RaftStoreError } from "../src/RaftStore.js"

/** A write under way on a disk that can be given space, and what is told of it. */
const writing = (reason: () => RaftStoreError["reason"] | undefined, isOver = () => false) =>
  Effect.gen(function* () {
    const told: Array<string> = []
    const store = make(emptyContents())
    const attempt = Effect.suspend(() => {
      const now = reason()
      told.push("try")
      return now === undefined ? Effect.void : Effect.fail(new RaftStoreError({ reason: now, message: "the disk" }))
    })
    const noSpace = {
      before: () => told.push("before"),
      after: isOver,
      over: () => told.push("over")
    }
    const write = persist({ ...store, persist: () => attempt }, meters(yield* Meters), {}, noSpace)
    const fiber = yield* Effect.fork(write)
    yield* TestClock.adjust(0)
    return {
      told,
      fiber,
      tries: () => told.filter((one) => one === "try").length
    }
  }).pipe(Effect.provide(PrometheusMeters.layerMemory))

it.effect("after pauses that grow to two seconds, until there is some", () =>
  Effect.gen(function* () {
    let full = true
    const { told, tries, fiber } = yield* writing(() => (full ? "full" : undefined))
    expect(told).toEqual(["try", "before"])
    let made = 1
    for (const pauseMs of [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]) {
      yield* TestClock.adjust(pauseMs - 1)
      expect(tries()).toBe(made)
      yield* TestClock.adjust(1)
      expect(tries()).toBe(++made)
    }
    full = false
    yield* TestClock.adjust(2_000)
    yield* Fiber.join(fiber)
    expect(told.slice(-2)).toEqual(["try", "over"])
  })
)

it.effect("not any more when the member is out", () =>
  Effect.gen(function* () {
    const { told, fiber } = yield* writing(
      () => "full",
      () => true
    )
    yield* TestClock.adjust(50)
    yield* Fiber.join(fiber)
    expect(told).toEqual(["try", "before"])
  })
)

it.effect("not where anything else is wrong", () =>
  Effect.gen(function* () {
    const { told, fiber } = yield* writing(() => "io")
    expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
    expect(told).toEqual(["try"])
  })
)
