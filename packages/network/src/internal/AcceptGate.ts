/**
 * What an accepted socket passes before anything is read from it: the limits. Holds its places until the socket is gone.
 */
import type { Socket } from "node:net"
import type { PeerCertificate } from "../Connection.js"
import type { RefusalReason } from "../ConnectionLimits.js"
import { clientAddress } from "../core/ClientAddress.js"
import type { Admission } from "./Admission.js"
import type { RefusalLog } from "./RefusalLog.js"
import { fromNextScan, type PeerAddress } from "./StreamConnection.js"

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
  /** What the client proved by TLS. */
  certificate: PeerCertificate | undefined = undefined
  sinceMs: number = fromNextScan

  constructor(
    readonly gate: AcceptGate,
    /** The accepted one, below TLS. */
    readonly socket: Socket,
    public remoteAddress: string,
    public remotePort: number,
    readonly localPort: number
  ) {}
}

function onSocketClosed(this: ArrivedSocket): void {
  const arrival = this[arrivalOf]
  if (arrival !== undefined) arrival.gate.leave(arrival)
}

/** A socket may fail before it has an owner that cares; its end is all that matters then. */
export function ignoreError(): void {}

export const arrivalOfSocket = (socket: object): Arrival | undefined => (socket as ArrivedSocket)[arrivalOf]

/** Lets a TLS socket be found as what its raw socket is. */
export const shareArrival = (socket: Socket, arrival: Arrival): void => {
  ;(socket as ArrivedSocket)[arrivalOf] = arrival
}

export class AcceptGate {
  /** Those on their way to the protocol that wait for something. */
  private readonly arriving = new Set<Arrival>()

  constructor(
    private readonly admission: Admission,
    private readonly refusals: RefusalLog,
    private readonly handshakeTimeoutMs: number,
    private readonly nowMs: () => number,
    private readonly handshakesMax: number
  ) {}

  /** Lets the socket in, or ends it. The address is not counted yet: see `place`. */
  enter(socket: Socket): Arrival | undefined {
    const address = clientAddress(socket.remoteAddress)
    const reason = this.admission.enter(this.nowMs())
    if (reason !== undefined) {
      socket.on("error", ignoreError)
      socket.destroy()
      this.refusals.refused(reason, address, this.nowMs())
      return undefined
    }
    const arrival = new Arrival(this, socket, address, socket.remotePort ?? 0, socket.localPort ?? 0)
    ;(socket as ArrivedSocket)[arrivalOf] = arrival
    socket.on("close", onSocketClosed)
    return arrival
  }

  /** Takes the place of the client's address, which must be known by now; or ends the socket. */
  place(arrival: Arrival): boolean {
    const reason = this.admission.place(arrival.remoteAddress)
    if (reason !== undefined) this.refuse(arrival, reason)
    arrival.placed = reason === undefined
    return arrival.placed
  }

  /** The socket has something to pass that takes time; bounded by the handshake timeout. */
  wait(arrival: Arrival): void {
    if (this.arriving.has(arrival)) return
    this.arriving.add(arrival)
    arrival.socket.on("error", ignoreError)
    if (this.arriving.size <= this.handshakesMax) return
    // The one that took longest, so that those who are quick get in however many are slow.
    for (const oldest of this.arriving) {
      this.refuse(oldest, "handshakes-limit")
      this.arriving.delete(oldest)
      return
    }
  }

  /** The protocol gets it now. */
  arrived(arrival: Arrival): void {
    arrival.arriving = false
    this.arriving.delete(arrival)
  }

  /** Counts and ends it. */
  refuse(arrival: Arrival, reason: RefusalReason, detail = ""): void {
    this.refuseGently(arrival, reason, detail)
    arrival.socket.destroy()
  }

  /** Counts it; the caller has told the client why and ends it. */
  refuseGently(arrival: Arrival, reason: RefusalReason, detail = ""): void {
    if (!arrival.arriving) return
    this.wait(arrival)
    arrival.arriving = false
    this.refusals.refused(reason, arrival.remoteAddress, this.nowMs(), detail)
  }

  /** @internal the socket is gone */
  leave(arrival: Arrival): void {
    this.arriving.delete(arrival)
    this.admission.leave(arrival.remoteAddress, arrival.placed)
  }

  /** Ends those that take too long. */
  scan(nowMs: number): void {
    for (const arrival of this.arriving) {
      if (arrival.sinceMs === fromNextScan) arrival.sinceMs = nowMs
      else if (nowMs - arrival.sinceMs >= this.handshakeTimeoutMs) this.refuse(arrival, "handshake-timeout")
    }
  }

  shutDown(): void {
    this.admission.closed = true
    for (const arrival of [...this.arriving]) this.refuse(arrival, "shutting-down")
  }
}
