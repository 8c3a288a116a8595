/**
 * Which calls wait for their answers, and until when. All have the same time, so they run out in the order in which they were made:
 * one timer is enough for any number of calls.
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"

export class CallDeadlines {
  private readonly deadlinesMs = new Map<string, number>()
  private timing = false

  private constructor(
    private readonly timeoutMs: number,
    private readonly expired: (id: string) => Effect.Effect<void>,
    private readonly fork: (effect: Effect.Effect<void>) => void
  ) {}

  /** Until the scope closes. `expired` is called once for a call whose time is over. */
  static make(timeoutMs: number, expired: (id: string) => Effect.Effect<void>): Effect.Effect<CallDeadlines, never, Scope.Scope> {
    return Effect.gen(function* () {
      const scope = yield* Effect.scope
      const runFork = Runtime.runFork(yield* Effect.runtime<never>())
      return new CallDeadlines(timeoutMs, expired, (effect) => void runFork(Effect.forkIn(effect, scope)))
    })
  }

  begin(id: string): void {
    this.deadlinesMs.set(id, performance.now() + this.timeoutMs)
    if (this.timing) return
    this.timing = true
    this.fork(this.watch)
  }

  end(id: string): void {
    this.deadlinesMs.delete(id)
  }

  endAll(): void {
    this.deadlinesMs.clear()
  }

  /** Sleeps until the oldest call's time is over; ends when there is none. */
  private readonly watch: Effect.Effect<void> = Effect.suspend(() => {
    for (const [id, deadlineMs] of this.deadlinesMs) {
      const leftMs = deadlineMs - performance.now()
      if (leftMs > 0) return Effect.zipRight(Effect.sleep(Math.ceil(leftMs)), this.watch)
      this.deadlinesMs.delete(id)
      return Effect.zipRight(this.expired(id), this.watch)
    }
    this.timing = false
    return Effect.void
  })
}
