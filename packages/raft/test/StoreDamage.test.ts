/**
 * Files of the durable store that were damaged at rest: each is refused with words that say what to do, or holds exactly what was
 * acknowledged.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { RaftStore, type RaftStoreError, type RaftStoreService } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { chunksOf, commands, plain, saveSnapshot, snapshotOf } from "./support/StoreSamples.js"

const suffixes = ["", "-wal", "-witness"] as const
type Suffix = (typeof suffixes)[number]

let directory: string
let filename: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "effectmq-raft-damage-"))
  filename = join(directory, "raft.sqlite")
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const use = <A>(body: (store: RaftStoreService) => Effect.Effect<A, RaftStoreError>): Promise<Either.Either<A, RaftStoreError>> =>
  Effect.runPromise(Effect.either(Effect.provide(Effect.flatMap(RaftStore, body), SqliteRaftStore.layer({ filename }))))

const chunks = chunksOf("first ".repeat(100), "second ".repeat(1500), "third")
const hardState = { term: 5, votedFor: 2, commitIndex: 30 }

/** Fills a store; what is in the write-ahead log depends on `copy`, which is called while it is open. */
const fill = (copy: (when: "early" | "late") => void) =>
  use((store) =>
    Effect.gen(function* () {
      for (let at = 1; at <= 30; at += 3)
        yield* store.persist({ hardState: { ...hardState, commitIndex: at }, entries: commands(at, at + 2, 4) })
      yield* saveSnapshot(store, snapshotOf(9, 4, chunks), chunks, "keep")
      yield* store.compact(6)
      yield* store.persist({ entries: commands(28, 32, 5) })
      copy("early")
      yield* store.persist({ hardState })
      copy("late")
    })
  )

const everything = use.bind(undefined, (store: RaftStoreService) =>
  Effect.gen(function* () {
    const { storeId, snapshot, entries } = store.stored
    const content: Array<string> = []
    for (let chunk = 0; chunk < (snapshot?.chunks ?? 0); chunk++) {
      content.push(Buffer.from(yield* store.readSnapshotChunk(snapshot?.index ?? 0, chunk)).toString())
    }
    return { storeId, hardState: store.stored.hardState, snapshot, entries: plain(entries), content }
  })
)

/** The files as they lie there when the process is killed. */
const filesOf = (): ReadonlyMap<Suffix, Buffer> =>
  new Map(
    suffixes
      .filter((suffix) => existsSync(`${filename}${suffix}`))
      .map((suffix) => [suffix, readFileSync(`${filename}${suffix}`)])
  )

const layDown = (files: ReadonlyMap<Suffix, Buffer>): void => {
  for (const suffix of suffixes) {
    const bytes = files.get(suffix)
    if (bytes === undefined) rmSync(`${filename}${suffix}`, { force: true })
    else writeFileSync(`${filename}${suffix}`, bytes)
  }
}

describe.each(["killed while it was open", "closed"] as const)("a Raft store that was %s", (how) => {
  let whole: ReadonlyMap<Suffix, Buffer>
  let acknowledged: unknown

  beforeEach(async () => {
    let killed: ReadonlyMap<Suffix, Buffer> = new Map()
    await fill(() => {
      killed = filesOf()
    })
    whole = how === "closed" ? filesOf() : killed
    layDown(whole)
    acknowledged = Either.getOrThrow(await everything())
  })

  /** Whether it was refused. */
  const check = async (files: ReadonlyMap<Suffix, Buffer>, what: string): Promise<boolean> => {
    layDown(files)
    const found = await everything()
    if (Either.isRight(found)) {
      if (!isDeepStrictEqual(found.right, acknowledged)) throw new Error(`${what}: something else was served`)
      return false
    }
    // A bit of the format's number makes it a newer one.
    expect(["damaged", "newer"], what).toContain(found.left.reason)
    expect(found.left.message).toContain(filename)
    return true
  }

  it("holds all of it when nothing is damaged", async () => {
    expect(await check(whole, "whole")).toBe(false)
  })

  it.each(suffixes)("shows when bytes of <filename>%s are flipped", async (suffix) => {
    const bytes = whole.get(suffix)
    if (bytes === undefined) return
    let refused = 0
    // More in the headers than here and there in the rest.
    for (let count = 0; count < 80; count++) {
      const at = count < 40 ? (count * 5) >> 1 : Math.floor(((count - 40) * bytes.length) / 40)
      if (at >= bytes.length) break
      const flipped = Buffer.from(bytes)
      flipped[at] ^= 1 << (count % 8)
      if (await check(new Map([...whole, [suffix, flipped]]), `<filename>${suffix}, bit ${count % 8} of byte ${at}`)) refused++
    }
    // While the log holds everything the database is not looked at, and a half of the witness is enough.
    if (suffix === "-wal") expect(refused).toBe(80)
    else if (suffix === "" && how === "closed") expect(refused).toBeGreaterThan(25)
  })

  it.each(suffixes)("shows when <filename>%s is cut short or gone", async (suffix) => {
    const bytes = whole.get(suffix)
    if (bytes === undefined) return
    let refused = 0
    for (let count = 0; count < 20; count++) {
      const length = Math.floor((count * bytes.length) / 20)
      if (await check(new Map([...whole, [suffix, bytes.subarray(0, length)]]), `<filename>${suffix} cut at ${length}`)) refused++
    }
    expect(refused).toBeGreaterThan(0)
    expect(await check(new Map([...whole].filter(([name]) => name !== suffix)), `<filename>${suffix} gone`)).toBe(true)
  })
})

