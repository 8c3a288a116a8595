/**
 * What the suites of this package share: making batches, waiting for appends, reading records, engines on simulated disks.
 */
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import type { ShardId } from "@effectmq/schemas/ShardId"
import { Disk, type DiskService } from "@effectmq/storage/Disk"
import * as FileEngine from "@effectmq/storage/FileEngine"
import type { Shard, ShardOptions } from "@effectmq/storage/Shard"
import { ShardEngine, type ShardEngineService } from "@effectmq/storage/ShardEngine"
import type { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { FileLog } from "../src/internal/file/FileLog.js"
import { resolveFileLogOptions } from "../src/internal/file/FileLogOptions.js"
import { recover } from "../src/internal/file/Recovery.js"
import { toStorageError } from "../src/internal/file/StorageFailure.js"

export interface PlainRecord {
  readonly key: string | undefined
  readonly value: string | undefined
  readonly timestampMs?: number
}

export interface StoredRecord extends PlainRecord {
  readonly offset: number
}

export const idOf = (topic: string, partition = 0): ShardId => ({ tenant: "default", topic, partition })

export const plainOptions: ShardOptions = { durability: "fsync", cleanup: "delete" }

export const batchOf = (records: ReadonlyArray<PlainRecord>): Buffer => {
  const builder = new RecordBatchBuilder({ sizeBytes: 256 })
  for (const { key, value, timestampMs } of records) {
    builder.append(timestampMs ?? 1_000_000, key, value === undefined ? undefined : Buffer.from(value))
  }
  return builder.finish()
}

/** Resolves with the base offset, rejects with the error. */
export const append = (shard: Shard, records: ReadonlyArray<PlainRecord>): Promise<number> =>
  new Promise((resolve, reject) => {
    shard.append(batchOf(records), (error, baseOffset) => (error === undefined ? resolve(baseOffset) : reject(error)))
  })

export const recordsOf = (batches: ReadonlyArray<Uint8Array>): Array<StoredRecord> => {
  const records: Array<StoredRecord> = []
  for (const batch of batches) {
    forEachRecord(batch, (one) => {
      records.push({ offset: one.offset, key: one.key?.toString(), value: one.value?.toString(), timestampMs: one.timestampMs })
    })
  }
  return records
}

/** Runs an effect; rejects with its error itself. */
export const run = async <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
  const result = await Effect.runPromise(Effect.either(effect))
  if (result._tag === "Left") throw result.left
  return result.right
}

export interface ReadAllOptions {
  readonly fromOffset?: number
  readonly bytesMax?: number
  readonly keyFilter?: (key: Uint8Array) => boolean
}

/** Every record from an offset on. */
export const readAll = async (shard: Shard, options: ReadAllOptions = {}): Promise<Array<StoredRecord>> => {
  const records: Array<StoredRecord> = []
  let offset = options.fromOffset ?? shard.startOffset()
  const from = offset
  while (offset < shard.committedOffset()) {
    const result = await run(shard.read(offset, { bytesMax: options.bytesMax ?? 100_000, keyFilter: options.keyFilter }))
    for (const one of recordsOf(result.batches)) if (one.offset >= from) records.push(one)
    if (result.nextOffset <= offset) throw new Error(`a read at ${offset} did not move`)
    offset = result.nextOffset
  }
  return records
}

/** An engine that runs until it is closed. */
export interface Running {
  readonly engine: ShardEngineService
  readonly open: (topic: string, options?: ShardOptions) => Promise<Shard>
  /** What the engine does by itself every second. */
  readonly tick: () => Promise<void>
  readonly close: () => Promise<void>
}

export const start = async <E>(layer: Layer.Layer<ShardEngine, E>): Promise<Running> => {
  const scope = Effect.runSync(Scope.make())
  const context = await run(Layer.buildWithScope(layer, scope))
  const engine = Effect.runSync(Effect.provide(ShardEngine, context))
  return {
    engine,
    open: (topic, options = plainOptions) => run(engine.open(idOf(topic), options)),
    tick: () => Promise.resolve(),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** Small files, so that a few kilobytes exercise every path. */
export const smallFiles = {
  directory: "/data",
  walFileBytes: 8192,
  walFilesMax: 3,
  groupBytesMax: 2048,
  batchBytesMax: 4096,
  segmentBytes: 6000,
  compactSegmentBytes: 3000,
  openFilesMax: 3,
  tablesMax: 2,
  tombstoneRetentionMs: 0
} as const

export const fileLayer = (
  disk: DiskService,
  options: Partial<FileEngine.FileEngineOptions> = {}
): Layer.Layer<ShardEngine, StorageError> =>
  FileEngine.layerDisk({ ...smallFiles, ...options }).pipe(Layer.provide(Layer.succeed(Disk, disk)))

/** The file engine without its layer, for suites that start it thousands of times. Rejects with `StorageError`. */
export const startBare = async (disk: SimulatedDisk): Promise<Running> => {
  const options = resolveFileLogOptions(smallFiles)
  const hooks = { now: () => 2_000_000, synced: () => {}, appended: () => {} }
  const failed = (cause: unknown) => toStorageError("a test", cause)
  let log: FileLog
  try {
    disk.makeDirectory(options.directory)
    log = await recover(disk, options, hooks, disk.random)
  } catch (cause) {
    throw failed(cause)
  }
  const engine: ShardEngineService = {
    name: "file",
    open: (id, wanted) => Effect.try({ try: () => log.open(id, wanted), catch: failed }),
    list: Effect.sync(() => [...log.shardsByNumber.values()].map((shard) => shard.id)),
    remove: (id) => Effect.tryPromise({ try: () => log.remove(id), catch: failed }),
    clean: Effect.tryPromise({ try: () => log.clean("all"), catch: failed }),
    fenced: () => log.wal.error
  }
  return {
    engine,
    open: (topic, options = plainOptions) => run(engine.open(idOf(topic), options)),
    tick: () => log.tick(),
    close: () => log.close()
  }
}

/** A seeded generator of numbers from 0 to 1 (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Polls a condition that other work makes true. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve))
}
