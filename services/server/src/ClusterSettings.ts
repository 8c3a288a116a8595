/**
 * Brings what the cluster's metadata says into the settings of this node: once as it starts, and with every change from then on.
 *
 * What does not hold here (a key of a newer version, a value that does not fit what this node was started with) is left aside and
 * told in the log; see `schemas/config/DynamicSettings`.
 */
import { Metadata } from "@effectmq/metadata/Metadata"
import { problemToString } from "@effectmq/schemas/config/ConfigError"
import { overlay } from "@effectmq/schemas/config/DynamicSettings"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { clashes, ServerSettings } from "./ServerSettings.js"

export const layer: Layer.Layer<never, never, Metadata | ServerSettings> = Layer.scopedDiscard(
  Effect.gen(function* () {
    const metadata = yield* Metadata
    const { atStart, overlaid } = yield* ServerSettings
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    let told = new Set<string>()
    const follow = () => {
      const now = overlay(atStart, metadata.image().configByKey.inOrder(), clashes)
      overlaid.set(now)
      const problems = new Set(now.ignored.map(problemToString))
      for (const problem of problems) {
        if (told.has(problem)) continue
        runFork(Effect.logWarning("a dynamic setting is left aside on this node").pipe(Effect.annotateLogs({ problem })))
      }
      told = problems
    }
    const stop = metadata.onChange((delta) => {
      if (delta.before.configByKey !== delta.after.configByKey) follow()
    })
    yield* Effect.addFinalizer(() => Effect.sync(stop))
    follow()
  })
)
