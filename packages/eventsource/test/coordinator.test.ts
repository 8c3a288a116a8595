import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Coordinator from "../src/Coordinator.js"
import { EventStore, type EventStoreService } from "../src/EventStore.js"
import { EventStoreError } from "../src/EventStoreError.js"
import * as MemoryEventStore from "../src/MemoryEventStore.js"
import { type Added, type BelowZero, codec, type Command, decider, type Sum } from "./counter.js"

type Counter = Coordinator.Coordinator<Sum, Command, Added, number, BelowZero>

const run = <A, E>(
  body: (counter: Counter) => Effect.Effect<A, E>,
  options: {
    readonly contents?: MemoryEventStore.MemoryContents
    readonly coordinator?: Partial<Coordinator.CoordinatorOptions>
    readonly wrap?: (store: EventStoreService) => EventStoreService
  } = {}
): Promise<A> =>
  Coordinator.make(decider, codec, { ...Coordinator.defaultOptions, ...options.coordinator }).pipe(
    Effect.flatMap(body),
    Effect.scoped,
    Effect.provide(
      Layer.effect(
        EventStore,
        Effect.map(
          MemoryEventStore.make(options.contents ?? MemoryEventStore.emptyContents()),
          options.wrap ?? ((store) => store)
        )
      )
    ),
    (effect) => Effect.runPromise(effect as Effect.Effect<A>)
  )

const add = (counter: Counter, by: number) => counter.submit({ add: by })

