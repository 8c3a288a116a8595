/** Waits for a condition; fails with its name when it does not come true in time. */
import * as Effect from "effect/Effect"

const patienceMs = 20_000

export const until = (name: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const giveUpAt = performance.now() + patienceMs
    let timer: NodeJS.Timeout | undefined
    const look = (): void => {
      if (condition()) resume(Effect.void)
      else if (performance.now() > giveUpAt) resume(Effect.die(new Error(`never came true: ${name}`)))
      else timer = setTimeout(look, 2)
    }
    look()
    return Effect.sync(() => clearTimeout(timer))
  })
