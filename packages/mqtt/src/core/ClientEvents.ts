/**
 * What happens to clients, for whoever wants to know: $SYS topics, flapping detection, the admin API.
 */
import type { Session } from "./Session.js"

/** Why a connection ended, from a bounded set. */
export type DisconnectReason =
  | "normal"
  | "with-will"
  | "taken-over"
  | "kicked"
  | "keep-alive-timeout"
  | "protocol-error"
  | "connection-lost"
  | "shutdown"
  | "refused-by-broker"

/** What is known of a client's connection and not of its session. */
export interface ConnectFacts {
  readonly localPort: number
  readonly keepAliveSeconds: number
  readonly cleanStart: boolean
}

export interface ClientEvents {
  connected(session: Session, facts: ConnectFacts): void
  disconnected(session: Session, reason: DisconnectReason): void
  subscribed(session: Session, filter: string): void
  unsubscribed(session: Session, filter: string): void
}

export const noClientEvents: ClientEvents = {
  connected: () => {},
  disconnected: () => {},
  subscribed: () => {},
  unsubscribed: () => {}
}
