/**
 * A Raft store in one SQLite file, in WAL mode with `synchronous = FULL`: a commit has reached the device. Beside it lies a witness
 * of what was acknowledged (internal/store/Witness), so that a store which lost some of that is not opened.
 *
 * Invariants
 * - Every change is one statement that inserts one row, so it is there whole or not at all. The newest row of the log says which rows
 *   and which snapshot count; what it no longer names is garbage, deleted afterwards in small pieces.
 * - One process has the file: it is locked from open to close.
 * - Everything is checked at open; what SQLite does to the file is heard of: it makes no checkpoint of its own accord.
 *
 * SQLite syncs on the calling thread: a write costs a sync of the device (docs/adr/0005-raft-store.md).
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { type Disk, DiskError } from "@effectmq/storage/Disk"
import * as NodeDisk from "@effectmq/storage/NodeDisk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { connect, checkTables, type Database } from "./internal/store/SqliteFile.js"
import { encodeChunk, encodeSnapshotMeta } from "./internal/store/SnapshotRecord.js"
import { StagedSnapshot } from "./internal/store/StagedSnapshot.js"
import { readChunk, readContent, type StoreContent } from "./internal/store/StoreContent.js"
import { guarded, storeError } from "./internal/store/StoreFailure.js"
import { makeIfMissing, openWitness } from "./internal/store/StoreFiles.js"
import { chunkProblem, completionProblem, entriesProblem, type LogBounds } from "./internal/store/StoreRules.js"
import type { Witness } from "./internal/store/Witness.js"
import { encodeWrite, type WriteRecord } from "./internal/store/WriteRecord.js"
import { RaftStore, type RaftStoreError, type RaftStoreService } from "./RaftStore.js"

export interface SqliteRaftStoreOptions {
  /** Its directory must be there. `<filename>-wal` and `<filename>-witness` belong to it. */
  readonly filename: string
  /** Size of SQLite's log from which it is carried into the database; 4 MiB where not given. */
  readonly checkpointBytes?: number
}

/** Opens a SQLite database for the scope; the file is made where it is not. */
export type OpenSqlite = (filename: string) => Layer.Layer<SqlClient.SqlClient>

const checkpointBytesUsual = 4 << 20
const pageBytes = 4096
/** Rows of the log, and chunks, that are deleted by one statement. */
const writesPerDelete = 256
const chunksPerDelete = 4
/** A buffer that grew over this is given back. */
const bufferBytesKept = 1 << 20

const right = (): undefined => undefined

