/**
 * A TCP or TLS socket as carrier. Event listeners are shared functions that find their connection by a symbol on the socket.
 */
import type { Socket } from "node:net"
import type { CloseReason, PeerCertificate } from "../Connection.js"
import type { Carrier } from "./Carrier.js"
import type { ConnectionHome } from "./ConnectionHome.js"
import type { PeerAddress, StreamConnection } from "./StreamConnection.js"

const connectionOf = Symbol("connection")

interface CarryingSocket extends Socket {
  [connectionOf]: StreamConnection
}

/** What an error of a socket means to a protocol. */
export const closeReasonOfError = (error: NodeJS.ErrnoException): CloseReason => {
  const code = error.code ?? ""
  if (code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS") || code === "EPROTO") return "tls-error"
  if (code === "ERR_STREAM_PREMATURE_CLOSE") return "peer-closed"
  // ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH and their like: the peer or the way to it is gone.
  return "peer-reset"
}

const makeSentCallback = (connection: StreamConnection, socket: Socket) => (error?: Error | null) => {
  // Also called for writes that the system took at once; while the one that waits is still there, it is not about that one.
  if (!error && socket.writableLength === 0) connection.onSent()
}

export const socketCarrier: Carrier = {
  send(connection, bytes) {
    const socket = connection.socket as Socket
    connection.sentCallback ??= makeSentCallback(connection, socket)
    socket.write(bytes, connection.sentCallback)
    return socket.writableLength === 0
  },
  end(connection) {
    ;(connection.socket as Socket).end()
  },
  abort(connection) {
    ;(connection.socket as Socket).destroy()
  },
  pauseReading(connection) {
    ;(connection.socket as Socket).pause()
  },
  resumeReading(connection) {
    ;(connection.socket as Socket).resume()
  }
}

function onData(this: CarryingSocket, chunk: Buffer): void {
  this[connectionOf].onReceived(chunk)
}

function onEnd(this: CarryingSocket): void {
  this[connectionOf].close("peer-closed")
}

function onError(this: CarryingSocket, error: NodeJS.ErrnoException): void {
  this[connectionOf].onFailed(closeReasonOfError(error))
}

function onClose(this: CarryingSocket): void {
  this[connectionOf].onClosed()
}

/** Gives the socket, of which nothing was read yet, to the protocol. It must allow half-open ends. */
export const carrySocket = (
  home: ConnectionHome,
  socket: Socket,
  peer: PeerAddress,
  certificate: PeerCertificate | undefined
): void => {
  const connection = home.accept(socketCarrier, socket, peer, certificate)
  const carrying = socket as CarryingSocket
  carrying[connectionOf] = connection
  carrying.on("error", onError)
  carrying.on("close", onClose)
  carrying.on("end", onEnd)
  carrying.on("data", onData)
  // A gate before this one may have left it paused; the protocol may have paused it just now.
  if (connection.pauseBits === 0) carrying.resume()
  else carrying.pause()
}
