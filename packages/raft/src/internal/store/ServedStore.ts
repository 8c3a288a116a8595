/**
 * An open Raft store at work: one change at a time, each a new newest row, synced and witnessed before it is answered.
 */
import type { SqlError } from "@effect/sql/SqlError"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { DiskError } from "@effectmq/storage/Disk"
import * as Effect from "effect/Effect"
import type { RaftStoreError, RaftStoreService } from "../../RaftStore.js"
import { encodeChunk, encodeSnapshotMeta } from "./SnapshotRecord.js"
import type { Database } from "./SqliteFile.js"
import { StagedSnapshot } from "./StagedSnapshot.js"
import { readChunk, type StoreContent } from "./StoreContent.js"
import { guarded, storeError } from "./StoreFailure.js"
import { chunkProblem, completionProblem, entriesProblem, type LogBounds } from "./StoreRules.js"
import type { Witness } from "./Witness.js"
import { encodeWrite, type WriteRecord } from "./WriteRecord.js"

export interface ServedStoreOptions {
  readonly filename: string
  readonly checkpointBytes?: number
}

/** SQLite syncs on the calling thread when it carries its log on: often and little holds others up less. */
const checkpointBytesUsual = 1 << 20
const pageBytes = 4096
/** Rows of the log, and chunks, that are deleted by one statement. */
const writesPerDelete = 256
const chunksPerDelete = 4
/** A buffer that grew over this is given back. */
const bufferBytesKept = 1 << 20

/** Lets others work: nothing before it has waited for anything. */
const turn = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const right = (): undefined => undefined

interface Parts {
  readonly database: Database
  readonly content: StoreContent
  /** SQLite's write-ahead log. */
  readonly wal: { readonly sync: Effect.Effect<void, DiskError> }
  readonly witness: Witness
}

export const serve = (options: ServedStoreOptions, { database, content, wal, witness }: Parts): RaftStoreService => {
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

  /** Makes all commits durable. It is never tried again: what failed to sync may be gone from the system's cache. */
  const sync = Effect.mapError(wal.sync, (cause) => storeError("syncing", `${filename}-wal`, "io", cause.message, cause))

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
        Effect.zipRight(sync),
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
      yield* turn
    }
    for (;;) {
      const statement = `DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE snapshot NOT IN (?, ?) LIMIT ?) RETURNING chunk`
      const deleted = yield* change("deleting from", database.rows(statement, head.snapshotId, staged?.id ?? 0, chunksPerDelete))
      if (deleted.length === 0) break
      yield* turn
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
        yield* turn
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
