/** The real SQLite on simulated disks: what it stores, what its machine gives it, and what is left when that stops. */
import { type Fault, SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as SqlClientTag from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { describe, expect, it } from "vitest"
import { SeededRandom } from "../src/SeededRandom.js"
import { SimulatedSqlite, type SqliteMachine } from "../src/SimulatedSqlite.js"

const sqlite = await SimulatedSqlite.load()

const diskOf = (seed: number): SimulatedDisk => {
  const random = new SeededRandom(seed)
  const disk = new SimulatedDisk(() => random.next())
  disk.makeDirectory("/data")
  return disk
}

const machineOf = (disk: SimulatedDisk, seed = 1): SqliteMachine => {
  const random = new SeededRandom(seed)
  return { disk, random: () => random.next(), nowMs: () => Date.UTC(2001, 1, 3, 4, 5, 6, 789) }
}

const use = <A>(
  machine: SqliteMachine,
  body: (sql: SqlClient) => Effect.Effect<A, unknown>,
  path = "/data/one.sqlite"
): Promise<A> => Effect.runPromise(Effect.provide(Effect.flatMap(SqlClientTag.SqlClient, body), sqlite.openOn(machine)(path)))

const inWal = (sql: SqlClient) =>
  Effect.all([
    sql`PRAGMA locking_mode = EXCLUSIVE`,
    sql`PRAGMA journal_mode = WAL`,
    sql`PRAGMA synchronous = FULL`,
    sql`CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY, text TEXT, bytes BLOB, real REAL) STRICT`
  ])

const count = (sql: SqlClient) => Effect.map(sql<{ n: number }>`SELECT count(*) AS n FROM numbers`, (rows) => rows[0]?.n)
const add = (sql: SqlClient, n: number) => sql`INSERT INTO numbers (n) VALUES (${n})`
const codeOf = (error: SqlError) => (error.cause as { readonly code: string }).code

describe("SQLite on a simulated disk", () => {
  it("gives back every kind of value", async () => {
    const machine = machineOf(diskOf(1))
    const rows = [
      { n: 0, text: "", bytes: Buffer.alloc(0), real: 0.5 },
      { n: -1, text: "ä€😀", bytes: Buffer.from([0, 255, 1]), real: -1e300 },
      { n: 2 ** 31, text: null, bytes: null, real: null },
      { n: Number.MAX_SAFE_INTEGER, text: "x".repeat(10_000), bytes: Buffer.alloc(100_000, 7), real: 1 },
      { n: Number.MIN_SAFE_INTEGER, text: "0", bytes: Buffer.from("0"), real: 3 }
    ]
    await use(machine, (sql) =>
      Effect.zipRight(
        inWal(sql),
        Effect.forEach(rows, (row) => sql`INSERT INTO numbers VALUES (${row.n}, ${row.text}, ${row.bytes}, ${row.real})`)
      )
    )
    const read = await use(machine, (sql) => Effect.zipRight(inWal(sql), sql`SELECT * FROM numbers`))
    expect(read).toEqual(rows.toSorted((one, other) => one.n - other.n))
  })

  it("takes clock and randomness from the machine", async () => {
    const ask = (seed: number) =>
      use(
        machineOf(diskOf(1), seed),
        (sql) => sql<{ now: string; random: string }>`SELECT strftime('%Y-%m-%d %H:%M:%f') AS now, hex(randomblob(16)) AS random`
      )
    const [first] = await ask(1)
    expect(first?.now).toBe("2001-02-03 04:05:06.789")
    expect((await ask(1))[0]).toEqual(first)
    expect((await ask(2))[0]?.random).not.toBe(first?.random)
  })

  it("writes the same bytes for the same calls, whatever runs beside it", async () => {
    const work = (other: SimulatedDisk | undefined) => async (disk: SimulatedDisk) => {
      await use(machineOf(disk), (sql) =>
        Effect.gen(function* () {
          yield* inWal(sql)
          for (let n = 0; n < 50; n++) {
            yield* add(sql, n)
            if (n % 20 === 0) yield* sql`PRAGMA wal_checkpoint(RESTART)`
            if (other !== undefined)
              yield* Effect.promise(() => use(machineOf(other, n), (beside) => Effect.zipRight(inWal(beside), add(beside, n))))
          }
          // The log is gone when the database is closed.
          yield* sql`PRAGMA wal_checkpoint(PASSIVE)`
          yield* add(sql, 1000)
          expect(disk.content("/data/one.sqlite-wal").length).toBeGreaterThan(4096)
        })
      )
      return disk
    }
    const [one, two] = [await work(undefined)(diskOf(1)), await work(diskOf(5))(diskOf(1))]
    expect(two.content("/data/one.sqlite").equals(one.content("/data/one.sqlite"))).toBe(true)
    expect(two.calls).toBe(one.calls)
  })

  it("belongs to one connection at a time where that locks it", async () => {
    const machine = machineOf(diskOf(1))
    await use(machine, (sql) =>
      Effect.gen(function* () {
        yield* inWal(sql)
        yield* add(sql, 1)
        const other = yield* Effect.promise(() => use(machine, (sql) => Effect.flip(count(sql))))
        expect(codeOf(other)).toBe("SQLITE_BUSY")
      })
    )
    expect(await use(machine, (sql) => Effect.zipRight(inWal(sql), count(sql)))).toBe(1)
  })

  it("has after a power loss what was committed, and nothing of what was not", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const disk = diskOf(seed)
      let acknowledged = 0
      disk.failAt(40 + seed * 3, { kind: seed % 2 === 0 ? "torn" : "crash" })
      const work = use(machineOf(disk), (sql) =>
        Effect.gen(function* () {
          yield* inWal(sql)
          for (let n = 0; n < 100; n++) {
            yield* add(sql, n)
            acknowledged = n + 1
          }
        })
      )
      await expect(work).rejects.toThrow()
      const after = await use(machineOf(disk.restarted("lost")), (sql) => Effect.zipRight(inWal(sql), count(sql)))
      expect([acknowledged, acknowledged + 1]).toContain(after)
    }
  })

  it.each<[Fault | "full", string]>([
    [{ kind: "error", code: "EIO" }, "SQLITE_IOERR"],
    [{ kind: "error", code: "ENOSPC" }, "SQLITE_FULL"],
    ["full", "SQLITE_FULL"]
  ])("says what went wrong: %j is %s", async (fault, code) => {
    const disk = diskOf(1)
    await use(machineOf(disk), (sql) =>
      Effect.gen(function* () {
        yield* inWal(sql)
        yield* add(sql, 1)
        if (fault === "full") disk.full = true
        else disk.failAt(disk.calls + 1, fault)
        expect(codeOf(yield* Effect.flip(add(sql, 2)))).toBe(code)
        disk.full = false
        yield* add(sql, 3)
        expect(yield* count(sql)).toBe(2)
      })
    )
  })

  it("goes on after a short write", () => {
    const disk = diskOf(1)
    return use(machineOf(disk), (sql) =>
      Effect.gen(function* () {
        yield* inWal(sql)
        for (let n = 0; n < 20; n++) {
          disk.failAt(disk.calls + 1 + (n % 3), { kind: "short" })
          yield* add(sql, n)
        }
        expect(yield* count(sql)).toBe(20)
      })
    )
  })

  it("keeps an answer back for as long as the disk took, and for ever when the machine has stopped", async () => {
    const disk = diskOf(1)
    const waits: Array<number> = []
    const machine: SqliteMachine = {
      ...machineOf(disk),
      latencyMs: ({ syncs }) => {
        waits.push(syncs)
        return syncs
      },
      silentWhenStopped: true
    }
    await use(machine, (sql) =>
      Effect.gen(function* () {
        yield* inWal(sql)
        waits.length = 0
        yield* add(sql, 1)
        yield* count(sql)
        expect(waits).toEqual([1, 0])
        disk.crash()
        const fiber = yield* Effect.fork(add(sql, 2))
        yield* Effect.yieldNow()
        expect(yield* Fiber.poll(fiber)).toEqual(expect.objectContaining({ _tag: "None" }))
        yield* Fiber.interrupt(fiber)
      })
    )
  })

  it("takes no memory for machines that have stopped", async () => {
    const before = sqlite.openDatabases
    const scope = Effect.runSync(Scope.make())
    for (let n = 0; n < 30; n++) {
      const disk = diskOf(n)
      const layer = sqlite.openOn(machineOf(disk))("/data/one.sqlite")
      const opened = Effect.flatMap(SqlClientTag.SqlClient, (sql) => Effect.zipRight(inWal(sql), add(sql, 1)))
      // Nobody closes it: the process is gone.
      await Effect.runPromise(
        Effect.forkIn(Effect.provide(Effect.zipRight(opened, Effect.never), layer), scope).pipe(Effect.zipLeft(Effect.sleep(1)))
      )
      disk.crash()
      expect(sqlite.openDatabases).toBeLessThanOrEqual(before + 1)
    }
    await use(machineOf(diskOf(1)), inWal)
    expect(sqlite.openDatabases).toBe(before)
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })
})
