/**
 * The memory engine: shards of one process, gone with it. Bounded by each shard's retention and by one bound on all of them.
 *
 * At the bound, retention is applied to all shards; what does not fit then is refused as `full`, nothing else is dropped.
 */
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import type { ShardId } from "@effectmq/schemas/ShardId"
import { shardIdFromString, shardIdToString } from "@effectmq/schemas/ShardId"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { type MemoryEntry, type MemoryHost, MemoryShard } from "./internal/MemoryShard.js"
import type { ShardOptions } from "./Shard.js"
import { ShardEngine, type ShardEngineService } from "./ShardEngine.js"
import { StorageError } from "./StorageError.js"

export interface MemoryEngineOptions {
  /** Bytes that all shards may hold together; 256 MiB. */
  readonly bytesMax?: number | undefined
  /** Largest batch; 16 MiB. */
  readonly batchBytesMax?: number | undefined
  /** How long compaction keeps the record that removes a key; 5 minutes. */
  readonly tombstoneRetentionMs?: number | undefined
  /** How often retention by age and compaction run; 5 s. */
  readonly cleanIntervalMs?: number | undefined
}

class MemoryLog implements MemoryHost {
  readonly shardsByName = new Map<string, MemoryShard>()
  bytesMax = 0
  readonly batchBytesMax: number
  bytes = 0
  closed = false
  #round = 0
  #cleaning = Promise.resolve()
  #pending: Array<{ readonly shard: MemoryShard; readonly entry: MemoryEntry }> = []
  readonly #commitTask = () => this.#commit()

  constructor(
    readonly options: MemoryEngineOptions,
    readonly now: () => number
  ) {
    this.configure(options)
    this.batchBytesMax = options.batchBytesMax ?? 16 * 1024 * 1024
  }

  /** What is held stays, also where that is more than may be taken now. */
  configure({ bytesMax }: MemoryEngineOptions): void {
    this.bytesMax = bytesMax ?? 256 * 1024 * 1024
  }

  open(id: ShardId, options: ShardOptions): MemoryShard {
    const name = shardIdToString(id)
    const known = this.shardsByName.get(name)
    if (known !== undefined) {
      known.options = options
      known.retain(this.now())
      return known
    }
    if (shardIdFromString(name) === undefined)
      throw new StorageError({ reason: "malformed", message: `${name} is no shard's name` })
    const shard = new MemoryShard(this, id, options)
    this.shardsByName.set(name, shard)
    return shard
  }

  remove(id: ShardId): void {
    const name = shardIdToString(id)
    this.shardsByName.get(name)?.remove()
    this.shardsByName.delete(name)
  }

  soon(shard: MemoryShard, entry: MemoryEntry): void {
    this.#pending.push({ shard, entry })
    if (this.#pending.length === 1) queueMicrotask(this.#commitTask)
  }

  #commit(): void {
    const pending = this.#pending
    this.#pending = []
    const round = ++this.#round
    for (const { shard, entry } of pending) shard.commit(entry)
    for (const { entry } of pending) this.#guard(() => entry.done(undefined, entry.baseOffset))
    for (const { shard } of pending) {
      if (shard.toldInRound === round) continue
      shard.toldInRound = round
      shard.tell(this.#guard)
      if (shard.options.retentionBytes !== undefined && shard.sizeBytes() > shard.options.retentionBytes) shard.retain(this.now())
    }
  }

  /** A listener that throws is a bug of its owner: it goes to the process's handler and harms nobody else here. */
  readonly #guard = (run: () => void): void => {
    try {
      run()
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }

  makeRoom(): void {
    const nowMs = this.now()
    for (const shard of this.shardsByName.values()) shard.retain(nowMs)
  }

  /** Retention and compaction, one run at a time. */
  clean(which: "due" | "all"): Promise<void> {
    const result = this.#cleaning.then(() => this.#clean(which))
    this.#cleaning = result
    return result
  }

  async #clean(which: "due" | "all"): Promise<void> {
    this.makeRoom()
    const tombstonesBeforeMs = this.now() - (this.options.tombstoneRetentionMs ?? 5 * 60 * 1000)
    for (const shard of [...this.shardsByName.values()]) {
      if (shard.wantsCompaction() || (which === "all" && shard.options.cleanup === "compact"))
        await shard.compact(tombstonesBeforeMs)
    }
  }
}

const service = (log: MemoryLog): ShardEngineService => ({
  name: "memory",
  open: (id, options) => Effect.try({ try: () => log.open(id, options), catch: (cause) => cause as StorageError }),
  list: Effect.sync(() => [...log.shardsByName.values()].map((shard) => shard.id)),
  remove: (id) => Effect.sync(() => log.remove(id)),
  clean: Effect.promise(() => log.clean("all")),
  fenced: () => (log.closed ? new StorageError({ reason: "closed", message: "the storage engine was closed" }) : undefined)
})

/** `bytesMax` may change; the rest stays as it was first. */
export const make = (given: Options<MemoryEngineOptions> = {}) =>
  Effect.gen(function* () {
    const live = liveOf(given)
    const options = live.current
    const clock = yield* Effect.clock
    const log = yield* Effect.acquireRelease(
      Effect.sync(() => new MemoryLog(options, () => clock.unsafeCurrentTimeMillis())),
      (log) => Effect.sync(() => void (log.closed = true))
    )
    const stop = live.onChange((changed) => log.configure(changed))
    yield* Effect.addFinalizer(() => Effect.sync(stop))
    const every = Schedule.spaced(options.cleanIntervalMs ?? 5000)
    yield* Effect.promise(() => log.clean("due")).pipe(Effect.schedule(every), Effect.forkScoped)
    return service(log)
  })

export const layer = (options: Options<MemoryEngineOptions> = {}): Layer.Layer<ShardEngine> =>
  Layer.scoped(ShardEngine, make(options))
