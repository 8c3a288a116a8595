/**
 * The port that finds the engine a topic asked for: one engine of each name, composed from their layers.
 */
import type { EngineName } from "@effectmq/schemas/Ids"
import type { Options } from "@effectmq/schemas/config/Live"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FileEngine from "./FileEngine.js"
import * as MemoryEngine from "./MemoryEngine.js"
import { ShardEngine, type ShardEngineService } from "./ShardEngine.js"
import { StorageError } from "./StorageError.js"

export interface ShardEnginesService {
  /** Fails with `closed` where this deployment has no such engine. */
  engine(name: EngineName): Effect.Effect<ShardEngineService, StorageError>
  readonly all: ReadonlyArray<ShardEngineService>
}

export class ShardEngines extends Context.Tag("@effectmq/storage/ShardEngines")<ShardEngines, ShardEnginesService>() {}

export const make = (engines: ReadonlyArray<ShardEngineService>): ShardEnginesService => {
  const engineByName = new Map(engines.map((engine) => [engine.name, engine]))
  return {
    all: engines,
    engine: (name) => {
      const engine = engineByName.get(name)
      return engine === undefined
        ? Effect.fail(new StorageError({ reason: "closed", message: `this deployment has no storage engine ${name}` }))
        : Effect.succeed(engine)
    }
  }
}

/** The engines of these layers, whatever adapters they are. */
export const layerOf = <E, R>(engines: ReadonlyArray<Layer.Layer<ShardEngine, E, R>>): Layer.Layer<ShardEngines, E, R> =>
  Layer.scoped(
    ShardEngines,
    Effect.map(
      Effect.forEach(engines, (engine) => Effect.map(Layer.build(Layer.fresh(engine)), Context.get(ShardEngine))),
      make
    )
  )

/** The memory engine and, where a directory is given, the file engine. */
export const layer = (options: {
  readonly memory?: Options<MemoryEngine.MemoryEngineOptions> | undefined
  readonly file?: Options<FileEngine.FileEngineOptions> | undefined
}): Layer.Layer<ShardEngines, StorageError> =>
  layerOf<StorageError, never>([
    MemoryEngine.layer(options.memory),
    ...(options.file === undefined ? [] : [FileEngine.layer(options.file)])
  ])
