/**
 * Ends waits whose time is over. They are looked through now and then while there are any, so that a wait costs neither a timer nor
 * a fiber of its own; it ends up to `lookMs` late.
 */
import * as Effect from "effect/Effect"
import { uptimeMs } from "./uptime.js"

const lookMs = 50

interface Wait {
  /** By `uptimeMs`. */
  readonly deadlineMs: number
  readonly expired: () => void
}

export class Deadlines {
  private readonly waits = new Set<Wait>()
  private isLooking = false

  /** @param fork runs an effect beside all others for as long as whoever owns this lives */
  constructor(private readonly fork: (effect: Effect.Effect<void>) => void) {}

  /** Calls `expired` once the time is over. Answers how to stop that. */
  add(deadlineMs: number, expired: () => void): () => void {
    const wait = { deadlineMs, expired }
    this.waits.add(wait)
    if (!this.isLooking) {
      this.isLooking = true
      this.fork(this.look)
    }
    return () => void this.waits.delete(wait)
  }

  /** Ends all waits at once, as if their time were over. */
  expireAll(): void {
    this.expire(Number.POSITIVE_INFINITY)
  }

  private expire(now: number): void {
    for (const wait of [...this.waits]) {
      if (wait.deadlineMs <= now && this.waits.delete(wait)) wait.expired()
    }
  }

  private readonly look: Effect.Effect<void> = Effect.suspend(() => {
    if (this.waits.size === 0) {
      this.isLooking = false
      return Effect.void
    }
    const expire = Effect.map(uptimeMs, (now) => this.expire(now))
    return Effect.zipRight(Effect.zipRight(Effect.sleep(lookMs), expire), this.look)
  })
}
