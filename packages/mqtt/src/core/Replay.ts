/**
 * Retained messages on their way to a client that subscribed: taken one at a time as the client has room, so that a filter
 * matching a million of them costs a million references and nothing more.
 */
import type { RetainedEntry } from "@effectmq/messaging/Retained"
import type { QoS } from "@effectmq/messaging/Message"

export class Replay {
  private index = 0

  constructor(
    private entries: ReadonlyArray<RetainedEntry>,
    readonly qos: QoS,
    readonly subscriptionIds: ReadonlyArray<number> | undefined,
    /** The filter as the client wrote it. */
    readonly filter: string
  ) {}

  get left(): number {
    return this.entries.length - this.index
  }

  take(): RetainedEntry | undefined {
    const entry = this.entries[this.index]
    if (entry === undefined) this.entries = []
    else this.index++
    return entry
  }
}
