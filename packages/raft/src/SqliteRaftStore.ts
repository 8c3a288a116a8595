/**
 * A Raft store in one SQLite file, in WAL mode. A commit is answered when SQLite's log is synced up to it: what `synchronous = FULL`
 * does, done beside other work (docs/adr/0005-raft-store.md). Beside the file lies a witness of what was acknowledged
 * (internal/store/Witness), so that a store which lost some of that is not opened.
 *
 * Invariants
 * - Every change is one statement that inserts one row, so it is there whole or not at all. The newest row of the log says which rows
 *   and which snapshot count; what it no longer names is garbage, deleted afterwards in small pieces.
 * - One process has the file: it is locked from open to close.
 * - Everything is checked at open; what SQLite does to the file is heard of: it makes no checkpoint of its own accord.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Disk } from "@effectmq/storage/Disk"
import * as NodeDisk from "@effectmq/storage/NodeDisk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { serve } from "./internal/store/ServedStore.js"
import { checkTables, connect } from "./internal/store/SqliteFile.js"
import { readContent } from "./internal/store/StoreContent.js"
import { guarded } from "./internal/store/StoreFailure.js"
import { makeIfMissing, openLog, openWitness } from "./internal/store/StoreFiles.js"
import { RaftStore, type RaftStoreError, type RaftStoreService } from "./RaftStore.js"

export interface SqliteRaftStoreOptions {
  /** Its directory must be there. `<filename>-wal` and `<filename>-witness` belong to it. */
  readonly filename: string
  /** Size of SQLite's log from which it is carried into the database; 1 MiB where not given. */
  readonly checkpointBytes?: number
}

/** Opens a SQLite database for the scope; the file is made where it is not. */
export type OpenSqlite = (filename: string) => Layer.Layer<SqlClient.SqlClient>

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
      const wal = yield* openLog(filename)
      const witness = yield* openWitness(filename, content)
      return serve(options, { database, content, wal, witness })
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
