/**
 * One run of an effect for all who come while another one is under way: nobody gets the answer to a run that began before he came,
 * and nobody waits for longer than his own time. Who waits costs neither a fiber nor a timer.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Deadlines } from "./Deadlines.js"
import { uptimeMsNow } from "./uptime.js"

export interface SharedRunsOptions<E> {
  /** Runs an effect beside all others for as long as whoever owns this lives. */
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly deadlines: Deadlines
  readonly waitMsMax: number
  /** To whom waited for so long. */
  readonly late: E
  /** To who waits when the owner ends, and to who comes later. */
  readonly over: E
}

type Waiter<A, E> = (exit: Exit.Exit<A, E>) => void

export const sharedRuns = <A, E>(
  run: Effect.Effect<A, E>,
  { deadlines, fork, late, over, waitMsMax }: SharedRunsOptions<E>
): Effect.Effect<A, E> => {
  let isRunning = false
  let isOver = false
  let next = new Set<Waiter<A, E>>()

  const answer = (waiters: Set<Waiter<A, E>>, exit: Exit.Exit<A, E>): void => {
    for (const waiter of [...waiters]) waiter(exit)
  }
  const runNext: Effect.Effect<void> = Effect.suspend(() => {
    const waiters = next
    next = new Set()
    if (waiters.size === 0) {
      isRunning = false
      return Effect.void
    }
    const answered = Effect.onExit(run, (exit) =>
      Effect.sync(() => answer(waiters, Exit.isInterrupted(exit) ? Exit.fail(over) : exit))
    )
    return Effect.zipRight(Effect.exit(answered), runNext)
  })
  const runs = Effect.onInterrupt(runNext, () =>
    Effect.sync(() => {
      isOver = true
      answer(next, Exit.fail(over))
    })
  )

  return Effect.async<A, E>((resume) => {
    if (isOver) return resume(Effect.fail(over))
    const waiters = next
    const waiter: Waiter<A, E> = (exit) => {
      forget()
      resume(exit)
    }
    const forget = () => {
      waiters.delete(waiter)
      stop()
    }
    const stop = deadlines.add(uptimeMsNow() + waitMsMax, () => waiter(Exit.fail(late)))
    waiters.add(waiter)
    if (!isRunning) {
      isRunning = true
      fork(runs)
    }
    return Effect.sync(forget)
  })
}
