/**
 * The gate of TLS: handshake, client certificate.
 *
 * The sockets are accepted elsewhere (a PROXY header may come before the handshake) and handed to a `tls.Server` that listens
 * nowhere. A certificate that is presented must be good, also where none is required.
 */
import type { Socket } from "node:net"
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls"
import type { PeerCertificate } from "../Connection.js"
import type { TlsOptions } from "../TlsOptions.js"
import { type Arrival, arrivalOfSocket, shareArrival } from "./AcceptGate.js"
import type { Stage } from "./ListenerServer.js"

/** A TLS socket knows the one below it; Node does not say so in its documentation, our tests do. */
const arrivalBelow = (socket: TLSSocket): Arrival | undefined => {
  const below = (socket as TLSSocket & { readonly _parent?: Socket })._parent
  return below === undefined ? undefined : arrivalOfSocket(below)
}

const peerCertificateOf = (socket: TLSSocket): PeerCertificate | undefined => {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  const names = certificate.subject.split("\n")
  const commonName = names.find((name) => name.startsWith("CN="))?.slice(3)
  return { commonName, subject: names.join(","), fingerprint256: certificate.fingerprint256 }
}

export class TlsStage {
  private readonly server: Server

  /** @throws Error of OpenSSL when the certificates cannot be used */
  constructor(context: SecureContextOptions, options: TlsOptions, handshakeTimeoutMs: number, next: Stage) {
    const asks = options.clientCertificate ?? "none"
    this.server = createServer({
      ...context,
      requestCert: asks !== "none",
      // Checked below, to tell a missing certificate from a bad one.
      rejectUnauthorized: false,
      handshakeTimeout: handshakeTimeoutMs
    })
    this.server.on("secureConnection", (socket) => {
      const arrival = arrivalBelow(socket)
      if (arrival === undefined) {
        socket.destroy()
        return
      }
      const certificate = asks === "none" ? undefined : peerCertificateOf(socket)
      if (asks !== "none" && !socket.authorized && (asks === "required" || certificate !== undefined)) {
        const detail = certificate === undefined ? "none presented" : String(socket.authorizationError)
        arrival.gate.refuse(arrival, "client-certificate", detail)
        return
      }
      shareArrival(socket, arrival)
      arrival.certificate = certificate
      next(socket, arrival)
    })
    this.server.on("tlsClientError", (error, socket) => {
      const arrival = arrivalBelow(socket)
      if (arrival === undefined) socket.destroy()
      else arrival.gate.refuse(arrival, "tls-handshake", error.message)
    })
  }

  readonly stage: Stage = (socket, arrival) => {
    arrival.gate.wait(arrival)
    this.server.emit("connection", socket)
  }

  /** New handshakes use these from now on. @throws Error of OpenSSL when they cannot be used; the old ones stay then */
  replace(context: SecureContextOptions): void {
    this.server.setSecureContext(context)
  }
}
