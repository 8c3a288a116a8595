/**
 * An event store in one SQLite file, in WAL mode with `synchronous = FULL`: a commit has reached the device.
 *
 *     batches    first_sequence, last_sequence, events (lines of text), hash
 *     chain      `anchor`: where the first batch goes on from; `head`: the last event
 *     snapshots  the newest one: sequence, count, events, hash
 *
 * Invariants
 * - Every change is one statement; triggers carry it to the other tables. So it is one transaction without a moment in
 *   which half of it can be committed, and a statement that fails has changed nothing.
 * - One process has the file: it is locked from open to close.
 * - The whole chain is checked at open, pages of batches at a time.
 *
 * SQLite syncs on the calling thread: an append costs a sync of the device, so whoever appends gathers.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { chainBatch, type ChainPoint, chainSnapshot, ChainWalk, splitLines } from "./core/HashChain.js"
import type { StoredBatch, StoredSnapshot } from "./core/HashChain.js"
import { EventStore, type EventStoreService } from "./EventStore.js"
import { EventsCut, EventStoreError, type EventStoreErrorReason, SequenceConflict } from "./EventStoreError.js"

export interface SqliteEventStoreOptions {
  /** Its directory must be there. SQLite keeps `<filename>-wal` beside it while the store is open. */
  readonly filename: string
}

const schemaVersion = 1
/** "EMQe": says that a SQLite file is an event store. */
const applicationId = 0x454d5165
const batchesPerPage = 64

const schemaStatements = [
  `CREATE TABLE batches (first_sequence INTEGER PRIMARY KEY, last_sequence INTEGER NOT NULL, events TEXT NOT NULL,
     hash BLOB NOT NULL) STRICT`,
  "CREATE INDEX batches_by_last_sequence ON batches (last_sequence)",
  "CREATE TABLE chain (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, hash BLOB NOT NULL) STRICT",
  `CREATE TABLE snapshots (sequence INTEGER PRIMARY KEY, count INTEGER NOT NULL, events TEXT NOT NULL,
     hash BLOB NOT NULL) STRICT`,
  "INSERT INTO chain VALUES ('anchor', 0, zeroblob(32)), ('head', 0, zeroblob(32))",
  `CREATE TRIGGER batch_moves_head AFTER INSERT ON batches BEGIN
     UPDATE chain SET sequence = NEW.last_sequence, hash = NEW.hash WHERE name = 'head'; END`,
  `CREATE TRIGGER anchor_cuts_batches AFTER UPDATE ON chain WHEN NEW.name = 'anchor' BEGIN
     DELETE FROM batches WHERE last_sequence <= NEW.sequence; END`,
  `CREATE TRIGGER snapshot_replaces_older AFTER INSERT ON snapshots BEGIN
     DELETE FROM snapshots WHERE sequence < NEW.sequence; END`,
  `PRAGMA application_id = ${applicationId}`,
  `PRAGMA user_version = ${schemaVersion}`
]

const reasonOf = (cause: unknown): EventStoreErrorReason => {
  const code = String((cause as { readonly code?: unknown } | undefined)?.code ?? "")
  if (code.startsWith("SQLITE_FULL")) return "full"
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return "locked"
  return code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB") ? "damaged" : "io"
}

const adviceByReason: { readonly [Reason in EventStoreErrorReason]: string } = {
  io: "Check the device and the permissions of the directory.",
  full: "Free some space.",
  locked: "Another process has it open: stop that one, or use another data directory.",
  damaged:
    "Nothing was changed. Restore the file, with its -wal file where there is one, from a backup. Or move both away: the node " +
    "then starts with nothing stored here, so that what was configured at run time must be made again.",
  newer: "Start the release that wrote it, or a later one."
}

/** One row that is there by the schema. */
const only = <Row>(rows: ReadonlyArray<Row>): Row => {
  const row = rows[0]
  if (row === undefined) throw new Error("a row of the event store is missing")
  return row
}

interface BatchRow {
  readonly first_sequence: number
  readonly last_sequence: number
  readonly events: string
  readonly hash: Uint8Array
}

const batchOf = (row: BatchRow): StoredBatch => ({
  firstSequence: row.first_sequence,
  lastSequence: row.last_sequence,
  text: row.events,
  hash: row.hash
})

