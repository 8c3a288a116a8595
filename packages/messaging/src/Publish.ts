/**
 * One publish that waits for storage: what is still open before its publisher may be told. Once it has committed it is the entry
 * of the log that subscribers get.
 */
import type { StorageError } from "@effectmq/storage/StorageError"
import type { Route } from "./core/RouteTable.js"
import type { Message } from "./Message.js"
import type { SharedGroup } from "./SharedGroup.js"
import type { LogEntry } from "./Subscriber.js"

/** Told once per publish, when the broker has taken the message over: with what the publisher may be acknowledged. */
export interface Acknowledger {
  /**
   * @param token as given to `publish`
   * @param matched subscribers and streams that the message was for; 0 is MQTT's "no matching subscribers"
   * @param source and offset: where it stands in the tenant's log; -1 where it is not there
   */
  acknowledged(token: number, error: StorageError | undefined, matched: number, source: number, offset: number): void
  /**
   * Told before, where a message of QoS 2 with an origin has subscribers that get it without the log: they do when `deliver` is
   * called, which must wait until a restart would not publish the message again [MQTT-4.3.3-10]. One who has no such method does
   * not mind: they get it at once.
   */
  deliverLater?(token: number, deliver: () => void): void
}

export class PendingPublish implements LogEntry {
  /** Appends that have not committed yet. */
  waiting = 0
  error: StorageError | undefined = undefined
  source = -1
  offset = -1
  /** The shared groups that get it by way of the log. */
  fed: ReadonlyArray<SharedGroup> | undefined = undefined

  constructor(
    readonly message: Message,
    readonly route: Route,
    readonly matched: number,
    private acknowledger: Acknowledger | undefined,
    readonly token: number
  ) {}

  /** One append is done; tells the publisher when it was the last. */
  done(error: StorageError | undefined): void {
    this.error ??= error
    if (--this.waiting !== 0) return
    const { acknowledger } = this
    // The entry may be kept for long, its publisher need not.
    this.acknowledger = undefined
    acknowledger?.acknowledged(this.token, this.error, this.matched, this.source, this.offset)
  }
}
