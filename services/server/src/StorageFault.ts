/**
 * A node that cannot store is not ready, so that whoever balances load sends clients elsewhere.
 */
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { NodeState } from "./NodeState.js"

export const layer: Layer.Layer<never, never, NodeState | ShardEngines> = Layer.effectDiscard(
  Effect.gen(function* () {
    const engines = yield* ShardEngines
    ;(yield* NodeState).faults.push(() => {
      const error = engines.all.map((engine) => engine.fenced()).find((each) => each !== undefined)
      return error === undefined ? undefined : `storage takes no writes (${error.reason}): ${error.message}`
    })
  })
)
