/**
 * Tells people when the cluster takes this node for gone although it is alive, and when it takes it back.
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { ImageView } from "./ImageView.js"

export const watchOwnFencing = (nodeId: number, view: ImageView): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const key = String(nodeId)
    const isFenced = () => view.image().nodesById.get(key)?.fencedAtMs !== undefined
    const tell = (fenced: boolean) =>
      fenced
        ? Effect.logWarning("the cluster has fenced this node: it was not heard of for too long, others take over its work")
        : Effect.logInfo("the cluster takes this node as alive again")
    let told = false
    const look = () => {
      if (isFenced() === told) return
      told = !told
      runFork(tell(told))
    }
    look()
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        view.onChange((delta) => (delta.nodes.changed.has(key) || delta.nodes.added.has(key) ? look() : undefined))
      ),
      (stop) => Effect.sync(stop)
    )
  })
