/**
 * Whole ms since this process began, by a clock that nobody sets: how long something takes, and until when somebody waits, does not
 * depend on the calendar.
 */
import * as Effect from "effect/Effect"

export const uptimeMsNow = (): number => Math.floor(performance.now())

export const uptimeMs: Effect.Effect<number> = Effect.sync(uptimeMsNow)
