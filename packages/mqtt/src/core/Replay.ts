/**
 * Retained messages on their way to a client that subscribed: looked for as the client has room, so that a filter that matches
 * a million of them costs no more than one that matches few.
 */
import type { RetainedCursor, RetainedEntry } from "@effectmq/messaging/Retained"
import { type RetainedRange, RetainedReplay } from "@effectmq/messaging/RetainedReplay"
import type { QoS } from "@effectmq/messaging/Message"

/** How far `take` looks: microseconds. */
const stepsMax = 16

export class Replay {
  constructor(
    private readonly entries: RetainedCursor,
    readonly qos: QoS,
    readonly subscriptionIds: ReadonlyArray<number> | undefined,
    /** The filter as the client wrote it. */
    readonly filter: string
  ) {}

  /** Where a restart goes on; undefined where it begins anew. */
  get range(): RetainedRange | undefined {
    return this.entries instanceof RetainedReplay ? this.entries : undefined
  }

  get done(): boolean {
    return this.entries.done
  }

  /** The next one; undefined where none was found so far: look again, unless it is `done`. */
  take(): RetainedEntry | undefined {
    return this.entries.next(stepsMax)
  }
}
