/** Runs that are shared by all who come while another one is under way. */
import { expect, test } from "vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import { Deadlines } from "../src/internal/Deadlines.js"
import { sharedRuns } from "../src/internal/shared.js"
import { until } from "./support/MemoryCluster.js"

const setup = (waitMsMax: number) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const fork = (effect: Effect.Effect<void>) => void runFork(Effect.forkIn(effect, scope))
    const begun: Array<Deferred.Deferred<number, string>> = []
    const run = Effect.gen(function* () {
      const answer = yield* Deferred.make<number, string>()
      begun.push(answer)
      return yield* Deferred.await(answer)
    })
    const shared = sharedRuns(run, { fork, deadlines: new Deadlines(fork), waitMsMax, late: "late", over: "over" })
    const begins = (count: number) => Effect.promise(() => until(() => begun.length === count))
    return { begun, begins, shared }
  })

test("who comes while a run is under way gets the answer to the next one, all of them the same", () =>
  Effect.gen(function* () {
    const { begins, begun, shared } = yield* setup(60_000)
    const first = yield* Effect.fork(shared)
    yield* begins(1)
    const others = yield* Effect.forEach([1, 2, 3], () => Effect.fork(shared))
    const gone = yield* Effect.fork(shared)
    yield* Effect.yieldNow()
    yield* Fiber.interrupt(gone)
    yield* Deferred.succeed(begun[0] as Deferred.Deferred<number, string>, 1)
    expect(yield* Fiber.join(first)).toBe(1)
    yield* begins(2)
    yield* Deferred.fail(begun[1] as Deferred.Deferred<number, string>, "broke")
    for (const other of others) expect(yield* Effect.flip(Fiber.join(other))).toBe("broke")
    const later = yield* Effect.fork(shared)
    yield* begins(3)
    yield* Deferred.succeed(begun[2] as Deferred.Deferred<number, string>, 3)
    expect(yield* Fiber.join(later)).toBe(3)
  }).pipe(Effect.scoped, Effect.runPromise))

test("nobody waits for longer than his time, whatever the run before does", () =>
  Effect.gen(function* () {
    const { begins, begun, shared } = yield* setup(20)
    const first = yield* Effect.fork(shared)
    yield* begins(1)
    const second = yield* Effect.fork(shared)
    expect(yield* Effect.flip(Fiber.join(first))).toBe("late")
    expect(yield* Effect.flip(Fiber.join(second))).toBe("late")
    expect(begun).toHaveLength(1)
  }).pipe(Effect.scoped, Effect.runPromise))

test("who waits when its owner ends is told so, and so is who comes later", async () => {
  const { fibers, shared } = await Effect.gen(function* () {
    const { begins, shared } = yield* setup(60_000)
    const first = yield* Effect.forkDaemon(shared)
    yield* begins(1)
    const second = yield* Effect.forkDaemon(shared)
    yield* Effect.yieldNow()
    return { fibers: [first, second], shared }
  }).pipe(Effect.scoped, Effect.runPromise)
  for (const fiber of fibers) expect(await Effect.runPromise(Effect.flip(Fiber.join(fiber)))).toBe("over")
  expect(await Effect.runPromise(Effect.flip(shared))).toBe("over")
})