const serve = (
  options: SqliteRaftStoreOptions,
  database: Database,
  content: StoreContent,
  witness: Witness
): RaftStoreService => {
  const { filename, checkpointBytes = checkpointBytesUsual } = options
  const { storeId, start, log } = content
  const writer = new ByteWriter({ sizeBytes: 16_384 })
  const oneAtATime = Effect.unsafeMakeSemaphore(1).withPermits(1)
  let head: WriteRecord & { readonly checksum: number } = content.head
  let { slot: headSlot } = content.head
  let { lowestSlot, lastSnapshotId, snapshot } = content
  let staged: StagedSnapshot | undefined
  let pagesWritten = 0
  let fencedBy: string | undefined

  const bounds = (): LogBounds => ({
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    snapshotIndex: snapshot?.index ?? 0
  })

  /**
   * One change at a time, never cut short. Whatever fails but for want of space is the last change. `problemOf` says what is wrong
   * with the call, which is a bug of the caller and changes nothing.
   */
  const change = <A>(
    doing: string,
    effect: Effect.Effect<A, SqlError | DiskError | RaftStoreError>,
    problemOf: () => string | undefined = right
  ) =>
    Effect.suspend(() => {
      const problem = problemOf()
      if (problem !== undefined) return Effect.dieMessage(problem)
      if (fencedBy !== undefined) {
        const what = `it failed before and takes no more writes until the node starts again (${fencedBy})`
        return Effect.fail(storeError(doing, filename, "io", what))
      }
      return Effect.tapError(guarded(doing, filename, effect), (error) =>
        Effect.sync(() => {
          if (error.reason !== "full") fencedBy = error.message
        })
      )
    }).pipe(oneAtATime, Effect.uninterruptible)

  const insert = (statement: string, values: ReadonlyArray<unknown>, bytes: number) =>
    Effect.tap(database.run(statement, ...values), () => {
      pagesWritten += Math.ceil(bytes / pageBytes) + 2
    })

  /** Carries SQLite's log into the database when it is long. Want of space leaves it where it is. */
  const checkpoint = Effect.suspend(() => {
    if (pagesWritten * pageBytes < checkpointBytes) return Effect.void
    pagesWritten = 0
    return Effect.catchIf(
      guarded("carrying on the log of", filename, database.rows("PRAGMA wal_checkpoint(PASSIVE)")),
      (error) => error.reason === "full",
      () => Effect.void
    )
  })

  const testify = Effect.sync(() => {
    try {
      witness.write({ storeId, sequence: head.sequence, checksum: head.checksum })
    } catch (error) {
      // What it says then is older, and still true.
      if (!(error instanceof DiskError && error.code === "ENOSPC")) throw error
    }
  })

  /** A row without entries is written over: the newest one says all that it said. */
  const nextSlot = (): number => (head.entries.length === 0 ? headSlot : headSlot + 1)

  /** Writes a new newest row. */
  const writeHead = (next: Pick<WriteRecord, "hardState" | "entries"> & Partial<WriteRecord>) =>
    Effect.suspend(() => {
      const slot = nextSlot()
      const over = slot === headSlot
      const record: WriteRecord = {
        firstSlot: head.firstSlot,
        firstIndex: head.firstIndex,
        snapshotId: head.snapshotId,
        ...next,
        sequence: head.sequence + 1,
        previousChecksum: over ? head.previousChecksum : head.checksum
      }
      writer.reset(bufferBytesKept)
      const checksum = encodeWrite(writer, start, record)
      return insert("INSERT OR REPLACE INTO writes VALUES (?, ?)", [slot, writer.copy()], writer.position).pipe(
        Effect.tap(() => {
          // The entries themselves are not needed any more, only that there are some.
          head = { ...record, entries: record.entries.slice(0, 1), checksum }
          headSlot = slot
          if (record.entries.length > 0) log.append(slot, record.entries[0].index, record.entries.length)
        }),
        Effect.zipRight(testify),
        Effect.zipRight(checkpoint)
      )
    })

  /** Deletes what the newest row no longer names; what cannot be deleted for want of space stays until the next time. */
  const collectGarbage = Effect.gen(function* () {
    while (lowestSlot < head.firstSlot) {
      const below = Math.min(head.firstSlot, lowestSlot + writesPerDelete)
      yield* change("deleting from", insert("DELETE FROM writes WHERE slot < ?", [below], pageBytes))
      lowestSlot = below
      yield* Effect.yieldNow()
    }
    for (;;) {
      const statement = `DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE snapshot NOT IN (?, ?) LIMIT ?) RETURNING chunk`
      const deleted = yield* change("deleting from", database.rows(statement, head.snapshotId, staged?.id ?? 0, chunksPerDelete))
      if (deleted.length === 0) break
      yield* Effect.yieldNow()
    }
    const named = Effect.suspend(() =>
      insert("DELETE FROM snapshots WHERE id NOT IN (?, ?)", [head.snapshotId, staged?.id ?? 0], pageBytes)
    )
    yield* change("deleting from", named)
  }).pipe(
    Effect.catchIf(
      (error) => error.reason === "full",
      () => Effect.void
    )
  )

  const beginStaging = (wanted: NonNullable<typeof snapshot>) =>
    Effect.suspend(() => {
      const begun = new StagedSnapshot(++lastSnapshotId, wanted)
      staged = undefined
      const meta = encodeSnapshotMeta(start, wanted)
      return Effect.map(insert("INSERT INTO snapshots VALUES (?, ?)", [begun.id, meta], meta.length), () => {
        staged = begun
        return begun
      })
    })

  return {
    stored: { storeId, hardState: content.head.hardState, snapshot: content.snapshot, entries: content.entries },
    persist: ({ hardState, entries = [] }) =>
      change(
        "writing to",
        Effect.suspend(() =>
          hardState === undefined && entries.length === 0
            ? Effect.void
            : writeHead({ hardState: hardState ?? head.hardState, entries })
        ),
        () => entriesProblem(entries, bounds())
      ),
    stageSnapshotChunk: (wanted, chunk, data) =>
      Effect.gen(function* () {
        if (staged !== undefined && !staged.isOf(wanted)) {
          staged = undefined
          yield* collectGarbage
        }
        yield* change(
          "writing a snapshot to",
          Effect.gen(function* () {
            const into = staged ?? (yield* beginStaging(wanted))
            const record = encodeChunk(start, into.id, chunk, data)
            yield* insert("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?)", [into.id, chunk, record], record.length)
            into.chunkWritten(chunk, data.length)
            yield* checkpoint
          }),
          () => chunkProblem(wanted, chunk)
        )
      }),
    completeSnapshot: (wanted, kept) =>
      Effect.gen(function* () {
        yield* change(
          "writing a snapshot to",
          Effect.gen(function* () {
            const cut = kept === "discard" ? { firstSlot: nextSlot(), firstIndex: wanted.index + 1 } : {}
            yield* writeHead({ hardState: head.hardState, entries: [], snapshotId: staged?.id ?? 0, ...cut })
            if (kept === "discard") log.discard(wanted.index + 1)
            snapshot = wanted
            staged = undefined
          }),
          () =>
            (staged?.isOf(wanted) === true ? staged.missing() : "another snapshot was staged, or none") ??
            completionProblem(wanted, kept, bounds())
        )
        yield* collectGarbage
      }),
    readSnapshotChunk: (index, chunk) =>
      Effect.suspend(() => {
        if (snapshot?.index !== index || chunk >= snapshot.chunks)
          return Effect.dieMessage(`there is no chunk ${chunk} at ${index}`)
        return guarded("reading", filename, readChunk(database, start, head.snapshotId, chunk))
      }).pipe(oneAtATime),
    compact: (index) =>
      Effect.gen(function* () {
        const forgotten = Math.min(index, snapshot?.index ?? 0)
        if (forgotten < log.firstIndex) return
        yield* change(
          "compacting",
          Effect.suspend(() => {
            const firstSlot = log.slotBehind(forgotten) ?? nextSlot()
            const written = writeHead({ hardState: head.hardState, entries: [], firstSlot, firstIndex: forgotten + 1 })
            return Effect.map(written, () => log.forgetBefore(forgotten + 1))
          })
        )
        yield* collectGarbage
      })
  }
}

