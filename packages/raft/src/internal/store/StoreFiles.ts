/**
 * The files of a Raft store: the database (SQLite keeps `<filename>-wal` beside it) and its witness.
 *
 * Invariants
 * - A database is made under another name, with all that an empty store has, and gets its own name when it is durable: under its name
 *   there is a store, or something is wrong.
 * - The witness is durable before the first write is answered.
 */
import { dirname } from "node:path"
import type { SqlClient } from "@effect/sql/SqlClient"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { Disk, DiskError, type DiskService, readWhole, writevFully } from "@effectmq/storage/Disk"
import * as Effect from "effect/Effect"
import { newStoreId } from "./NewStoreId.js"
import { connect, makeTables } from "./SqliteFile.js"
import type { StoreContent } from "./StoreContent.js"
import { onDisk, refuse } from "./StoreFailure.js"
import { readWitness, Witness } from "./Witness.js"
import { encodeWrite, storeChecksum } from "./WriteRecord.js"

/** Of files that SQLite may leave beside a database. */
const sqliteSuffixes = ["-wal", "-journal", "-shm"]

export const witnessPath = (filename: string): string => `${filename}-witness`
const newPath = (filename: string): string => `${filename}-new`

const exists = (disk: DiskService, path: string): boolean => {
  try {
    disk.close(disk.open(path, "read"))
    return true
  } catch (error) {
    if (error instanceof DiskError && error.code === "ENOENT") return false
    throw error
  }
}

const removeAll = (disk: DiskService, path: string, suffixes: ReadonlyArray<string>): void => {
  for (const suffix of suffixes) if (exists(disk, `${path}${suffix}`)) disk.unlink(`${path}${suffix}`)
}

const writeEmptyStore = (client: SqlClient, storeId: string) =>
  Effect.gen(function* () {
    const database = yield* connect(client)
    yield* makeTables(database)
    const start = storeChecksum(storeId)
    yield* database.run("INSERT INTO identity VALUES (?, ?)", storeId, start)
    const writer = new ByteWriter()
    encodeWrite(writer, start, {
      sequence: 1,
      previousChecksum: 0,
      hardState: { term: 0, votedFor: 0, commitIndex: 0 },
      firstSlot: 1,
      firstIndex: 1,
      snapshotId: 0,
      entries: []
    })
    yield* database.run("INSERT INTO writes VALUES (1, ?)", writer.copy())
    // What SQLite would do when it closes the file, without saying whether it could.
    const carried = yield* database.rows<{ readonly busy: number }>("PRAGMA wal_checkpoint(TRUNCATE)")
    if (carried[0]?.busy !== 0) return yield* refuse("io", "its first content could not be written")
  })

/** Makes an empty store where there is none. `clientOf` opens a database for the scope. */
export const makeIfMissing = <E, R>(filename: string, clientOf: (path: string) => Effect.Effect<SqlClient, E, R>) =>
  Effect.gen(function* () {
    const disk = yield* Disk
    if (yield* onDisk(() => exists(disk, filename))) return
    for (const name of [witnessPath(filename), `${filename}-wal`]) {
      if (yield* onDisk(() => exists(disk, name))) {
        return yield* refuse("damaged", `the file is gone, though ${name} is there`)
      }
    }
    const path = newPath(filename)
    yield* onDisk(() => removeAll(disk, path, ["", ...sqliteSuffixes]))
    yield* Effect.scoped(Effect.flatMap(clientOf(path), (client) => writeEmptyStore(client, newStoreId())))
    yield* onDisk(() => {
      removeAll(disk, path, sqliteSuffixes)
      disk.rename(path, filename)
      return disk.syncDirectory(dirname(filename))
    })
  })

/**
 * SQLite's log, to be synced; open for the scope. SQLite has it open as long as the database is, and locks nothing in it, so that it
 * does no harm to have it open twice.
 *
 * What was read of it may be in the system's cache only: a process was killed before a sync, or a sync failed, after which the system
 * takes what it has for synced. So it is written once more, and synced, before anything stands on it.
 */
export const openLog = (filename: string) =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const path = `${filename}-wal`
    const content = yield* onDisk(() => readWhole(disk, path))
    if (content === undefined) return yield* refuse("io", "SQLite keeps no log beside it")
    const file = yield* Effect.acquireRelease(
      onDisk(() => disk.open(path, "write")),
      (open) => Effect.sync(() => disk.close(open))
    )
    const sync = onDisk(() => disk.sync(file))
    if (content.length > 0) yield* onDisk(() => writevFully(disk, file, [content], 0))
    yield* sync
    return { sync }
  })

/** The witness of a store that was read, open for the scope; refuses where it knows of more than was read. */
export const openWitness = (filename: string, { storeId, head }: StoreContent) =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const path = witnessPath(filename)
    if (yield* onDisk(() => exists(disk, path))) {
      const testimony = yield* onDisk(() => readWitness(disk, path))
      // One that was never finished lies beside a store in which nothing was ever written.
      if (testimony === undefined && head.sequence > 1) return yield* refuse("damaged", `${path} is damaged`)
      if (testimony !== undefined && testimony.storeId !== storeId) {
        return yield* refuse("damaged", `${path} belongs to another store`)
      }
      if (testimony !== undefined && testimony.sequence > head.sequence) {
        return yield* refuse("damaged", `it ends at write ${head.sequence}, though ${testimony.sequence} were acknowledged`)
      }
      if (testimony?.sequence === head.sequence && testimony.checksum !== head.checksum) {
        return yield* refuse("damaged", `its last write is another than the one that ${path} tells of`)
      }
    } else if (head.sequence > 1) {
      return yield* refuse("damaged", `${path} is missing`)
    }
    const witness = yield* Effect.acquireRelease(
      onDisk(() => new Witness(disk, path)),
      (open) => Effect.sync(() => open.close())
    )
    yield* onDisk(async () => {
      witness.write({ storeId, sequence: head.sequence, checksum: head.checksum })
      await witness.sync()
      // The names of the witness and of SQLite's log.
      await disk.syncDirectory(dirname(filename))
    })
    return witness
  })