interface SnapshotRow {
  readonly sequence: number
  readonly count: number
  readonly events: string
  readonly hash: Uint8Array
}

const snapshotOf = (row: SnapshotRow | undefined): StoredSnapshot | undefined =>
  row === undefined ? undefined : { sequence: row.sequence, count: row.count, text: row.events, hash: row.hash }

const open = (filename: string) => {
  const errorOf = (doing: string) => (reason: EventStoreErrorReason, what: string, cause?: unknown) =>
    new EventStoreError({ reason, message: `${doing} ${filename}: ${what}. ${adviceByReason[reason]}`, cause })
  const textOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

  /** The adapter's boundary: SQL errors, and what the driver throws, become one error. */
  const guarded = <A, R>(
    doing: string,
    effect: Effect.Effect<A, SqlError | EventStoreError, R>
  ): Effect.Effect<A, EventStoreError, R> =>
    Effect.catchAllCause(effect, (cause) => {
      const failure = Cause.squash(cause)
      if (failure instanceof EventStoreError) return Effect.fail(failure)
      const driver = (failure as { readonly _tag?: unknown })._tag === "SqlError" ? (failure as SqlError).cause : failure
      return Effect.fail(errorOf(doing)(reasonOf(driver), textOf(driver), driver))
    })

  return guarded(
    "opening",
    Effect.gen(function* () {
      const context = yield* Effect.orDie(Layer.build(SqliteClient.layer({ filename, disableWAL: true })))
      const sql = Context.get(context, SqliteClient.SqliteClient)
      const refuse = (reason: EventStoreErrorReason, what: string) => Effect.fail(errorOf("opening")(reason, what))

      yield* sql`PRAGMA busy_timeout = 0`
      yield* sql`PRAGMA locking_mode = EXCLUSIVE`
      const mode = yield* sql<{ readonly journal_mode: string }>`PRAGMA journal_mode = WAL`
      if (only(mode).journal_mode !== "wal") return yield* refuse("io", "the file system cannot hold a write-ahead log")
      yield* sql`PRAGMA synchronous = FULL`
      const synchronous = only(yield* sql<{ readonly synchronous: number }>`PRAGMA synchronous`).synchronous
      if (synchronous !== 2) return yield* refuse("io", "SQLite does not sync its commits here")

      const version = only(yield* sql<{ readonly user_version: number }>`PRAGMA user_version`).user_version
      const application = only(yield* sql<{ readonly application_id: number }>`PRAGMA application_id`).application_id
      if (version === 0) {
        const tables = only(yield* sql<{ readonly n: number }>`SELECT count(*) AS n FROM sqlite_master`).n
        if (tables > 0) return yield* refuse("damaged", "it is a SQLite file and not an event store")
        yield* sql.withTransaction(Effect.forEach(schemaStatements, (statement) => sql.unsafe(statement), { discard: true }))
      } else if (application !== applicationId) {
        return yield* refuse("damaged", "it is a SQLite file and not an event store")
      } else if (version !== schemaVersion) {
        return yield* refuse("newer", `its format is ${version}, this release knows ${schemaVersion}`)
      }

      const point = (name: "anchor" | "head") =>
        Effect.map(sql<ChainPoint>`SELECT sequence, hash FROM chain WHERE name = ${name}`, (rows) => rows[0])
      const readSnapshot = Effect.map(
        sql<SnapshotRow>`SELECT sequence, count, events, hash FROM snapshots ORDER BY sequence DESC LIMIT 1`,
        (rows) => snapshotOf(rows[0])
      )
      const readBatches = (fromSequence: number) =>
        Effect.map(
          sql<BatchRow>`SELECT first_sequence, last_sequence, events, hash FROM batches
            WHERE last_sequence >= ${fromSequence} ORDER BY last_sequence LIMIT ${batchesPerPage}`,
          (rows) => rows.map(batchOf)
        )

      const storedAnchor = yield* point("anchor")
      const storedHead = yield* point("head")
      if (storedAnchor === undefined || storedHead === undefined)
        return yield* refuse("damaged", "the ends of its chain are missing")
      const storedSnapshot = yield* readSnapshot
      const walk = new ChainWalk(storedAnchor, storedSnapshot)
      for (let from = 0, page = yield* readBatches(from); page.length > 0; page = yield* readBatches(from)) {
        for (const batch of page) {
          const problem = walk.batch(batch)
          if (problem !== undefined) return yield* refuse("damaged", problem)
          from = batch.lastSequence + 1
        }
      }
      const problem = walk.end(storedHead)
      if (problem !== undefined) return yield* refuse("damaged", problem)

      let anchor = storedAnchor
      let head = storedHead
      let snapshotSequence = storedSnapshot?.sequence ?? 0

      const store: EventStoreService = {
        lastSequence: () => head.sequence,
        firstSequence: () => anchor.sequence + 1,
        chainHash: () => Buffer.from(head.hash).toString("hex"),
        append: (expectedSequence, events) =>
          Effect.suspend((): Effect.Effect<number, EventStoreError | SequenceConflict> => {
            if (expectedSequence !== head.sequence) {
              return Effect.fail(new SequenceConflict({ expectedSequence, lastSequence: head.sequence }))
            }
            if (events.length === 0) return Effect.succeed(head.sequence)
            const batch = chainBatch(head, events)
            return sql`INSERT INTO batches VALUES (${batch.firstSequence}, ${batch.lastSequence}, ${batch.text}, ${batch.hash})`.pipe(
              Effect.map(() => {
                head = { sequence: batch.lastSequence, hash: batch.hash }
                return head.sequence
              }),
              (effect) => guarded("appending to", effect),
              Effect.uninterruptible
            )
          }),
        read: (fromSequence, eventsMax) =>
          Effect.gen(function* () {
            const events: Array<string> = []
            const firstSequence = anchor.sequence + 1
            if (fromSequence < firstSequence) return yield* Effect.fail(new EventsCut({ fromSequence, firstSequence }))
            while (events.length < eventsMax) {
              const next = fromSequence + events.length
              const page = yield* guarded("reading", readBatches(next))
              if (page.length === 0) break
              for (const batch of page) {
                if (events.length >= eventsMax) break
                events.push(...batch.text.split("\n").slice(Math.max(0, fromSequence - batch.firstSequence)))
              }
            }
            return events.slice(0, eventsMax)
          }),
        latestSnapshot: guarded("reading", readSnapshot).pipe(
          Effect.map((stored) =>
            stored === undefined ? undefined : { sequence: stored.sequence, events: splitLines(stored.text, stored.count) }
          )
        ),
        saveSnapshot: (snapshot) =>
          Effect.gen(function* () {
            const { sequence } = snapshot
            const ended = yield* guarded(
              "reading",
              sql<ChainPoint>`SELECT last_sequence AS sequence, hash FROM batches WHERE last_sequence = ${sequence}`
            )
            const at = ended[0] ?? (anchor.sequence === sequence ? anchor : undefined)
            if (at === undefined || sequence < snapshotSequence) {
              return yield* Effect.dieMessage(`no batch ends at ${sequence}, or a newer snapshot is there`)
            }
            const stored = chainSnapshot(at, snapshot.events)
            yield* guarded(
              "saving a snapshot in",
              sql`INSERT OR REPLACE INTO snapshots VALUES (${sequence}, ${stored.count}, ${stored.text}, ${stored.hash})`
            )
            snapshotSequence = sequence
          }).pipe(Effect.uninterruptible),
        cutBefore: (sequence) =>
          Effect.gen(function* () {
            const lastCut = Math.min(sequence - 1, snapshotSequence)
            const rows = yield* guarded(
              "reading",
              sql<ChainPoint>`SELECT last_sequence AS sequence, hash FROM batches
                WHERE last_sequence <= ${lastCut} ORDER BY last_sequence DESC LIMIT 1`
            )
            const last = rows[0]
            if (last === undefined) return
            yield* guarded(
              "cutting",
              sql`UPDATE chain SET sequence = ${last.sequence}, hash = ${last.hash} WHERE name = 'anchor'`
            )
            anchor = last
          }).pipe(Effect.uninterruptible)
      }
      return store
    })
  )
}

export const make = (options: SqliteEventStoreOptions): Effect.Effect<EventStoreService, EventStoreError, Scope.Scope> =>
  open(options.filename)

export const layer = (options: SqliteEventStoreOptions): Layer.Layer<EventStore, EventStoreError> =>
  Layer.scoped(EventStore, make(options))