/** A store whose database is opened by `openSqlite`, on the given disk. */
export const make = (
  options: SqliteRaftStoreOptions,
  openSqlite: OpenSqlite
): Effect.Effect<RaftStoreService, RaftStoreError, Disk | Scope.Scope> => {
  const { filename } = options
  const clientOf = (path: string) => Effect.map(Layer.build(openSqlite(path)), Context.get(SqlClient.SqlClient))
  return guarded(
    "opening",
    filename,
    Effect.gen(function* () {
      yield* makeIfMissing(filename, clientOf)
      const database = yield* connect(yield* clientOf(filename))
      yield* checkTables(database)
      const content = yield* readContent(database)
      const witness = yield* openWitness(filename, content)
      return serve(options, database, content, witness)
    })
  )
}

export const layerOver = (
  options: SqliteRaftStoreOptions,
  openSqlite: OpenSqlite
): Layer.Layer<RaftStore, RaftStoreError, Disk> => Layer.scoped(RaftStore, make(options, openSqlite))

/** On this machine's disk. */
export const layer = (options: SqliteRaftStoreOptions): Layer.Layer<RaftStore, RaftStoreError> =>
  layerOver(options, (filename) => Layer.orDie(SqliteClient.layer({ filename, disableWAL: true }))).pipe(
    Layer.provide(NodeDisk.layer)
  )
