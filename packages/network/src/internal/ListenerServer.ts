/**
 * One listening port: accepts, lets each socket pass its gates (limits, PROXY header, TLS, WebSocket request) and gives it to
 * the protocol. Everything here is plain callbacks; `Listener` makes Effects of it.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net"
import type { TransportKind } from "../Connection.js"
import type { AcceptGate, Arrival } from "./AcceptGate.js"
import { type ConnectionHome, scanIntervalMs } from "./ConnectionHome.js"

/** One gate on a socket's way to the protocol: goes on by calling the next one, or ends the socket. */
export type Stage = (socket: Socket, arrival: Arrival) => void

export interface ListenAt {
  readonly kind: TransportKind
  readonly host: string
  readonly port: number
  readonly backlog: number
}

export class ListenerServer {
  private readonly server: Server
  private readonly scanTimer: NodeJS.Timeout

  constructor(
    private readonly at: ListenAt,
    readonly gate: AcceptGate,
    readonly home: ConnectionHome,
    private readonly firstStage: Stage,
    nowMs: () => number,
    /** An error of accepting, for instance too many open files: the listener lives on. */
    private readonly onAcceptError: (error: Error) => void
  ) {
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.onAccepted(socket))
    this.scanTimer = setInterval(() => {
      const now = nowMs()
      gate.scan(now)
      home.scan(now)
    }, scanIntervalMs)
    this.scanTimer.unref()
  }

  private onAccepted(socket: Socket): void {
    const arrival = this.gate.enter(socket)
    if (arrival !== undefined) this.firstStage(socket, arrival)
  }

  /** Calls back once, with an error or without. */
  begin(done: (error: NodeJS.ErrnoException | undefined) => void): void {
    const { server } = this
    const failed = (error: NodeJS.ErrnoException): void => {
      clearInterval(this.scanTimer)
      done(error)
    }
    server.once("error", failed)
    server.listen({ host: this.at.host, port: this.at.port, backlog: this.at.backlog }, () => {
      server.off("error", failed)
      server.on("error", this.onAcceptError)
      done(undefined)
    })
  }

  boundAddress(): AddressInfo {
    return this.server.address() as AddressInfo
  }

  /** Takes no more; those on their way in are ended, those that are in are told. */
  stopAccepting(): void {
    this.server.close()
    this.gate.shutDown()
    this.home.beginShutdown()
  }

  /** Ends what is left. */
  finish(): void {
    clearInterval(this.scanTimer)
    this.home.destroyAll()
  }
}
