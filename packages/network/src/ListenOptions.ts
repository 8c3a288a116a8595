/**
 * What a listener is told, as plain data: four kinds of transport, the same limits for all.
 */
import type { RefusalReason } from "./ConnectionLimits.js"
import type { ConnectionOptions } from "./ConnectionOptions.js"
import type { ProxyProtocolOptions } from "./ProxyProtocolOptions.js"
import type { TlsOptions } from "./TlsOptions.js"
import type { WebSocketOptions } from "./WebSocketOptions.js"

export interface ConnectionRate {
  readonly connectionsPerSecond: number
  /** How many may come at once after a quiet time. */
  readonly burst: number
}

/** What of a listener may change while it listens. */
export interface ListenerLimits {
  /** Holds for connections that wait, too. */
  readonly connectTimeoutMs: number
  /** Only ever becomes more: an old connection may hold what an old bound let it have. */
  readonly outputBytesMax: number
  /** undefined: no limit. */
  readonly rate: ConnectionRate | undefined
  /** Of a WebSocket message, for connections to come. */
  readonly messageBytesMax: number
}

interface CommonListenOptions extends Partial<ConnectionOptions> {
  readonly host: string
  /** 0 takes a free one: see `BoundListener.port`. */
  readonly port: number
  /** Connections that the system holds while they wait for their accept. Default 1024. */
  readonly backlog?: number | undefined
  /** Default: no limit. */
  readonly rate?: ConnectionRate | undefined
  /** How long PROXY header, TLS handshake and WebSocket request may take together. Default 10 s. */
  readonly handshakeTimeoutMs?: number | undefined
  /** How many may be in them; with one more, the one that takes longest is ended. Default: no limit. */
  readonly handshakesMax?: number | undefined
  /** Told of each connection that is refused before its protocol hears of it, besides the log. */
  readonly onRefused?: ((reason: RefusalReason, address: string, detail: string) => void) | undefined
  readonly proxyProtocol?: ProxyProtocolOptions | undefined
}

export interface TcpListenOptions extends CommonListenOptions {
  readonly kind: "tcp"
}

export interface TlsListenOptions extends CommonListenOptions {
  readonly kind: "tls"
  readonly tls: TlsOptions
}

export interface WsListenOptions extends CommonListenOptions {
  readonly kind: "ws"
  readonly ws?: Partial<WebSocketOptions> | undefined
}

export interface WssListenOptions extends CommonListenOptions {
  readonly kind: "wss"
  readonly tls: TlsOptions
  readonly ws?: Partial<WebSocketOptions> | undefined
}

export type ListenOptions = TcpListenOptions | TlsListenOptions | WsListenOptions | WssListenOptions

export const defaultBacklog = 1024
export const defaultHandshakeTimeoutMs = 10_000
