/**
 * A WebSocket as carrier: its messages are one stream of bytes [MQTT-6.0.0-2], each flush is one binary frame.
 */
import type { Buffer } from "node:buffer"
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import type { CloseReason, PeerCertificate } from "../Connection.js"
import type { Carrier } from "./Carrier.js"
import type { ConnectionHome } from "./ConnectionHome.js"
import { closeReasonOfError } from "./SocketCarrier.js"
import type { PeerAddress, StreamConnection } from "./StreamConnection.js"

const connectionOf = Symbol("connection")
const gotText = Symbol("gotText")
const carriedBy = Symbol("carriedBy")
const wholeUntil = Symbol("wholeUntil")

interface CarryingWebSocket extends WebSocket {
  [connectionOf]: StreamConnection
  [gotText]?: boolean
  [carriedBy]: Socket
  /** Bytes read of the socket up to the last whole message. */
  [wholeUntil]: number
}

interface CarryingSocket extends Socket {
  [connectionOf]: StreamConnection
}

const frameOptions = { binary: true, compress: false, fin: true } as const

/** Status codes of RFC 6455, section 7.4.1. */
const closeCode = (reason: CloseReason): number => {
  switch (reason) {
    case "drain":
      return 1001
    case "protocol-error":
      return 1002
    case "frame-too-large":
      return 1009
    case "connect-timeout":
    case "output-overflow":
      return 1008
    default:
      return 1000
  }
}

const makeSentCallback = (connection: StreamConnection) => (error?: Error | null) => {
  if (!error) connection.onSent()
}

const webSocketCarrier: Carrier = {
  send(connection, bytes) {
    connection.sentCallback ??= makeSentCallback(connection)
    ;(connection.socket as WebSocket).send(bytes, frameOptions, connection.sentCallback)
    return false
  },
  end(connection) {
    const socket = connection.socket as CarryingWebSocket
    // A text frame is answered with "unsupported data".
    socket.close(socket[gotText] === true ? 1003 : closeCode(connection.reasonGiven()))
  },
  abort(connection) {
    ;(connection.socket as WebSocket).terminate()
  },
  unfinishedBytes(connection) {
    const socket = connection.socket as CarryingWebSocket
    return socket[carriedBy].bytesRead - socket[wholeUntil]
  },
  pauseReading(connection) {
    ;(connection.socket as WebSocket).pause()
  },
  resumeReading(connection) {
    ;(connection.socket as WebSocket).resume()
  }
}

const connectionOn = (webSocket: WebSocket): StreamConnection => (webSocket as CarryingWebSocket)[connectionOf]

/** Header and mask of a control frame of a client. */
const controlFrameBytes = 6

/** A control frame may come in the middle of a message. */
function onControl(this: WebSocket, data: Buffer): void {
  ;(this as CarryingWebSocket)[wholeUntil] += controlFrameBytes + data.length
}

function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  const carrying = this as CarryingWebSocket
  carrying[wholeUntil] = carrying[carriedBy].bytesRead
  const connection = connectionOn(this)
  if (isBinary) {
    connection.onReceived(data)
    return
  }
  // [MQTT-6.0.0-1]
  ;(this as CarryingWebSocket)[gotText] = true
  connection.close("protocol-error")
}

function onError(this: WebSocket, error: NodeJS.ErrnoException): void {
  const connection = connectionOn(this)
  const code = error.code ?? ""
  if (code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") connection.close("frame-too-large")
  else if (code.startsWith("WS_ERR")) connection.close("protocol-error")
  else connection.onFailed(closeReasonOfError(error))
}

function onSocketError(this: CarryingSocket, error: NodeJS.ErrnoException): void {
  this[connectionOf].onFailed(closeReasonOfError(error))
}

function onClose(this: WebSocket): void {
  connectionOn(this).onClosed()
}

/** @param socket what carries the WebSocket, for its errors */
export const carryWebSocket = (
  home: ConnectionHome,
  webSocket: WebSocket,
  socket: Socket,
  peer: PeerAddress,
  certificate: PeerCertificate | undefined
): void => {
  const connection = home.accept(webSocketCarrier, webSocket, peer, certificate)
  const carrying = webSocket as CarryingWebSocket
  carrying[connectionOf] = connection
  carrying[carriedBy] = socket
  carrying[wholeUntil] = socket.bytesRead
  ;(socket as CarryingSocket)[connectionOf] = connection
  socket.on("error", onSocketError)
  webSocket.on("error", onError)
  webSocket.on("close", onClose)
  webSocket.on("message", onMessage)
  webSocket.on("ping", onControl)
  webSocket.on("pong", onControl)
}
