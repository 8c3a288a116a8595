/**
 * What an accepted socket passes before anything is read from it: the limits. Holds its places until the socket is gone.
 */
import type { Socket } from "node:net"
import type { ConnectionLimitsService, RefusalReason } from "../ConnectionLimits.js"
import { clientAddress } from "../core/ClientAddress.js"
import type { TokenBucket } from "../core/TokenBucket.js"
import type { RefusalLog } from "./RefusalLog.js"
import type { PeerAddress } from "./StreamConnection.js"

const arrivalOf = Symbol("arrival")

interface ArrivedSocket extends Socket {
  [arrivalOf]?: Arrival
}

/** A socket that was let in, from its accept to its end. */
export class Arrival implements PeerAddress {
  /** A place of this address is held. */
  placed = false
  /** Still on its way to the protocol: PROXY header, TLS, WebSocket request. */
  arriving = true

  constructor(
    readonly gate: AcceptGate,
    public remoteAddress: string,
    public remotePort: number,
    readonly localPort: number
  ) {}
}

function onSocketClosed(this: ArrivedSocket): void {
  const arrival = this[arrivalOf]
  if (arrival !== undefined) arrival.gate.leave(this, arrival)
}

/** A socket may fail before it has an owner that cares; its end is all that matters then. */
function onEarlyError(): void {}

export const arrivalOfSocket = (socket: Socket): Arrival | undefined => (socket as ArrivedSocket)[arrivalOf]

/** Lets a TLS socket be found as what its raw socket is. */
export const shareArrival = (socket: Socket, arrival: Arrival): void => {
  ;(socket as ArrivedSocket)[arrivalOf] = arrival
}

export class AcceptGate {
  /** Sockets on their way to the protocol, to be ended at shutdown. */
  readonly arriving = new Set<Socket>()
  closed = false

  constructor(
    private readonly limits: ConnectionLimitsService,
    private readonly rate: TokenBucket | undefined,
    private readonly refusals: RefusalLog,
    private readonly nowMs: () => number
  ) {}

  /** Lets the socket in, or ends it. The address is not counted yet: see `place`. */
  enter(socket: Socket): Arrival | undefined {
    const address = clientAddress(socket.remoteAddress)
    const reason: RefusalReason | undefined = this.closed
      ? "shutting-down"
      : this.rate !== undefined && !this.rate.take(this.nowMs())
        ? "rate-limit"
        : this.limits.acquire()
          ? undefined
          : "total-limit"
    if (reason !== undefined) {
      socket.on("error", onEarlyError)
      socket.destroy()
      this.refusals.refused(reason, address, this.nowMs())
      return undefined
    }
    const arrival = new Arrival(this, address, socket.remotePort ?? 0, socket.localPort ?? 0)
    ;(socket as ArrivedSocket)[arrivalOf] = arrival
    socket.on("close", onSocketClosed)
    return arrival
  }

  /** Takes the place of the client's address, which must be known by now; or ends the socket. */
  place(socket: Socket, arrival: Arrival): boolean {
    if (!this.limits.acquireAddress(arrival.remoteAddress)) {
      this.refuse(socket, arrival, "address-limit")
      return false
    }
    arrival.placed = true
    return true
  }

  /** The socket has more to pass before the protocol has it. */
  wait(socket: Socket): void {
    this.arriving.add(socket)
    socket.on("error", onEarlyError)
  }

  /** The protocol has it. */
  arrived(socket: Socket, arrival: Arrival): void {
    arrival.arriving = false
    this.arriving.delete(socket)
  }

  refuse(socket: Socket, arrival: Arrival, reason: RefusalReason, detail = ""): void {
    if (!arrival.arriving) return
    arrival.arriving = false
    if (socket.listenerCount("error") === 0) socket.on("error", onEarlyError)
    socket.destroy()
    this.refusals.refused(reason, arrival.remoteAddress, this.nowMs(), detail)
  }

  /** @internal the socket is gone */
  leave(socket: Socket, arrival: Arrival): void {
    this.arriving.delete(socket)
    this.limits.release()
    if (arrival.placed) this.limits.releaseAddress(arrival.remoteAddress)
  }

  shutDown(): void {
    this.closed = true
  }

  destroyArriving(): void {
    for (const socket of [...this.arriving]) socket.destroy()
  }
}
