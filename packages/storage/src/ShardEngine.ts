/**
 * The port of a storage engine: what opens, lists and removes shards. Adapters: `MemoryEngine.layer`, `FileEngine.layer`.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EngineName } from "@effectmq/schemas/Ids"
import type { ShardId } from "@effectmq/schemas/ShardId"
import type { Shard, ShardOptions } from "./Shard.js"
import type { StorageError } from "./StorageError.js"

export interface ShardEngineService {
  readonly name: EngineName
  /**
   * Opens a shard, making it where it is not. Opening it again gives the same shard and sets its options anew; a retention that is
   * another one is applied at once.
   */
  open(id: ShardId, options: ShardOptions): Effect.Effect<Shard, StorageError>
  readonly list: Effect.Effect<ReadonlyArray<ShardId>, StorageError>
  remove(id: ShardId): Effect.Effect<void, StorageError>
  /** Runs retention and compaction now (they also run by themselves). */
  readonly clean: Effect.Effect<void, StorageError>
  /** undefined while the engine takes writes, else why it does not. */
  fenced(): StorageError | undefined
}

export class ShardEngine extends Context.Tag("@effectmq/storage/ShardEngine")<ShardEngine, ShardEngineService>() {}