describe("a Raft store is refused, and says why and what to do,", () => {
  const refusal = async (): Promise<RaftStoreError> => {
    const found = await everything()
    if (Either.isRight(found)) throw new Error("it was opened")
    return found.left
  }

  const alter = (statement: string): Promise<unknown> =>
    Effect.flatMap(SqliteClient.SqliteClient, (sql) => Effect.forEach(statement.split("; "), (one) => sql.unsafe(one))).pipe(
      Effect.provide(SqliteClient.layer({ filename })),
      Effect.runPromise
    )

  it.each([
    ["DELETE FROM writes WHERE slot = (SELECT max(slot) FROM writes)", "were acknowledged"],
    ["DELETE FROM writes WHERE slot = (SELECT min(slot) FROM writes)", "are missing"],
    ["DELETE FROM writes WHERE slot = (SELECT min(slot) + 2 FROM writes)", "are missing"],
    ["DELETE FROM writes WHERE slot = 11; UPDATE writes SET slot = slot - 1 WHERE slot > 11", "does not follow write"],
    ["DELETE FROM writes", "its log is missing"],
    ["UPDATE writes SET slot = 1000 WHERE slot = (SELECT min(slot) FROM writes)", "are missing"],
    ["UPDATE writes SET content = zeroblob(2)", "is too short"],
    [
      "UPDATE writes SET content = unhex(replace(hex(content), hex('command 20'), hex('command 21')))",
      "does not match its checksum"
    ],
    ["DELETE FROM snapshots", "its snapshot is missing"],
    ["UPDATE snapshots SET content = zeroblob(40)", "its snapshot does not match its checksum"],
    ["DELETE FROM chunks WHERE chunk = 1", "chunk 1 of its snapshot is missing"],
    ["UPDATE chunks SET content = (SELECT content FROM chunks WHERE chunk = 0)", "chunk 1 of its snapshot does not match"],
    ["UPDATE identity SET store_id = replace(store_id, 'a', 'b') || ' '", "the id of the store does not match"],
    ["DELETE FROM identity", "the id of the store is missing"],
    ["DROP TABLE chunks", "its tables are not those of a Raft store"],
    ["CREATE TRIGGER more AFTER INSERT ON writes BEGIN DELETE FROM writes;END", "its tables are not those of a Raft store"],
    ["PRAGMA application_id = 7", "it is no Raft store"],
    ["PRAGMA user_version = 0", "which never was one"]
  ])("after %s", async (statement, problem) => {
    await fill(() => {})
    await alter(statement)
    const error = await refusal()
    expect(error.reason).toBe("damaged")
    expect(error.message).toContain(problem)
    expect(error.message).toContain(`opening ${filename}: `)
    expect(error.message).toMatch(/remove this node from it, move the files .*raft\.sqlite\* away and add the node anew/)
    expect(error.message).toMatch(/A node alone: restore all files .*raft\.sqlite\* together from one backup/)
  })

  it("when it is of a newer format", async () => {
    await fill(() => {})
    await alter("PRAGMA user_version = 2")
    expect(await refusal()).toMatchObject({
      reason: "newer",
      message: expect.stringContaining("Start the release that wrote it")
    })
  })

  it("when another process has it", () =>
    use(() =>
      Effect.promise(async () => {
        expect(await refusal()).toMatchObject({ reason: "locked", message: expect.stringContaining("stop that one") })
      })
    ))

  it("when it is no database, an empty file, or lies nowhere", async () => {
    writeFileSync(filename, "these are not the bytes of a database, however long they go on ".repeat(100))
    expect((await refusal()).reason).toBe("damaged")
    writeFileSync(filename, "")
    expect(await refusal()).toMatchObject({ reason: "damaged", message: expect.stringContaining("no Raft store") })
    filename = join(directory, "missing", "raft.sqlite")
    expect((await refusal()).reason).toBe("io")
  })

  it("when an older copy of it lies beside the newer witness, or the other way round one of another store", async () => {
    let older: ReadonlyMap<Suffix, Buffer> = new Map()
    await fill((when) => {
      if (when === "early") older = filesOf()
    })
    const newest = filesOf()
    layDown(new Map([...older, ["-witness", newest.get("-witness") as Buffer]]))
    expect((await refusal()).message).toMatch(/it ends at write \d+, though \d+ were acknowledged/)

    layDown(new Map())
    await fill(() => {})
    layDown(new Map([...filesOf(), ["-witness", newest.get("-witness") as Buffer]]))
    expect((await refusal()).message).toContain("belongs to another store")
    layDown(new Map([...filesOf()].filter(([suffix]) => suffix !== "-witness")))
    expect((await refusal()).message).toContain("-witness is missing")
    layDown(new Map([["-witness", newest.get("-witness") as Buffer]]))
    expect((await refusal()).message).toContain("the file is gone")
  })

  it("when another store's log lies beside it", async () => {
    let other: ReadonlyMap<Suffix, Buffer> = new Map()
    await fill(() => {
      other = filesOf()
    })
    layDown(new Map())
    let own: ReadonlyMap<Suffix, Buffer> = new Map()
    await fill(() => {
      own = filesOf()
    })
    layDown(new Map([...own, ["-wal", other.get("-wal") as Buffer]]))
    expect((await refusal()).reason).toBe("damaged")
  })
})
