/**
 * The file engine: one node's own log on a local disk.
 *
 * All shards share one write-ahead log with group commit; segments per shard are written behind. What was acknowledged survives a
 * crash of the process and, with durability `fsync`, of the machine. See docs/adr/0004-local-log.md.
 */
import { Meters } from "@effectmq/metrics/Meters"
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import { shardIdToString } from "@effectmq/schemas/ShardId"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Disk } from "./Disk.js"
import type { FileLog } from "./internal/file/FileLog.js"
import { type FileLogOptions, resolveFileLogOptions } from "./internal/file/FileLogOptions.js"
import { recover } from "./internal/file/Recovery.js"
import { toStorageError } from "./internal/file/StorageFailure.js"
import * as NodeDisk from "./NodeDisk.js"
import { ShardEngine, type ShardEngineService } from "./ShardEngine.js"
import type { StorageError } from "./StorageError.js"

export type FileEngineOptions = { readonly directory: string } & {
  readonly [K in keyof Omit<FileLogOptions, "directory">]?: FileLogOptions[K] | undefined
} & {
  /** How often retention and compaction look whether anything is due; 30 s. */
  readonly cleanIntervalMs?: number | undefined
  /** Numbers from 0 to 1, for salts that tell old frames from new. */
  readonly random?: (() => number) | undefined
}

const secondsBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** @param cleanSoon runs retention in the background. */
const service = (log: FileLog, cleanSoon: Effect.Effect<void>): ShardEngineService => ({
  name: "file",
  open: (id, options) =>
    Effect.suspend(() => {
      const before = log.shardsByName.get(shardIdToString(id))?.options
      const opening = Effect.try({
        try: () => log.open(id, options),
        catch: (cause) => toStorageError("opening a shard", cause)
      })
      const isSet = before?.retentionMs !== options.retentionMs || before?.retentionBytes !== options.retentionBytes
      return before !== undefined && isSet ? Effect.tap(opening, cleanSoon) : opening
    }),
  list: Effect.sync(() => [...log.shardsByNumber.values()].map((shard) => shard.id)),
  remove: (id) => Effect.tryPromise({ try: () => log.remove(id), catch: (cause) => toStorageError("removing a shard", cause) }),
  clean: Effect.tryPromise({ try: () => log.clean("all"), catch: (cause) => toStorageError("cleaning", cause) }),
  fenced: () => log.wal.error
})

/** The engine of a directory; released with the scope. `syncIntervalMs` and `segmentBytes` may change; the rest stays as it was first. */
export const make = (given: Options<FileEngineOptions>) =>
  Effect.gen(function* () {
    const live = liveOf(given)
    const options = live.current
    const disk = yield* Disk
    const clock = yield* Effect.clock
    const meters = yield* Effect.serviceOption(Meters)
    const resolved = resolveFileLogOptions(options)
    const registered = Option.map(meters, (service) => ({
      seconds: service.histogram("effectmq_wal_sync_seconds", "Time of one sync of the write-ahead log", secondsBuckets),
      appendSeconds: service.histogram(
        "effectmq_append_seconds",
        "Time from the append of a batch until it was as durable as its topic asks",
        secondsBuckets
      ),
      bytes: service.counter("effectmq_wal_synced_bytes_total", "Bytes made durable in the write-ahead log")
    }))
    const hooks = {
      now: () => clock.unsafeCurrentTimeMillis(),
      synced: Option.match(registered, {
        onNone: () => () => {},
        onSome:
          ({ seconds, bytes }) =>
          (took: number, count: number) => {
            seconds.observe(took)
            bytes.value += count
          }
      }),
      appended: Option.match(registered, {
        onNone: () => () => {},
        onSome: (meters) => (took: number) => meters.appendSeconds.observe(took)
      })
    }
    yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          disk.makeDirectory(resolved.directory)
          return disk.lock(resolved.directory)
        },
        catch: (cause) => toStorageError(`locking ${resolved.directory}`, cause)
      }),
      (unlock) => Effect.sync(unlock)
    )
    const log = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => recover(disk, resolved, hooks, options.random ?? Math.random),
        catch: (cause) => toStorageError(`opening ${resolved.directory}`, cause)
      }),
      (log) => Effect.promise(() => log.close())
    )
    if (Option.isSome(meters)) {
      meters.value.gauge("effectmq_wal_fenced", "1 while the write-ahead log takes no writes", () =>
        log.wal.error === undefined ? 0 : 1
      )
    }
    const cleaning = Effect.tryPromise({ try: () => log.clean("due"), catch: (cause) => toStorageError("cleaning", cause) })
    const cleaned = Effect.catchAll(cleaning, (error: StorageError) =>
      Effect.logError("retention or compaction found a damaged segment", error)
    )
    yield* cleaned.pipe(Effect.schedule(Schedule.spaced(options.cleanIntervalMs ?? 30_000)), Effect.forkScoped)
    yield* Effect.promise(() => log.tick()).pipe(Effect.schedule(Schedule.spaced(1000)), Effect.forkScoped)
    const stop = live.onChange((changed) => log.configure(resolveFileLogOptions({ ...options, ...changed })))
    yield* Effect.addFinalizer(() => Effect.sync(stop))
    const scope = yield* Effect.scope
    // One that runs, and one that begins when it has ended, serve everybody who asked.
    const oneClean = yield* Effect.makeSemaphore(1)
    let isWaiting = false
    const cleanSoon = Effect.suspend(() => {
      if (isWaiting) return Effect.void
      isWaiting = true
      const begin = Effect.suspend(() => {
        isWaiting = false
        return cleaned
      })
      return Effect.asVoid(Effect.forkIn(oneClean.withPermits(1)(begin), scope))
    })
    return service(log, cleanSoon)
  })

/** The engine on whatever disk is provided. */
export const layerDisk = (options: Options<FileEngineOptions>): Layer.Layer<ShardEngine, StorageError, Disk> =>
  Layer.scoped(ShardEngine, make(options))

/** The engine on the disk of this machine. */
export const layer = (options: Options<FileEngineOptions>): Layer.Layer<ShardEngine, StorageError> =>
  layerDisk(options).pipe(Layer.provide(NodeDisk.layer))
