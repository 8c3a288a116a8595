/**
 * What the connections of one listener share: options, counters, the scan of deadlines, and the end of them all.
 *
 * One timer for all connections: `scan` walks them every `scanIntervalMs`. A deadline begins at the scan that first sees it, so
 * it is never early and late by at most two intervals.
 */
import type { Counter, MetersService } from "@effectmq/metrics/Meters"
import type { CloseReason, ConnectionAcceptor, PeerCertificate, TransportKind } from "../Connection.js"
import type { ConnectionOptions } from "../ConnectionOptions.js"
import type { ListenerLimits } from "../ListenOptions.js"
import type { Carrier } from "./Carrier.js"
import { closing, fromNextScan, open, type PeerAddress, StreamConnection } from "./StreamConnection.js"
import type { TickFlush } from "./TickFlush.js"

export const scanIntervalMs = 250

const closeReasons: ReadonlyArray<CloseReason> = [
  "peer-closed",
  "peer-reset",
  "closed-by-broker",
  "idle-timeout",
  "connect-timeout",
  "output-overflow",
  "frame-too-large",
  "protocol-error",
  "drain",
  "tls-error",
  "handler-fault"
]

export class ConnectionHome {
  readonly highWaterMarkBytes: number
  readonly lowWaterMarkBytes: number
  outputBytesMax: number
  private connectTimeoutMs: number
  readonly receivedBytes: Counter
  readonly sentBytes: Counter
  readonly connections = new Set<StreamConnection>()
  shuttingDown = false
  private readonly accepted: Counter
  private readonly closedByReason = new Map<CloseReason, Counter>()
  private whenEmpty: (() => void) | undefined = undefined

  constructor(
    readonly kind: TransportKind,
    private readonly options: ConnectionOptions,
    readonly flush: TickFlush,
    private readonly acceptor: ConnectionAcceptor,
    meters: MetersService,
    /** Told when a handler threw while it took a chunk; the connection is destroyed after it. */
    readonly onHandlerFault: (error: unknown, connection: StreamConnection) => void
  ) {
    this.highWaterMarkBytes = options.highWaterMarkBytes
    this.lowWaterMarkBytes = options.lowWaterMarkBytes
    this.outputBytesMax = options.outputBytesMax
    this.connectTimeoutMs = options.connectTimeoutMs
    const transport = { transport: kind }
    this.accepted = meters.counter("effectmq_connections_accepted_total", "Connections given to a protocol", transport)
    this.receivedBytes = meters.counter("effectmq_network_received_bytes_total", "Bytes received", transport)
    this.sentBytes = meters.counter("effectmq_network_sent_bytes_total", "Bytes sent", transport)
    for (const reason of closeReasons)
      this.closedByReason.set(reason, meters.counter("effectmq_connections_closed_total", "Ended connections", { reason }))
  }

  configure({ connectTimeoutMs, outputBytesMax }: ListenerLimits): void {
    this.connectTimeoutMs = connectTimeoutMs
    this.outputBytesMax = Math.max(this.outputBytesMax, outputBytesMax)
  }

  /** Makes the connection and its protocol's handler. Nothing may be received before this returns. */
  accept(carrier: Carrier, socket: unknown, peer: PeerAddress, certificate: PeerCertificate | undefined): StreamConnection {
    const connection = new StreamConnection(carrier, socket, this, peer, certificate)
    this.connections.add(connection)
    this.accepted.value += 1
    connection.handler = this.acceptor(connection)
    return connection
  }

  onConnectionClosed(connection: StreamConnection, reason: CloseReason): void {
    this.connections.delete(connection)
    const counter = this.closedByReason.get(reason)
    if (counter !== undefined) counter.value += 1
    if (this.connections.size === 0) this.whenEmpty?.()
  }

  /** @param nowMs whole milliseconds of a clock that does not jump */
  scan(nowMs: number): void {
    if (this.kind === "ws" || this.kind === "wss") this.tellUnfinished()
    const { connectTimeoutMs } = this
    const { closeTimeoutMs } = this.options
    for (const connection of this.connections) {
      if (connection.sinceMs === fromNextScan) {
        connection.sinceMs = nowMs
        connection.heard = false
        continue
      }
      const silentMs = nowMs - connection.sinceMs
      if (connection.state >= closing) {
        if (silentMs >= closeTimeoutMs) connection.destroy(connection.reasonGiven())
      } else if (!connection.isEstablished) {
        if (silentMs >= connectTimeoutMs) connection.close("connect-timeout")
      } else if (connection.heard || connection.pauseBits !== 0) {
        connection.heard = false
        connection.sinceMs = nowMs
      } else if (connection.idleTimeoutMs > 0 && silentMs >= connection.idleTimeoutMs) {
        connection.sinceMs = nowMs
        if (connection.handler.onIdle === undefined) connection.close("idle-timeout")
        else connection.handler.onIdle()
      }
    }
  }

  private tellUnfinished(): void {
    for (const connection of this.connections) {
      if (connection.state !== open) continue
      const bytes = connection.carrier.unfinishedBytes?.(connection) ?? 0
      if (bytes === connection.unfinishedBytes) continue
      connection.unfinishedBytes = bytes
      connection.handler.onUnfinished?.(bytes)
    }
  }

  /** Tells every handler that the node stops, and no more comes in. */
  beginShutdown(): void {
    this.shuttingDown = true
    for (const connection of [...this.connections]) if (connection.state === open) connection.handler.onShutdown()
  }

  destroyAll(): void {
    for (const connection of [...this.connections]) connection.destroy("drain")
  }

  /** Calls back once: when there are no connections, perhaps at once, or after the time, where one is given. */
  whenEmptyOrAfter(timeoutMs: number | undefined, done: () => void): void {
    if (this.connections.size === 0) {
      done()
      return
    }
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.whenEmpty?.(), timeoutMs)
    this.whenEmpty = () => {
      this.whenEmpty = undefined
      clearTimeout(timer)
      done()
    }
  }
}
