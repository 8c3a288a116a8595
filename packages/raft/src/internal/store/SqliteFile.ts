/**
 * The database of a Raft store: how its file is opened, made and known.
 *
 *     identity   store_id (32 hex digits), checksum: one row
 *     writes     slot, content (WriteRecord): the log; slots are dense
 *     snapshots  id, content (SnapshotRecord): what counts is named by the newest write, the rest is staged or garbage
 *     chunks     snapshot, chunk, content (SnapshotRecord)
 *
 * There is no trigger and no constraint that does work: what the tables are made of is compared at open.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import { type Refusal, refuse } from "./StoreFailure.js"

const formatVersion = 1
/** What is beyond that was no release's doing. */
const formatVersionMax = 100
/** "EMQr": says that a SQLite file is a Raft store. */
const applicationId = 0x454d5172

const tables = [
  "CREATE TABLE identity (store_id TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT",
  "CREATE TABLE writes (slot INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT",
  "CREATE TABLE snapshots (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT",
  "CREATE TABLE chunks (snapshot INTEGER NOT NULL, chunk INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (snapshot, chunk)) STRICT"
]

/** Statements of one connection. Rows are objects by column. */
export interface Database {
  run(statement: string, ...values: ReadonlyArray<unknown>): Effect.Effect<void, SqlError>
  rows<Row>(statement: string, ...values: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Row>, SqlError>
}

const databaseOf = (connection: Connection): Database => ({
  run: (statement, ...values) => Effect.asVoid(connection.execute(statement, values, undefined)),
  rows: (statement, ...values) => connection.execute(statement, values, undefined)
})

const pragma = <Value>(database: Database, name: string): Effect.Effect<Value | undefined, SqlError> =>
  Effect.map(database.rows<{ readonly [column: string]: Value }>(`PRAGMA ${name}`), (rows) => Object.values(rows[0] ?? {})[0])

/**
 * Takes the file for itself alone. `locking_mode` comes before anything that touches the file: SQLite then keeps the lock until it
 * closes, and the index of its log in memory.
 */
export const connect = (client: SqlClient): Effect.Effect<Database, SqlError | Refusal, Scope> =>
  Effect.gen(function* () {
    const database = databaseOf(yield* client.reserve)
    yield* database.rows("PRAGMA busy_timeout = 0")
    yield* database.rows("PRAGMA locking_mode = EXCLUSIVE")
    yield* database.run("PRAGMA cell_size_check = ON")
    const mode = yield* pragma<string>(database, "journal_mode = WAL")
    if (mode !== "wal") return yield* refuse("io", "the file system cannot hold a write-ahead log")
    // SQLite syncs around its checkpoints; after each commit the store syncs the log itself, beside other work.
    yield* database.run("PRAGMA synchronous = NORMAL")
    if ((yield* pragma<number>(database, "synchronous")) !== 1) return yield* refuse("io", "SQLite syncs no checkpoints here")
    // A checkpoint that fails must be heard of, so the store makes them itself.
    yield* database.rows("PRAGMA wal_autocheckpoint = 0")
    return database
  })

/** Makes the tables in an empty file. */
export const makeTables = (database: Database): Effect.Effect<void, SqlError> =>
  Effect.forEach([...tables, `PRAGMA application_id = ${applicationId}`, `PRAGMA user_version = ${formatVersion}`], (statement) =>
    database.run(statement)
  )

/** `SQLITE_IOERR`, and the one of them that says that the file ends within a page. */
const ioCode = 10
const shortReadCode = 522

/** The check of SQLite takes a page that the device did not give for a fault of the file. */
const tellsOfDevice = (finding: string): boolean => {
  const code = Number(/unable to get the page\. error code=(\d+)/.exec(finding)?.[1] ?? 0)
  return ((code & 0xff) === ioCode && code !== shortReadCode) || finding.includes("failed to get page")
}

/** Refuses what is no whole Raft store of this format. */
export const checkTables = (database: Database): Effect.Effect<void, SqlError | Refusal> =>
  Effect.gen(function* () {
    if ((yield* pragma<number>(database, "application_id")) !== applicationId) {
      return yield* refuse("damaged", "it is no Raft store")
    }
    const version = (yield* pragma<number>(database, "user_version")) ?? 0
    if (version > formatVersion && version <= formatVersionMax) {
      return yield* refuse("newer", `its format is ${version}, this release knows ${formatVersion}`)
    }
    if (version !== formatVersion) return yield* refuse("damaged", `its format is ${version}, which never was one`)
    if ((yield* pragma<number>(database, "auto_vacuum")) !== 0) return yield* refuse("damaged", "its header was altered")
    const found = yield* database.rows<{ readonly sql: string | null }>("SELECT sql FROM sqlite_schema ORDER BY rowid")
    const statements = found.map((row) => row.sql).filter((statement) => statement !== null)
    if (statements.join(";") !== tables.join(";")) return yield* refuse("damaged", "its tables are not those of a Raft store")
    const findings = yield* database.rows<{ readonly integrity_check: string }>("PRAGMA integrity_check(1)")
    const finding = findings[0]?.integrity_check
    if (finding === "ok") return
    return yield* refuse(finding !== undefined && tellsOfDevice(finding) ? "io" : "damaged", finding ?? "SQLite cannot check it")
  })
