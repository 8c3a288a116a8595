/**
 * What differs between sockets, WebSockets and memory: one stateless object of functions for each, shared by all connections.
 *
 * The rest, gathering and bounding output, deadlines, closing, is the same class for all (`StreamConnection`), so that the hot
 * fields have one hidden class whatever carries the bytes.
 */
import type { StreamConnection } from "./StreamConnection.js"

export interface Carrier {
  /**
   * Hands bytes over. True when they were taken at once and their memory is free again; else `connection.onSent()` follows exactly
   * when it is. Called again only after that.
   */
  send(connection: StreamConnection, bytes: Buffer): boolean
  /** Says goodbye after what was sent, keeps reading until the peer ends too. `connection.onClosed` follows. */
  end(connection: StreamConnection): void
  /** Ends at once. `connection.onClosed` follows, not from within this call. */
  abort(connection: StreamConnection): void
  /** Bytes received that make no whole message yet; absent where there are no messages. */
  unfinishedBytes?(connection: StreamConnection): number
  pauseReading(connection: StreamConnection): void
  resumeReading(connection: StreamConnection): void
}
