/**
 * Limits on messages and bytes a second, for one client or one tenant. A client asks its own and its tenant's and waits for
 * the longer answer.
 */
import { TokenBucket } from "./TokenBucket.js"

/** 0 or undefined: no limit. */
export interface RateLimits {
  readonly messagesPerSecond?: number | undefined
  readonly bytesPerSecond?: number | undefined
}

const bucketOf = (ratePerSecond: number | undefined): TokenBucket | undefined =>
  ratePerSecond === undefined || ratePerSecond === 0 ? undefined : new TokenBucket(ratePerSecond)

export class RateLimiter {
  private messages: TokenBucket | undefined
  private bytes: TokenBucket | undefined
  private limits: RateLimits = {}

  constructor(limits: RateLimits) {
    this.configure(limits)
  }

  /** True where `take` always answers 0, so that a caller can leave it out. */
  get unlimited(): boolean {
    return this.messages === undefined && this.bytes === undefined
  }

  /** New limits from now on; a limit that stays the same keeps its debt. */
  configure(limits: RateLimits): void {
    if (limits.messagesPerSecond !== this.limits.messagesPerSecond) this.messages = bucketOf(limits.messagesPerSecond)
    if (limits.bytesPerSecond !== this.limits.bytesPerSecond) this.bytes = bucketOf(limits.bytesPerSecond)
    this.limits = limits
  }

  /** Counts what has been received and gives the milliseconds to stop reading; 0: go on. */
  take(nowMs: number, messages: number, bytes: number): number {
    const forMessages = this.messages === undefined ? 0 : this.messages.take(nowMs, messages)
    const forBytes = this.bytes === undefined ? 0 : this.bytes.take(nowMs, bytes)
    return Math.max(forMessages, forBytes)
  }
}
