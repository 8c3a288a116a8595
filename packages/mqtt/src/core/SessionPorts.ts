/**
 * What a session needs of the world, and what it gives to it: small interfaces, so that it runs in memory under test.
 */
import type { Message, QoS } from "@effectmq/messaging/Message"
import type { Slices } from "@effectmq/messaging/core/Slices"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import type { Will } from "../codec/Packets.js"
import type { Session } from "./Session.js"

/** The connection of a session's client, as the session sees it. */
export interface SessionOutput {
  /** CONNACK has told the client that it is let in. */
  readonly accepted: boolean
  /** True while the client reads slower than it is sent to: nothing new should be written. */
  readonly saturated: boolean
  /**
   * Writes a PUBLISH; `packetId` 0 for QoS 0. False where the packet would be larger than the client takes: then nothing was
   * written [MQTT-3.1.2-24].
   */
  publish(
    message: Message,
    qos: QoS,
    packetId: number,
    dup: boolean,
    retain: boolean,
    subscriptionIds: ReadonlyArray<number> | undefined
  ): boolean
  pubrel(packetId: number): void
  /** The rates that clients may have are others now. */
  followRate(): void
  /** Ends the connection, in version 5 with DISCONNECT. */
  end(reasonCode: number, reasonString: string): void
}

/** Keeps persistent sessions; see `SessionStore`. What is marked is written at the end of the tick, the newest state of it. */
export interface SessionJournal {
  headerChanged(session: Session): void
  /** `filter` as the client wrote it. */
  subscriptionChanged(session: Session, filter: string): void
  /** Must be durable soon: something waits for it (`Session.whenDurable`). */
  progressChanged(session: Session): void
  /** May be written within seconds. */
  progressMoved(session: Session): void
  /** The will is being published, or (undefined) that is over; `done` when that is durable. */
  willChanged(clientId: string, origin: string, will: Will | undefined, done?: () => void): void
  /** The session has ended: everything of it is removed. `filters`: those of its subscriptions. */
  ended(session: Session, filters: ReadonlyArray<string>): void
}

/** Counted in plain numbers, read at scrape time. */
export class SessionCounters {
  droppedQos0Saturated = 0
  droppedQueueFull = 0
  droppedExpired = 0
  droppedTooLarge = 0
  droppedLost = 0
  /** Messages sent again on a new connection. */
  resent = 0
}

export type QueueDrop = "oldest" | "newest"

export interface SessionOptions {
  /** QoS 1 and 2 messages in flight to one client. */
  readonly inflightMax: number
  /** Payload bytes in flight to one client past which nothing more is sent. */
  readonly inflightBytesMax: number
  /** Messages that wait in memory for one session. */
  readonly queueMax: number
  /** Payload bytes of them. */
  readonly queueBytesMax: number
  /** Which message goes when the queue is full. */
  readonly queueDrop: QueueDrop
}

/** What all sessions of a tenant share. */
export interface SessionContext {
  readonly space: TenantSpace
  readonly journal: SessionJournal
  /** As they are now. */
  options: SessionOptions
  readonly counters: SessionCounters
  /** Wall clock, ms; exact enough for expiry. */
  nowMs(): number
  /** A delivery to a connected client was acknowledged so long after the broker took the message. */
  observeLatency(session: Session, topic: string, latencyMs: number): void
  /** For what would take long at once: retained messages of a new subscription, the subscriptions of an ended session. */
  readonly slices: Slices
  /** Who holds which `$exclusive/` subscription, by filter. */
  readonly exclusiveByFilter: Map<string, Session>
  /** The session's deadline (will delay or expiry) has come. */
  deadline(session: Session, nowMs: number): void
}
