/**
 * What every Raft store must do, over any adapter.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { RaftStoreService, StoredRaft } from "../src/RaftStore.js"
import { chunksOf, command, commands, members, plain, saveSnapshot, snapshotOf, stage } from "./support/StoreSamples.js"

/** Where one store lies that can be opened again and again. */
export interface StorePlace {
  readonly use: <A>(body: (store: RaftStoreService) => Effect.Effect<A, unknown>) => Promise<A>
  readonly remove: () => void
}

const indexesOf = (stored: StoredRaft): ReadonlyArray<number> => stored.entries.map((entry) => entry.index)

const defectOf = async (effect: Effect.Effect<unknown, unknown>): Promise<string> => {
  const exit = await Effect.runPromise(Effect.exit(effect))
  if (Exit.isSuccess(exit) || !Cause.isDie(exit.cause)) throw new Error("it did not die")
  return String(Cause.squash(exit.cause))
}

/** `modelRuns`: how many random lives are compared with a plain model. */
export const raftStoreSuite = (name: string, modelRuns: number, makePlace: () => StorePlace) =>
  describe(name, () => {
    let place: StorePlace
    beforeEach(() => {
      place = makePlace()
    })
    afterEach(() => place.remove())

    const stored = () => place.use((store) => Effect.succeed(store.stored))

    it("begins empty, with an id of its own that stays", async () => {
      const first = await stored()
      expect(first).toMatchObject({ hardState: { term: 0, votedFor: 0, commitIndex: 0 }, snapshot: undefined, entries: [] })
      expect(first.storeId).toMatch(/^[0-9a-f]{32}$/)
      expect((await stored()).storeId).toBe(first.storeId)
      const other = makePlace()
      expect(await other.use((store) => Effect.succeed(store.stored.storeId))).not.toBe(first.storeId)
      other.remove()
    })

    it("keeps term, vote and commit index, with entries and alone", async () => {
      await place.use((store) => store.persist({ hardState: { term: 1, votedFor: 2, commitIndex: 0 } }))
      expect((await stored()).hardState).toEqual({ term: 1, votedFor: 2, commitIndex: 0 })
      await place.use((store) =>
        Effect.gen(function* () {
          yield* store.persist({ hardState: { term: 2, votedFor: 0, commitIndex: 0 }, entries: commands(1, 2, 2) })
          yield* store.persist({ entries: commands(3, 3, 2) })
          yield* store.persist({ hardState: { term: 3, votedFor: 9, commitIndex: 2 } })
          yield* store.persist({ hardState: { term: 2 ** 40, votedFor: 2 ** 40 + 1, commitIndex: 3 } })
          yield* store.persist({})
        })
      )
      const after = await stored()
      expect(after.hardState).toEqual({ term: 2 ** 40, votedFor: 2 ** 40 + 1, commitIndex: 3 })
      expect(plain(after.entries)).toEqual(commands(1, 3, 2))
    })

    it("keeps entries of every kind and size", async () => {
      const entries: ReadonlyArray<Entry> = [
        { kind: "membership", index: 1, term: 0, membership: members },
        { kind: "noop", index: 2, term: 1 },
        command(3, 1, ""),
        command(4, 1, "x".repeat(9_000)),
        { kind: "membership", index: 5, term: 2, membership: { ...members, outgoingVoters: [1, 2], learners: [] } },
        { kind: "command", index: 6, term: 2, data: Uint8Array.from({ length: 256 }, (_, byte) => byte) }
      ]
      await place.use((store) => store.persist({ entries }))
      expect(plain((await stored()).entries)).toEqual(plain(entries))
    })

    it.each([
      ["at its end", 11, 12],
      ["in the middle of a write", 8, 9],
      ["at the beginning of a write", 6, 6],
      ["over several writes", 2, 3],
      ["from the first entry on", 1, 20]
    ])("replaces what is at and behind the first entry: %s", async (_, first, last) => {
      await place.use((store) =>
        Effect.gen(function* () {
          yield* store.persist({ entries: commands(1, 5, 1) })
          yield* store.persist({ entries: commands(6, 9, 1) })
          yield* store.persist({ entries: commands(10, 10, 1) })
          yield* store.persist({ entries: commands(first, last, 2) })
        })
      )
      expect(plain((await stored()).entries)).toEqual([...commands(1, first - 1, 1), ...commands(first, last, 2)])
      await place.use((store) => store.persist({ entries: commands(last + 1, last + 1, 3) }))
      expect(indexesOf(await stored()).at(-1)).toBe(last + 1)
    })

    it("shows a snapshot when it is complete, not before", async () => {
      const chunks = chunksOf("one", "", "three")
      const snapshot = snapshotOf(4, 1, chunks)
      await place.use((store) => Effect.zipRight(store.persist({ entries: commands(1, 6, 1) }), stage(store, snapshot, chunks)))
      expect((await stored()).snapshot).toBeUndefined()
      await place.use((store) =>
        Effect.gen(function* () {
          yield* saveSnapshot(store, snapshot, chunks, "keep")
          expect(Buffer.from(yield* store.readSnapshotChunk(4, 2)).toString()).toBe("three")
        })
      )
      await place.use((store) =>
        Effect.gen(function* () {
          expect(store.stored.snapshot).toEqual(snapshot)
          expect(indexesOf(store.stored)).toEqual([1, 2, 3, 4, 5, 6])
          const read = yield* Effect.forEach([0, 1, 2], (chunk) => store.readSnapshotChunk(4, chunk))
          expect(read.map((data) => Buffer.from(data).toString())).toEqual(["one", "", "three"])
        })
      )
    })

    it("replaces a snapshot by a newer one, also of the same index, and reads the older one while that is staged", async () => {
      const [old, newer, again] = [chunksOf("old"), chunksOf("ne", "wer"), chunksOf("again")]
      await place.use((store) =>
        Effect.gen(function* () {
          yield* store.persist({ entries: commands(1, 9, 1) })
          yield* saveSnapshot(store, snapshotOf(3, 1, old), old, "keep")
          yield* stage(store, snapshotOf(6, 1, newer), newer)
          expect(Buffer.from(yield* store.readSnapshotChunk(3, 0)).toString()).toBe("old")
          yield* store.completeSnapshot(snapshotOf(6, 1, newer), "keep")
          yield* saveSnapshot(store, snapshotOf(6, 1, again), again, "keep")
        })
      )
      await place.use((store) =>
        Effect.gen(function* () {
          expect(store.stored.snapshot).toEqual(snapshotOf(6, 1, again))
          expect(Buffer.from(yield* store.readSnapshotChunk(6, 0)).toString()).toBe("again")
        })
      )
    })

    it("takes chunks in any order and twice, and forgets a staged snapshot for another", async () => {
      const chunks = chunksOf("a", "b", "c")
      const snapshot = snapshotOf(2, 1, chunks)
      const other = snapshotOf(2, 2, chunks)
      await place.use((store) =>
        Effect.gen(function* () {
          yield* store.persist({ entries: commands(1, 3, 1) })
          yield* stage(store, other, chunks)
          yield* store.stageSnapshotChunk(snapshot, 2, Buffer.from("x"))
          yield* store.stageSnapshotChunk(snapshot, 1, chunks[1])
          yield* store.stageSnapshotChunk(snapshot, 2, chunks[2])
          const early = yield* Effect.exit(store.completeSnapshot(snapshot, "keep"))
          expect(Exit.isFailure(early) && Cause.isDie(early.cause)).toBe(true)
          yield* store.stageSnapshotChunk(snapshot, 0, chunks[0])
          yield* store.completeSnapshot(snapshot, "keep")
          const read = yield* Effect.forEach([0, 1, 2], (chunk) => store.readSnapshotChunk(2, chunk))
          expect(read.map((data) => Buffer.from(data).toString())).toEqual(["a", "b", "c"])
        })
      )
      expect((await stored()).snapshot).toEqual(snapshot)
    })

    it("discards the log for a snapshot that was received, whether or not the log was longer", async () => {
      const chunks = chunksOf("state")
      await place.use((store) =>
        Effect.gen(function* () {
          yield* store.persist({ hardState: { term: 7, votedFor: 1, commitIndex: 1 }, entries: commands(1, 9, 1) })
          yield* saveSnapshot(store, snapshotOf(5, 7, chunks), chunks, "discard")
          const gap = yield* Effect.promise(() => defectOf(store.persist({ entries: commands(8, 8, 7) })))
          expect(gap).toContain("entry 8 does not follow entry 5")
        })
      )
      expect(await stored()).toMatchObject({ hardState: { term: 7, votedFor: 1 }, entries: [], snapshot: { index: 5 } })
      await place.use((store) => store.persist({ entries: commands(6, 7, 7) }))
      expect(plain((await stored()).entries)).toEqual(commands(6, 7, 7))
      await place.use((store) => saveSnapshot(store, snapshotOf(100, 8, chunks), chunks, "discard"))
      await place.use((store) => store.persist({ entries: commands(101, 101, 8) }))
      expect(await stored()).toMatchObject({ snapshot: { index: 100 }, entries: [{ index: 101 }] })
    })

    it("forgets only what the snapshot holds", async () => {
      const chunks = chunksOf("state")
      await place.use((store) =>
        Effect.gen(function* () {
          for (let index = 1; index <= 12; index += 3) yield* store.persist({ entries: commands(index, index + 2, 1) })
          yield* store.compact(12)
          yield* saveSnapshot(store, snapshotOf(8, 1, chunks), chunks, "keep")
          yield* store.compact(4)
        })
      )
      expect(indexesOf(await stored())).toEqual([5, 6, 7, 8, 9, 10, 11, 12])
      await place.use((store) => Effect.zipRight(store.compact(3), store.compact(12)))
      expect(indexesOf(await stored())).toEqual([9, 10, 11, 12])
      await place.use((store) =>
        Effect.gen(function* () {
          yield* saveSnapshot(store, snapshotOf(12, 1, chunks), chunks, "keep")
          yield* store.compact(12)
          yield* store.persist({ hardState: { term: 3, votedFor: 3, commitIndex: 12 } })
        })
      )
      expect(await stored()).toMatchObject({ entries: [], snapshot: { index: 12 }, hardState: { term: 3 } })
      await place.use((store) => store.persist({ entries: commands(13, 14, 3) }))
      expect(indexesOf(await stored())).toEqual([13, 14])
    })

    it("dies of writes that no Raft makes, and goes on", () =>
      place
        .use((store) =>
          Effect.gen(function* () {
            const chunks = chunksOf("state")
            const defect = (effect: Effect.Effect<unknown, unknown>) => Effect.promise(() => defectOf(effect))
            yield* store.persist({ entries: commands(1, 4, 1) })
            expect(yield* defect(store.persist({ entries: commands(6, 6, 1) }))).toContain("entry 6 does not follow entry 4")
            const hole = [...commands(5, 5, 1), ...commands(7, 7, 1)]
            expect(yield* defect(store.persist({ entries: hole }))).toContain("entry 7 comes after entry 5")
            expect(yield* defect(store.completeSnapshot(snapshotOf(2, 1, chunks), "keep"))).toContain("or none")
            expect(yield* defect(store.stageSnapshotChunk(snapshotOf(2, 1, chunks), 1, chunks[0]))).toContain("no chunk 1 of 1")
            yield* stage(store, snapshotOf(9, 1, chunks), chunks)
            expect(yield* defect(store.completeSnapshot(snapshotOf(9, 1, chunks), "keep"))).toContain("the log ends at 4")
            yield* saveSnapshot(store, snapshotOf(3, 1, chunks), chunks, "keep")
            yield* store.compact(2)
            expect(yield* defect(store.persist({ entries: commands(2, 2, 2) }))).toContain("was forgotten")
            expect(yield* defect(store.persist({ entries: commands(3, 3, 2) }))).toContain("the snapshot at 3 holds it")
            yield* stage(store, snapshotOf(2, 1, chunks), chunks)
            expect(yield* defect(store.completeSnapshot(snapshotOf(2, 1, chunks), "keep"))).toContain("at 3 is newer")
            expect(yield* defect(store.readSnapshotChunk(2, 0))).toContain("no chunk 0 at 2")
            expect(yield* defect(store.readSnapshotChunk(3, 1))).toContain("no chunk 1 at 3")
            yield* store.persist({ entries: commands(4, 5, 2) })
          })
        )
        .then(async () => expect(indexesOf(await stored())).toEqual([3, 4, 5])))

    it("does what a plain model does, whatever comes and whenever it is opened again", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          const at = makePlace()
          try {
            await followModel(at, steps)
          } finally {
            at.remove()
          }
        }),
        { numRuns: modelRuns }
      )
    }, 60_000)
  })

