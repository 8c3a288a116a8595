/**
 * One run of an effect for all who come while another one is under way: nobody gets the answer to a run that began before he came.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export const sharedRuns = <A, E>(run: Effect.Effect<A, E>, scope: Scope.Scope): Effect.Effect<A, E> => {
  let isRunning = false
  let next: Deferred.Deferred<A, E> | undefined
  const runNext: Effect.Effect<void> = Effect.suspend(() => {
    const waited = next
    next = undefined
    if (waited === undefined) {
      isRunning = false
      return Effect.void
    }
    return Effect.zipRight(Effect.intoDeferred(run, waited), runNext)
  })
  return Effect.gen(function* () {
    if (next === undefined) next = yield* Deferred.make<A, E>()
    const waited = next
    if (!isRunning) {
      isRunning = true
      yield* Effect.forkIn(runNext, scope)
    }
    return yield* Deferred.await(waited)
  })
}
