/**
 * Who receives messages, as routing sees it. MQTT sessions are subscribers; so will be AMQP consumers.
 */
import type { Message, QoS } from "./Message.js"
export type { QoS } from "./Message.js"
import type { SharedGroup } from "./SharedGroup.js"

/** One subscription as routing knows it. */
export interface Subscription {
  /** Without a `$share/<group>/` or `$exclusive/` prefix. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** [MQTT5 3.8.2.1.2]; undefined where none was given. */
  readonly subscriptionId: number | undefined
  /** End offset of every source of the tenant's log when the subscription was made: earlier messages are not for it. */
  readonly since: ReadonlyArray<number>
}

/** What routing found for one subscriber and topic: its overlapping subscriptions made one [MQTT-3.3.4-2]. */
export interface Match {
  readonly subscriber: Subscriber
  /** The highest granted QoS of the overlapping subscriptions. */
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly subscriptionIds: ReadonlyArray<number> | undefined
  /** By source: the earliest offset that any of the subscriptions is for. */
  readonly since: ReadonlyArray<number>
  /** Set where the message came through a shared subscription: settle or release it there. */
  readonly group: SharedGroup | undefined
}

/** A message as stored: which source (log shard of the tenant) and offset. */
export interface LogEntry {
  readonly message: Message
  readonly source: number
  readonly offset: number
}

export interface Subscriber {
  readonly clientId: string
  /** True where QoS 1 and 2 messages for it must be in the log before they are acknowledged. */
  readonly durable: boolean
  /** True while a client is connected. */
  readonly online: boolean
  /** How many more QoS 1/2 messages it can take now; members of shared groups are chosen by it. */
  readonly capacity: number
  /** A message that is not in the log (QoS 0, or a subscriber that is not durable). Called inside `publish`. */
  deliver(message: Message, match: Match): void
  /** A message for a durable subscriber, committed in the log; called in offset order per source, online or not. */
  deliverLogged(entry: LogEntry, match: Match): void
}
