/**
 * The port through which a topic finds the engine it asks for.
 */
import type { EngineName } from "@effectmq/schemas/Ids"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ShardEngineService } from "./ShardEngine.js"
import type { StorageError } from "./StorageError.js"

export interface ShardEnginesService {
  /** The engine by its name; fails where this node does not run it. */
  engine(name: EngineName): Effect.Effect<ShardEngineService, StorageError>
}

export class ShardEngines extends Context.Tag("@effectmq/storage/ShardEngines")<ShardEngines, ShardEnginesService>() {}
