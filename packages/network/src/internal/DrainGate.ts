/**
 * Sends over a link as fast as its other side takes it: whoever comes while it is saturated waits in line. So what a link holds is
 * bounded by one frame above its mark, whoever sends.
 */
import * as Effect from "effect/Effect"
import type { NodeLink } from "../NodeTransport.js"

export class DrainGate {
  private waiting = new Set<() => void>()
  private isClosed = false

  constructor(readonly link: NodeLink) {}

  /** @param frame is called when it can be sent; not at all when the link ended meanwhile, or where it gives nothing */
  send(frame: () => Uint8Array | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isClosed) return Effect.void
      if (this.link.saturated) return Effect.zipRight(this.drained, this.send(frame))
      const bytes = frame()
      if (bytes !== undefined) this.link.send(bytes)
      return Effect.void
    })
  }

  private readonly drained: Effect.Effect<void> = Effect.async((resume) => {
    const wake = () => resume(Effect.void)
    this.waiting.add(wake)
    return Effect.sync(() => void this.waiting.delete(wake))
  })

  /** Each of those who wait looks again, in their order. */
  onDrain(): void {
    const woken = this.waiting
    this.waiting = new Set()
    for (const wake of woken) wake()
  }

  onClose(): void {
    this.isClosed = true
    this.onDrain()
  }
}