// The model

type Step =
  | { readonly do: "append"; readonly back: number; readonly count: number; readonly bytes: number }
  | { readonly do: "vote"; readonly votedFor: number }
  | { readonly do: "snapshot"; readonly at: number; readonly chunks: number; readonly log: "keep" | "discard" }
  | { readonly do: "stage" }
  | { readonly do: "compact"; readonly at: number }
  | { readonly do: "open" }

const part = fc.integer({ min: 0, max: 100 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      back: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 12 })),
      count: fc.integer({ min: 1, max: 6 }),
      bytes: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 9000 }))
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("vote" as const), votedFor: fc.integer({ min: 0, max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("snapshot" as const),
      at: part,
      chunks: fc.integer({ min: 1, max: 4 }),
      log: fc.constantFrom("keep" as const, "discard" as const)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stage" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compact" as const), at: part }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const) }) }
)

const followModel = async (place: StorePlace, steps: ReadonlyArray<Step>): Promise<void> => {
  let term = 1
  let hardState = { term: 0, votedFor: 0, commitIndex: 0 }
  let firstIndex = 1
  let entries: Array<Entry> = []
  let snapshot: SnapshotMeta | undefined
  let chunks: ReadonlyArray<Uint8Array> = []
  const lastIndex = () => firstIndex + entries.length - 1

  const check = (store: RaftStoreService) =>
    Effect.gen(function* () {
      expect(store.stored.hardState).toEqual(hardState)
      expect(store.stored.snapshot).toEqual(snapshot)
      expect(plain(store.stored.entries)).toEqual(plain(entries))
      for (const [chunk, data] of chunks.entries()) {
        const read = yield* store.readSnapshotChunk(snapshot?.index ?? 0, chunk)
        expect(Buffer.compare(read, data)).toBe(0)
      }
    })

  const apply = (store: RaftStoreService, one: Step) =>
    Effect.gen(function* () {
      term++
      if (one.do === "append") {
        const first = Math.max(lastIndex() + 1 - one.back, firstIndex, (snapshot?.index ?? 0) + 1)
        const more = Array.from({ length: one.count }, (_, at) => command(first + at, term, "x".repeat(one.bytes)))
        hardState = { ...hardState, term, commitIndex: first }
        yield* store.persist({ hardState, entries: more })
        entries = [...entries.slice(0, first - firstIndex), ...more]
      } else if (one.do === "vote") {
        hardState = { ...hardState, term, votedFor: one.votedFor }
        yield* store.persist({ hardState })
      } else if (one.do === "snapshot") {
        const lowest = Math.max(snapshot?.index ?? 1, 1)
        const highest = one.log === "keep" ? lastIndex() : lastIndex() + 5
        if (highest < lowest) return
        chunks = Array.from({ length: one.chunks }, (_, at) => Buffer.alloc(700 * at, at))
        snapshot = snapshotOf(lowest + Math.floor(((highest - lowest) * one.at) / 100), term, chunks)
        yield* saveSnapshot(store, snapshot, chunks, one.log)
        if (one.log === "discard") {
          entries = []
          firstIndex = snapshot.index + 1
        }
      } else if (one.do === "stage") {
        yield* store.stageSnapshotChunk(snapshotOf(lastIndex() + 1, term, chunksOf("a", "b")), 1, Buffer.from("b"))
      } else if (one.do === "compact") {
        const index = Math.floor((lastIndex() * one.at) / 100)
        yield* store.compact(index)
        const forgotten = Math.max(0, Math.min(index, snapshot?.index ?? 0) - firstIndex + 1)
        entries = entries.slice(forgotten)
        firstIndex += forgotten
      }
    })

  for (let at = 0; at < steps.length; at++) {
    await place.use((store) =>
      Effect.gen(function* () {
        yield* check(store)
        for (; at < steps.length && steps[at].do !== "open"; at++) yield* apply(store, steps[at])
      })
    )
  }
  await place.use(check)
}
