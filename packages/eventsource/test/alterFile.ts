/** Does to a SQLite file what no event store does. */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"

export const alterFile = (filename: string, ...statements: ReadonlyArray<string>): Promise<void> =>
  Effect.flatMap(SqliteClient.SqliteClient, (sql) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  ).pipe(Effect.provide(SqliteClient.layer({ filename, disableWAL: true })), Effect.runPromise)
