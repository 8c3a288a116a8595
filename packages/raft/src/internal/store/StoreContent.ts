/**
 * Reads all of a Raft store and believes none of it: every row has its checksum, follows the one before, and all the newest row
 * names is there.
 */
import type { SqlError } from "@effect/sql/SqlError"
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import { LogRows } from "./LogRows.js"
import { decodeChunk, decodeSnapshotMeta } from "./SnapshotRecord.js"
import type { Database } from "./SqliteFile.js"
import { type Refusal, refuse } from "./StoreFailure.js"
import { decodeWrite, storeChecksum, type WriteRecord } from "./WriteRecord.js"

export interface StoreContent {
  readonly storeId: string
  /** Where all checksums of this store begin. */
  readonly start: number
  /** The newest row. */
  readonly head: WriteRecord & { readonly slot: number; readonly checksum: number }
  /** The oldest row, which may be garbage. */
  readonly lowestSlot: number
  readonly log: LogRows
  readonly entries: ReadonlyArray<Entry>
  readonly snapshot: SnapshotMeta | undefined
  /** Of complete, staged and forgotten ones; 0 for none. */
  readonly lastSnapshotId: number
}

const rowsPerPage = 64

interface WriteRow {
  readonly slot: number
  readonly content: Uint8Array
}

const readIdentity = (database: Database): Effect.Effect<{ storeId: string; start: number }, SqlError | Refusal> =>
  Effect.gen(function* () {
    const rows = yield* database.rows<{ readonly store_id: string; readonly checksum: number }>("SELECT * FROM identity")
    const [identity] = rows
    if (rows.length !== 1 || identity === undefined) return yield* refuse("damaged", "the id of the store is missing")
    const start = storeChecksum(identity.store_id)
    if (start !== identity.checksum) return yield* refuse("damaged", "the id of the store does not match its checksum")
    return { storeId: identity.store_id, start }
  })

/** The rows that count, oldest first. */
const readWrites = (database: Database, start: number) =>
  Effect.gen(function* () {
    const newest = (yield* database.rows<WriteRow>("SELECT slot, content FROM writes ORDER BY slot DESC LIMIT 1"))[0]
    if (newest === undefined) return yield* refuse("damaged", "its log is missing")
    const head = decodeWrite(newest.content, start)
    if (typeof head === "string") return yield* refuse("damaged", `write ${newest.slot}, the last one, ${head}`)

    const writes: Array<WriteRecord & { readonly slot: number; readonly checksum: number }> = []
    let next = head.firstSlot
    while (next <= newest.slot) {
      const statement = "SELECT slot, content FROM writes WHERE slot >= ? ORDER BY slot LIMIT ?"
      const page = yield* database.rows<WriteRow>(statement, next, rowsPerPage)
      for (const { slot, content } of page) {
        const write = decodeWrite(content, start)
        if (typeof write === "string") return yield* refuse("damaged", `write ${slot} ${write}`)
        if (slot !== next) return yield* refuse("damaged", `writes ${next} to ${slot - 1} are missing`)
        const before = writes.at(-1)
        if (before !== undefined && (before.checksum !== write.previousChecksum || before.sequence >= write.sequence)) {
          return yield* refuse("damaged", `write ${slot} does not follow write ${before.slot}`)
        }
        writes.push({ ...write, slot })
        next++
      }
      if (page.length === 0) return yield* refuse("damaged", `writes from ${next} on are missing`)
    }
    return writes
  })

/** The entries that are left when each row has replaced what was at and behind its first entry. */
const replay = (
  writes: ReadonlyArray<WriteRecord & { readonly slot: number }>,
  head: WriteRecord
): { log: LogRows; entries: ReadonlyArray<Entry> } | string => {
  const log = new LogRows(0)
  let entries: Array<Entry> = []
  for (const write of writes) {
    const first = write.entries[0]
    if (first === undefined) continue
    const last = entries.at(-1)
    if (last !== undefined && first.index > last.index + 1) return `entries ${last.index + 1} to ${first.index - 1} are missing`
    if (entries.length === 0 || first.index <= entries[0].index) entries = []
    else entries.length = first.index - entries[0].index
    for (const entry of write.entries) entries.push(entry)
    log.append(write.slot, first.index, write.entries.length)
  }
  log.forgetBefore(head.firstIndex)
  const first = entries.findIndex((entry) => entry.index >= head.firstIndex)
  const kept = first === -1 ? [] : entries.slice(first)
  if (kept.length > 0 && kept[0].index !== head.firstIndex) return `entries from ${head.firstIndex} on are missing`
  return { log, entries: kept }
}

const readSnapshot = (database: Database, start: number, id: number): Effect.Effect<SnapshotMeta, SqlError | Refusal> =>
  Effect.gen(function* () {
    const rows = yield* database.rows<{ readonly content: Uint8Array }>("SELECT content FROM snapshots WHERE id = ?", id)
    if (rows[0] === undefined) return yield* refuse("damaged", "its snapshot is missing")
    const snapshot = decodeSnapshotMeta(rows[0].content, start)
    if (typeof snapshot === "string") return yield* refuse("damaged", `its snapshot ${snapshot}`)
    let bytes = 0
    for (let chunk = 0; chunk < snapshot.chunks; chunk++) bytes += (yield* readChunk(database, start, id, chunk)).length
    if (bytes !== snapshot.bytes) return yield* refuse("damaged", `its snapshot has ${bytes} bytes instead of ${snapshot.bytes}`)
    return snapshot
  })

export const readChunk = (
  database: Database,
  start: number,
  snapshotId: number,
  chunk: number
): Effect.Effect<Uint8Array, SqlError | Refusal> =>
  Effect.gen(function* () {
    const statement = "SELECT content FROM chunks WHERE snapshot = ? AND chunk = ?"
    const rows = yield* database.rows<{ readonly content: Uint8Array }>(statement, snapshotId, chunk)
    if (rows[0] === undefined) return yield* refuse("damaged", `chunk ${chunk} of its snapshot is missing`)
    const data = decodeChunk(rows[0].content, start, snapshotId, chunk)
    if (data === undefined) return yield* refuse("damaged", `chunk ${chunk} of its snapshot does not match its checksum`)
    return data
  })

export const readContent = (database: Database): Effect.Effect<StoreContent, SqlError | Refusal> =>
  Effect.gen(function* () {
    const { storeId, start } = yield* readIdentity(database)
    const writes = yield* readWrites(database, start)
    const head = writes.at(-1)
    if (head === undefined) return yield* refuse("damaged", "its log is missing")
    const replayed = replay(writes, head)
    if (typeof replayed === "string") return yield* refuse("damaged", replayed)
    const { log, entries } = replayed

    const snapshot = head.snapshotId === 0 ? undefined : yield* readSnapshot(database, start, head.snapshotId)
    const snapshotIndex = snapshot?.index ?? 0
    if (log.firstIndex > snapshotIndex + 1) {
      return yield* refuse("damaged", `entries ${snapshotIndex + 1} to ${log.firstIndex - 1} are missing`)
    }
    if (log.lastIndex < snapshotIndex) return yield* refuse("damaged", "its log ends before its snapshot")

    const lowest = yield* database.rows<{ readonly slot: number }>("SELECT min(slot) AS slot FROM writes")
    const ids = yield* database.rows<{ readonly id: number | null }>("SELECT max(id) AS id FROM snapshots")
    return {
      storeId,
      start,
      head,
      lowestSlot: lowest[0]?.slot ?? head.slot,
      log,
      entries,
      snapshot,
      lastSnapshotId: ids[0]?.id ?? 0
    }
  })
