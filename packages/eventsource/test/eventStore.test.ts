/** One suite over every event store, and what only the one on disk must do. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { EventStore, type EventStoreService } from "../src/EventStore.js"
import type { EventStoreError } from "../src/EventStoreError.js"
import * as MemoryEventStore from "../src/MemoryEventStore.js"
import * as SqliteEventStore from "../src/SqliteEventStore.js"
import { alterFile } from "./alterFile.js"

/** A place for one store that can be opened again and again. */
interface Place {
  readonly use: <A, E>(body: (store: EventStoreService) => Effect.Effect<A, E>) => Promise<A>
  readonly refusal: () => Promise<EventStoreError>
  /** Changes an event that is stored. */
  readonly edit: () => void | Promise<void>
  readonly dropLastBatch: () => void | Promise<void>
  readonly dropFirstBatch: () => void | Promise<void>
  readonly editSnapshot: () => void | Promise<void>
  readonly dropSnapshot: () => void | Promise<void>
  readonly remove: () => void
}

const over = (open: () => ReturnType<typeof MemoryEventStore.layerOver>): Pick<Place, "use" | "refusal"> => ({
  use: (body) => Effect.runPromise(Effect.provide(Effect.flatMap(EventStore, body), open()) as Effect.Effect<never, never>),
  refusal: () => Effect.runPromise(Effect.flip(Effect.provide(Effect.asVoid(EventStore), open())))
})

const memoryPlace = (): Place => {
  const contents = MemoryEventStore.emptyContents()
  return {
    ...over(() => MemoryEventStore.layerOver(contents)),
    edit: () => {
      contents.batches = contents.batches.map((batch, at) =>
        at === 1 ? { ...batch, text: batch.text.replace("c", "x") } : batch
      )
    },
    dropLastBatch: () => void contents.batches.pop(),
    dropFirstBatch: () => void contents.batches.shift(),
    editSnapshot: () => {
      if (contents.snapshot !== undefined) contents.snapshot = { ...contents.snapshot, text: "another" }
    },
    dropSnapshot: () => {
      contents.snapshot = undefined
    },
    remove: () => {}
  }
}

