/**
 * One accepted connection as a protocol sees it, whatever carries it.
 *
 * The contract of the hot path: the protocol's handler is called synchronously with each received chunk; it writes answers
 * straight into the connection's output slab with `reserve` / `buffer` / `length`; the network writes every dirty
 * connection once per tick. No Effect, promise or closure per message.
 */
export type TransportKind = "tcp" | "tls" | "ws" | "wss"

export interface PeerCertificate {
  readonly commonName: string | undefined
  readonly subject: string
  readonly fingerprint256: string
}

/** Why a connection ended, for logs, metrics and the protocol. */
export type CloseReason =
  | "peer-closed"
  | "peer-reset"
  | "closed-by-broker"
  | "idle-timeout"
  | "connect-timeout"
  | "output-overflow"
  | "frame-too-large"
  | "protocol-error"
  | "drain"
  | "tls-error"
  /** The protocol's handler threw: a bug of ours, logged with its stack; only this connection pays. */
  | "handler-fault"

export interface Connection {
  /** Unique while the process lives. */
  readonly id: number
  readonly transport: TransportKind
  /** Address of the client: as PROXY protocol says where that is trusted, else the socket's. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  readonly peerCertificate: PeerCertificate | undefined

  /** Output slab; valid from `reserve` to the next call of anything. */
  buffer: Buffer
  /** Bytes used in `buffer`; a writer writes from here and moves it. */
  length: number
  /** Makes room for `size` more bytes at `buffer[length]` and marks the connection for this tick's write. */
  reserve(size: number): void
  /** Appends bytes (copied). */
  write(bytes: Uint8Array): void
  /**
   * Appends `source[start, end)` and gives where in `buffer` it begins, for who must change some of it. Cheapest where a range
   * follows the one before it, as messages do that came in one chunk for one reader.
   */
  writeRange(source: Buffer, start: number, end: number): number
  /** Appends bytes that nobody will ever change, for instance a big payload on its way to many readers: not copied when large. */
  writeShared(bytes: Buffer): void
  /** Writes now what has gathered; else it is written at the end of the tick. */
  flush(): void
  /** Bytes accepted but not yet taken by the system: the measure of a slow reader. */
  bufferedBytes(): number
  /** True from when `bufferedBytes` passed the high-water mark until `onDrain`: a field, cheap to ask per message. */
  readonly saturated: boolean

  /**
   * The peer has shown who it is (for MQTT: its CONNECT was accepted). Until then the listener's `connectTimeoutMs` runs from the
   * accept, and ends the connection with `connect-timeout`.
   */
  established(): void
  /**
   * How long the peer may be silent once established, in milliseconds; 0 for ever. Every received chunk starts it again, so
   * does a pause. When it passes, `onIdle` is called or, where the handler has none, the connection is closed with
   * `idle-timeout`. Never early, late by at most half a second. For MQTT keep alive pass 1.5 times its value.
   */
  setIdleTimeout(timeoutMs: number): void

  /**
   * Stops and goes on reading: back-pressure on a publisher. `reason` is one bit (1, 2, 4...), so that two causes do not undo
   * each other; the lower 16 are the protocol's. What the system had already read may still arrive after `pause`: at most a few chunks.
   */
  pause(reason: number): void
  resume(reason: number): void

  /**
   * Flushes, then ends; what arrives or is written from now on is dropped. `onClose` follows, never from within this call.
   * Safe to call twice.
   */
  close(reason: CloseReason): void
  /** Ends at once and drops what has gathered. */
  destroy(reason: CloseReason): void
}

/** What a protocol gives back for an accepted connection. */
export interface ConnectionHandler {
  /** A received chunk; owned by the handler from now on (slices of it may be kept). */
  onData(chunk: Buffer): void
  /** `bufferedBytes` fell below the low-water mark after having been above the high-water mark. */
  onDrain(): void
  /**
   * So many bytes of a WebSocket message that is not complete are held outside the protocol's sight. Told a few times a second, when
   * it has changed; never of connections without such messages.
   */
  onUnfinished?(bytes: number): void
  /** Nothing was received for the time of `setIdleTimeout`. Called again each time it passes, until the handler closes. */
  onIdle?(): void
  /** The last call. */
  onClose(reason: CloseReason): void
  /** The node is stopping: say goodbye in the protocol's way and close. */
  onShutdown(): void
}

/** Called once per accepted connection, before anything is read from it. It may already write. */
export type ConnectionAcceptor = (connection: Connection) => ConnectionHandler
