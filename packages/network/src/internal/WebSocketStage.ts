/**
 * The gate of WebSocket: the HTTP request that asks for one, its path and its sub-protocol.
 *
 * The sockets are accepted elsewhere and handed to an `http.Server` that listens nowhere. Any request but the right one is
 * answered with a status and the end of the connection.
 */
import { createServer, type IncomingMessage, STATUS_CODES, type Server } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"
import type { WebSocketOptions } from "../WebSocketOptions.js"
import { type Arrival, arrivalOfSocket } from "./AcceptGate.js"
import type { Stage } from "./ListenerServer.js"

const requestHeaderBytesMax = 16 * 1024

const pathOf = (request: IncomingMessage): string => {
  const url = request.url ?? ""
  const query = url.indexOf("?")
  return query < 0 ? url : url.slice(0, query)
}

export class WebSocketStage {
  private readonly server: Server
  private readonly webSockets: WebSocketServer

  constructor(
    private readonly options: WebSocketOptions,
    private readonly next: (webSocket: WebSocket, socket: Socket, arrival: Arrival) => void
  ) {
    this.webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax,
      // [MQTT-6.0.0-4]: the answer names one of those the client offered.
      handleProtocols: (offered) => options.protocols.find((protocol) => offered.has(protocol)) ?? false
    })
    this.webSockets.on("wsClientError", (error, socket) => {
      const arrival = arrivalOfSocket(socket)
      if (arrival === undefined) socket.destroy()
      else refuse(socket, arrival, 400, error.message)
    })
    this.server = createServer({ maxHeaderSize: requestHeaderBytesMax, keepAliveTimeout: 1 })
    this.server.on("upgrade", (request, socket, head) => this.onUpgrade(request, socket, head))
    this.server.on("request", (request, response) => {
      response.writeHead(426, { Connection: "close", Upgrade: "websocket", "Content-Length": 0 }).end()
      const arrival = arrivalOfSocket(request.socket)
      arrival?.gate.refuseGently(arrival, "websocket-request", `${request.method} without upgrade`)
    })
    this.server.on("clientError", (error, socket) => {
      const arrival = arrivalOfSocket(socket)
      if (arrival === undefined || !arrival.arriving) socket.destroy()
      else arrival.gate.refuse(arrival, "websocket-request", error.message)
    })
  }

  /** For connections to come. */
  set messageBytesMax(bytes: number) {
    this.webSockets.options.maxPayload = bytes
  }

  readonly stage: Stage = (socket, arrival) => {
    arrival.gate.wait(arrival)
    this.server.emit("connection", socket)
    // The PROXY stage leaves it paused, with the beginning of the request put back.
    socket.resume()
  }

  private onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const arrival = arrivalOfSocket(socket)
    if (arrival === undefined) {
      socket.destroy()
      return
    }
    const offered = (request.headers["sec-websocket-protocol"] ?? "")
      .split(",")
      .map((protocol) => protocol.trim())
      .filter((protocol) => protocol !== "")
    if (pathOf(request) !== this.options.path) {
      refuse(socket, arrival, 404, `path ${pathOf(request).slice(0, 100)}`)
    } else if (offered.length === 0 ? this.options.protocolRequired : !offered.some((p) => this.options.protocols.includes(p))) {
      // [MQTT-6.0.0-3]
      refuse(socket, arrival, 400, `sub-protocols ${offered.join(" ").slice(0, 100)}`)
    } else {
      this.webSockets.handleUpgrade(request, socket, head, (webSocket) => this.next(webSocket, socket as Socket, arrival))
    }
  }
}

const refuse = (socket: Duplex, arrival: Arrival, status: number, detail: string): void => {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  arrival.gate.refuseGently(arrival, "websocket-request", detail)
}