const sqlitePlace = (): Place & { readonly filename: string } => {
  const directory = mkdtempSync(join(tmpdir(), "effectmq-eventsource-"))
  const filename = join(directory, "events.sqlite")
  const alter = (statement: string) => () => alterFile(filename, statement)
  return {
    ...over(() => SqliteEventStore.layer({ filename })),
    filename,
    edit: alter("UPDATE batches SET events = replace(events, 'c', 'x') WHERE first_sequence = 3"),
    dropLastBatch: alter("DELETE FROM batches WHERE first_sequence = (SELECT max(first_sequence) FROM batches)"),
    dropFirstBatch: alter("DELETE FROM batches WHERE first_sequence = (SELECT min(first_sequence) FROM batches)"),
    editSnapshot: alter("UPDATE snapshots SET events = 'another'"),
    dropSnapshot: alter("DELETE FROM snapshots"),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}

const someEvents = (store: EventStoreService) =>
  Effect.gen(function* () {
    yield* store.append(0, ["a", "b"])
    yield* store.append(2, ["c"])
    yield* store.append(3, ["d", "e", "f"])
  })

const suite = (name: string, makePlace: () => Place) =>
  describe(name, () => {
    let place: Place
    beforeEach(() => {
      place = makePlace()
    })
    afterEach(() => place.remove())

    it("begins empty", () =>
      place.use((store) =>
        Effect.gen(function* () {
          expect(store.lastSequence()).toBe(0)
          expect(store.firstSequence()).toBe(1)
          expect(store.chainHash()).toBe("0".repeat(64))
          expect(yield* store.read(1, 10)).toEqual([])
          expect(yield* store.latestSnapshot).toBeUndefined()
        })
      ))

    it("gives back what was appended, from any sequence, also after it was opened again", async () => {
      const check = (store: EventStoreService) =>
        Effect.gen(function* () {
          expect(store.lastSequence()).toBe(6)
          expect(yield* store.read(1, 100)).toEqual(["a", "b", "c", "d", "e", "f"])
          expect(yield* store.read(2, 100)).toEqual(["b", "c", "d", "e", "f"])
          expect(yield* store.read(5, 1)).toEqual(["e"])
          expect(yield* store.read(2, 3)).toEqual(["b", "c", "d"])
          expect(yield* store.read(7, 3)).toEqual([])
          return store.chainHash()
        })
      const hash = await place.use((store) => Effect.zipRight(someEvents(store), check(store)))
      expect(await place.use(check)).toBe(hash)
    })

    it("reads on over many batches", () =>
      place.use((store) =>
        Effect.gen(function* () {
          const lines = Array.from({ length: 300 }, (_, at) => `event ${at}`)
          for (const [at, line] of lines.entries()) yield* store.append(at, [line])
          expect(yield* store.read(1, 1000)).toEqual(lines)
          expect(yield* store.read(100, 170)).toEqual(lines.slice(99, 269))
        })
      ))

    it("keeps any text of one line, and refuses a line break as a bug", () =>
      place.use((store) =>
        Effect.gen(function* () {
          yield* store.append(0, ["", "ä€😀", "\u0001 \r"])
          expect(yield* store.read(1, 10)).toEqual(["", "ä€😀", "\u0001 \r"])
          expect(Exit.isFailure(yield* Effect.exit(store.append(3, ["a\nb"])))).toBe(true)
          expect(store.lastSequence()).toBe(3)
        })
      ))

    it("refuses an append at another sequence and changes nothing", () =>
      place.use((store) =>
        Effect.gen(function* () {
          yield* store.append(0, ["a"])
          const conflict = yield* Effect.flip(store.append(0, ["b"]))
          expect(conflict).toMatchObject({ _tag: "SequenceConflict", expectedSequence: 0, lastSequence: 1 })
          expect(yield* store.append(1, [])).toBe(1)
          expect(yield* store.read(1, 10)).toEqual(["a"])
        })
      ))

    it("has the same hash for the same batches only", async () => {
      const other = makePlace()
      const hash = (lines: ReadonlyArray<ReadonlyArray<string>>) => (store: EventStoreService) =>
        Effect.gen(function* () {
          for (const batch of lines) yield* store.append(store.lastSequence(), batch)
          return store.chainHash()
        })
      const one = await place.use(hash([["a", "b"], ["c"]]))
      expect(await other.use(hash([["a", "b"], ["c"]]))).toBe(one)
      expect(await other.use(hash([["d"]]))).not.toBe(await place.use(hash([["e"]])))
      other.remove()
    })

    it("keeps the newest snapshot, and cuts only what it holds", async () => {
      await place.use((store) =>
        Effect.gen(function* () {
          yield* someEvents(store)
          yield* store.cutBefore(7)
          expect(store.firstSequence()).toBe(1)
          yield* store.saveSnapshot({ sequence: 2, events: ["ab"] })
          yield* store.saveSnapshot({ sequence: 3, events: ["a", "bc"] })
          yield* store.cutBefore(7)
          expect(store.firstSequence()).toBe(4)
          expect(yield* Effect.flip(store.read(3, 1))).toMatchObject({ _tag: "EventsCut", firstSequence: 4 })
        })
      )
      await place.use((store) =>
        Effect.gen(function* () {
          expect(yield* store.latestSnapshot).toEqual({ sequence: 3, events: ["a", "bc"] })
          expect(yield* store.read(4, 10)).toEqual(["d", "e", "f"])
          yield* store.saveSnapshot({ sequence: 6, events: [] })
          yield* store.cutBefore(7)
          expect([store.firstSequence(), store.lastSequence()]).toEqual([7, 6])
          yield* store.saveSnapshot({ sequence: 6, events: ["all"] })
        })
      )
      await place.use((store) =>
        Effect.gen(function* () {
          expect(yield* store.latestSnapshot).toEqual({ sequence: 6, events: ["all"] })
          expect(yield* store.append(6, ["g"])).toBe(7)
        })
      )
      await place.use((store) => Effect.map(store.read(7, 1), (events) => expect(events).toEqual(["g"])))
    })

    it("dies of a snapshot that ends within a batch or goes back", () =>
      place.use((store) =>
        Effect.gen(function* () {
          yield* someEvents(store)
          expect(Exit.isFailure(yield* Effect.exit(store.saveSnapshot({ sequence: 5, events: [] })))).toBe(true)
          yield* store.saveSnapshot({ sequence: 6, events: [] })
          expect(Exit.isFailure(yield* Effect.exit(store.saveSnapshot({ sequence: 3, events: [] })))).toBe(true)
        })
      ))

    it.each([
      ["an event was edited", "edit", "batch 3 to 3 does not match its hash"],
      ["the last batch is gone", "dropLastBatch", "events 4 to 6 are missing"],
      ["the first batch is gone", "dropFirstBatch", "does not follow event 0"],
      ["the snapshot was edited", "editSnapshot", "the snapshot at 3 does not match its hash"]
    ] as const)("is not opened when %s", async (_, damage, problem) => {
      await place.use((store) => Effect.zipRight(someEvents(store), store.saveSnapshot({ sequence: 3, events: ["abc"] })))
      await place[damage]()
      const error = await place.refusal()
      expect(error.reason).toBe("damaged")
      expect(error.message).toContain(problem)
    })

    it("is not opened when the snapshot that holds cut events is gone", async () => {
      await place.use((store) =>
        someEvents(store).pipe(
          Effect.zipRight(store.saveSnapshot({ sequence: 3, events: ["abc"] })),
          Effect.zipRight(store.cutBefore(4))
        )
      )
      await place.dropSnapshot()
      expect((await place.refusal()).message).toContain("the snapshot is missing")
    })
  })

suite("MemoryEventStore", memoryPlace)
suite("SqliteEventStore", sqlitePlace)

describe("SqliteEventStore, the file", () => {
  let place: ReturnType<typeof sqlitePlace>
  beforeEach(() => {
    place = sqlitePlace()
  })
  afterEach(() => place.remove())

  const alter = (...statements: ReadonlyArray<string>) => alterFile(place.filename, ...statements)

  it("is a write-ahead log, and holds an append although the store was never closed", async () => {
    const { copyFileSync } = await import("node:fs")
    const copy = `${place.filename}.copy`
    await place.use((store) =>
      Effect.gen(function* () {
        yield* someEvents(store)
        copyFileSync(place.filename, copy)
        copyFileSync(`${place.filename}-wal`, `${copy}-wal`)
      })
    )
    const reopened = Effect.flatMap(SqliteEventStore.make({ filename: copy }), (store) => store.read(1, 10))
    expect(await Effect.runPromise(Effect.scoped(reopened) as Effect.Effect<ReadonlyArray<string>>)).toHaveLength(6)
  })

  it("belongs to one at a time, and says so", () =>
    place.use(() =>
      Effect.promise(async () => {
        const error = await place.refusal()
        expect(error.reason).toBe("locked")
        expect(error.message).toContain("stop that one")
      })
    ))

  it("says what to do about damage", async () => {
    await place.use(someEvents)
    await place.edit()
    expect((await place.refusal()).message).toMatch(/events\.sqlite: batch 3 to 3 .* Restore the file.* from a backup/)
  })

  it("refuses other files and newer formats", async () => {
    await alter("CREATE TABLE other (x)")
    expect((await place.refusal()).message).toContain("not an event store")
    await alter("DROP TABLE other", "PRAGMA user_version = 1")
    expect((await place.refusal()).message).toContain("not an event store")
    await alter("PRAGMA user_version = 0")
    await place.use(someEvents)
    await alter("PRAGMA user_version = 2")
    const error = await place.refusal()
    expect([error.reason, error.message.includes("this release knows 1")]).toEqual(["newer", true])
  })

  it("refuses a file of other bytes and a directory that is not there", async () => {
    const { writeFileSync } = await import("node:fs")
    writeFileSync(place.filename, "these are not the bytes of a database, however long they go on ".repeat(100))
    expect((await place.refusal()).reason).toBe("damaged")
    const elsewhere = SqliteEventStore.layer({ filename: join(place.filename, "missing", "events.sqlite") })
    const error = await Effect.runPromise(Effect.flip(Effect.provide(Effect.asVoid(EventStore), elsewhere)))
    expect([error._tag, error.reason]).toEqual(["EventStoreError", "io"])
  })

  it("turns a failing statement into an error, and nothing of the batch is there", async () => {
    await place.use(someEvents)
    await alter(
      "CREATE TRIGGER refuse AFTER UPDATE ON chain WHEN NEW.sequence = 8 BEGIN SELECT RAISE(ABORT, 'a test refuses'); END"
    )
    await place.use((store) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(store.append(6, ["x", "y"]))
        expect(error).toMatchObject({ _tag: "EventStoreError", reason: "io" })
        expect(error.message).toContain("a test refuses")
        expect(store.lastSequence()).toBe(6)
        expect(yield* store.read(7, 10)).toEqual([])
        expect(yield* store.append(6, ["x"])).toBe(7)
      })
    )
    await place.use((store) => Effect.map(store.read(7, 10), (events) => expect(events).toEqual(["x"])))
  })
})
