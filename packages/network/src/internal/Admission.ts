/**
 * Whether one more connection may come in: what is asked before anything is read from it.
 */
import type { ConnectionLimitsService, RefusalReason } from "../ConnectionLimits.js"
import type { ConnectionRate } from "../ListenOptions.js"
import { TokenBucket } from "../core/TokenBucket.js"

export class Admission {
  closed = false

  constructor(
    private readonly limits: ConnectionLimitsService,
    private rate: TokenBucket | undefined
  ) {}

  /** Another rate from now on; one that is the same keeps what it has counted. */
  configure(rate: ConnectionRate | undefined): void {
    if (rate?.connectionsPerSecond === this.rate?.perSecond && rate?.burst === this.rate?.burst) return
    this.rate = rate && new TokenBucket(rate.connectionsPerSecond, rate.burst)
  }

  /** Takes a place, or says why there is none. A refused one has used up its token of the rate. */
  enter(nowMs: number): RefusalReason | undefined {
    if (this.closed) return "shutting-down"
    if (this.rate !== undefined && !this.rate.take(nowMs)) return "rate-limit"
    return this.limits.acquire() ? undefined : "total-limit"
  }

  /** Takes a place of the address, besides that of `enter`. */
  place(address: string): RefusalReason | undefined {
    return this.limits.acquireAddress(address) ? undefined : "address-limit"
  }

  /** @param placed whether `place` succeeded */
  leave(address: string, placed: boolean): void {
    this.limits.release()
    if (placed) this.limits.releaseAddress(address)
  }
}