describe("Coordinator", () => {
  it("answers in order and shows the state", () =>
    run((counter) =>
      Effect.gen(function* () {
        expect(yield* add(counter, 3)).toBe(3)
        expect(yield* add(counter, 4)).toBe(7)
        expect(yield* Effect.flip(add(counter, -8))).toMatchObject({ _tag: "BelowZero", total: 7 })
        expect(counter.state()).toEqual({ total: 7, sequence: 2 })
        expect(counter.sequence()).toBe(2)
        expect(yield* add(counter, 0)).toBe(7)
        expect(counter.sequence()).toBe(2)
      })
    ))

  it("commits commands that wait together as one batch", async () => {
    const contents = MemoryEventStore.emptyContents()
    await run(
      (counter) =>
        Effect.gen(function* () {
          const replies = yield* Effect.forEach(Array.from({ length: 100 }), () => add(counter, 1), { concurrency: "unbounded" })
          expect(replies).toEqual(Array.from({ length: 100 }, (_, at) => at + 1))
        }),
      { contents }
    )
    expect(contents.head.sequence).toBe(100)
    expect(contents.batches.length).toBeLessThanOrEqual(3)
  })

  it("a command with a bug dies alone", () =>
    run((counter) =>
      Effect.gen(function* () {
        const exits = yield* Effect.forEach(
          [{ add: 1 }, { throwInDecide: true }, { add: 2 }] satisfies ReadonlyArray<Command>,
          (command) => Effect.exit(counter.submit(command)),
          { concurrency: "unbounded" }
        )
        expect(exits.map(Exit.isSuccess)).toEqual([true, false, true])
        expect(counter.state().total).toBe(3)
      })
    ))

  it("answers only after the append", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Effect.promise(() =>
        run(
          (counter) =>
            Effect.gen(function* () {
              const fiber = yield* Effect.fork(add(counter, 1))
              const refused = yield* Effect.fork(Effect.flip(add(counter, -5)))
              for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow()
              expect([fiber.unsafePoll(), refused.unsafePoll()]).toEqual([null, null])
              expect(counter.state().total).toBe(0)
              yield* Deferred.succeed(gate, undefined)
              expect(yield* Fiber.join(fiber)).toBe(1)
              expect(yield* Fiber.join(refused)).toMatchObject({ _tag: "BelowZero", total: 1 })
            }),
          {
            wrap: (store) => ({
              ...store,
              append: (at, events) => Effect.zipRight(Deferred.await(gate), store.append(at, events))
            })
          }
        )
      )
    }).pipe(Effect.runPromise))

  it("finishes a turn whose submitter was interrupted, and drops a command not yet begun", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const entered = yield* Deferred.make<void>()
      yield* Effect.promise(() =>
        run(
          (counter) =>
            Effect.gen(function* () {
              const begun = yield* Effect.fork(add(counter, 1))
              yield* Deferred.await(entered)
              const waiting = yield* Effect.fork(add(counter, 10))
              yield* Effect.yieldNow()
              yield* Fiber.interrupt(waiting)
              yield* Fiber.interrupt(begun)
              yield* Deferred.succeed(gate, undefined)
              expect(yield* add(counter, 100)).toBe(101)
            }),
          {
            wrap: (store) => ({
              ...store,
              append: (at, events) =>
                Deferred.succeed(entered, undefined).pipe(
                  Effect.zipRight(Deferred.await(gate)),
                  Effect.zipRight(store.append(at, events))
                )
            })
          }
        )
      )
    }).pipe(Effect.runPromise))

  it("goes on after a full disk, and fences itself after any other failed append", async () => {
    let failure: "full" | "io" | undefined
    const wrap = (store: EventStoreService): EventStoreService => ({
      ...store,
      append: (at, events) =>
        Effect.suspend(() =>
          failure === undefined
            ? store.append(at, events)
            : Effect.fail(new EventStoreError({ reason: failure, message: "it failed" }))
        )
    })
    await run(
      (counter) =>
        Effect.gen(function* () {
          yield* add(counter, 1)
          failure = "full"
          expect(yield* Effect.flip(add(counter, 1))).toMatchObject({ _tag: "CoordinatorUnavailable", reason: "full" })
          expect(counter.fenced()).toBeUndefined()
          failure = undefined
          expect(yield* add(counter, 1)).toBe(2)
          failure = "io"
          expect(yield* Effect.flip(add(counter, 1))).toMatchObject({ reason: "io" })
          failure = undefined
          expect(yield* Effect.flip(add(counter, 1))).toMatchObject({ reason: "fenced" })
          expect(counter.fenced()?.message).toContain("restart the node: it failed")
          expect(counter.state().total).toBe(2)
        }),
      { wrap }
    )
  })

  it("does not hang when the store has a bug", () =>
    run(
      (counter) =>
        Effect.gen(function* () {
          expect(Exit.isFailure(yield* Effect.exit(add(counter, 1)))).toBe(true)
          expect(yield* Effect.flip(add(counter, 1))).toMatchObject({ reason: "fenced" })
        }),
      { wrap: (store) => ({ ...store, append: () => Effect.dieMessage("a bug") }) }
    ))

  it("refuses what is over its bound, and what comes after its end", async () => {
    const counter = await run(
      (open) =>
        Effect.gen(function* () {
          const exits = yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.either(add(open, 1)), {
            concurrency: "unbounded"
          })
          expect(exits.filter(Either.isRight)).toHaveLength(4)
          expect(exits.filter(Either.isLeft).map((exit) => exit.left)).toMatchObject(
            Array.from({ length: 6 }, () => ({ reason: "overloaded" }))
          )
          return open
        }),
      { coordinator: { commandsWaitingMax: 4 } }
    )
    expect(await Effect.runPromise(Effect.flip(add(counter, 1)))).toMatchObject({ reason: "closed" })
  })

  it("tells listeners of each turn, and survives one that throws", () =>
    run((counter) =>
      Effect.gen(function* () {
        const seen: Array<readonly [number, number, number]> = []
        counter.onChange(() => {
          throw new Error("a listener with a bug")
        })
        const stop = counter.onChange((change) => seen.push([change.before.total, change.after.total, change.events.length]))
        yield* add(counter, 1)
        yield* add(counter, 0)
        yield* add(counter, 2)
        stop()
        yield* add(counter, 3)
        expect(seen).toEqual([
          [0, 1, 1],
          [1, 3, 1]
        ])
      })
    ))

  it("streams states, beginning with the current one, and a slow reader gets the newest", () =>
    run((counter) =>
      Effect.gen(function* () {
        yield* add(counter, 1)
        const seen = yield* Effect.fork(
          counter.states.pipe(
            Stream.map((state) => state.total),
            Stream.takeUntil((total) => total === 6),
            Stream.runCollect
          )
        )
        yield* Effect.yieldNow()
        yield* add(counter, 2)
        yield* add(counter, 3)
        const totals = [...(yield* Fiber.join(seen))]
        expect(totals[totals.length - 1]).toBe(6)
        expect(totals).toEqual([...totals].sort((left, right) => left - right))
      })
    ))

  it("rebuilds the same state from snapshot and events, wherever it was stopped", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: -5, max: 9 }), { maxLength: 12 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 10 }),
        async (lives, eventsPerSnapshot) => {
          const contents = MemoryEventStore.emptyContents()
          let expected = 0
          for (const life of lives) {
            await run(
              (counter) =>
                Effect.gen(function* () {
                  expect(counter.state().total).toBe(expected)
                  expect(counter.sequence()).toBe(contents.head.sequence)
                  for (const by of life) {
                    const reply = yield* Effect.either(add(counter, by))
                    if (Either.isRight(reply)) expected += by
                    expect(counter.state().total).toBe(expected)
                  }
                }),
              { contents, coordinator: { eventsPerSnapshot } }
            )
          }
        }
      ),
      { numRuns: 60 }
    ))

  it("takes snapshots and cuts what the one before holds", async () => {
    const contents = MemoryEventStore.emptyContents()
    await run(
      (counter) =>
        Effect.gen(function* () {
          for (let at = 0; at < 30; at++) yield* add(counter, 1)
          while (contents.snapshot === undefined || contents.anchor.sequence === 0) yield* add(counter, 1)
        }),
      { contents, coordinator: { eventsPerSnapshot: 10 } }
    )
    expect(contents.snapshot?.sequence).toBeGreaterThanOrEqual(10)
    expect(contents.anchor.sequence).toBeLessThan(contents.snapshot?.sequence ?? 0)
  })

  it("refuses to start on an event it cannot read", async () => {
    const contents = MemoryEventStore.emptyContents()
    await Effect.runPromise(Effect.flatMap(MemoryEventStore.make(contents), (store) => store.append(0, ['{"by":1}', '{"of":2}'])))
    await expect(run(() => Effect.void, { contents })).rejects.toThrow("event 2: not an addition")
  })
})
