/**
 * What a WebSocket listener answers to.
 */
export interface WebSocketOptions {
  /** Path of the request. Default `/mqtt`. */
  readonly path: string
  /** Accepted sub-protocols, the preferred first. Default `mqtt`, `mqttv3.1`. */
  readonly protocols: ReadonlyArray<string>
  /** A client that offers no sub-protocol is refused. Default true: [MQTT-6.0.0-3] wants one. */
  readonly protocolRequired: boolean
  /** Bytes of one message (all its frames); more ends the connection with `frame-too-large`. Default 2 MiB. */
  readonly messageBytesMax: number
}

export const defaultWebSocketOptions: WebSocketOptions = {
  path: "/mqtt",
  protocols: ["mqtt", "mqttv3.1"],
  protocolRequired: true,
  messageBytesMax: 2 * 1024 * 1024
}
