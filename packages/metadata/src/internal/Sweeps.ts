/**
 * Looks through what waits, now and then while there is something; an idle node does nothing.
 */
import * as Effect from "effect/Effect"
import { uptimeMs } from "./uptime.js"

export class Sweeps {
  private begin: (() => void) | undefined

  constructor(
    private readonly everyMs: number,
    private readonly isNeeded: () => boolean,
    /** @param now by `uptimeMs` */
    private readonly sweep: (now: number) => void
  ) {}

  /** To be called when something has come. */
  needed(): void {
    const { begin } = this
    this.begin = undefined
    begin?.()
  }

  private readonly need = Effect.async<void>((resume) => {
    if (this.isNeeded()) resume(Effect.void)
    else this.begin = () => resume(Effect.void)
  })

  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    const sweep = Effect.map(uptimeMs, (now) => this.sweep(now))
    return Effect.forever(Effect.zipRight(Effect.zipRight(this.need, Effect.sleep(this.everyMs)), sweep))
  })
}
