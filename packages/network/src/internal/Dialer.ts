/**
 * Makes connections to other nodes: the same `Connection` as those that are accepted, with the same bounds and deadlines.
 */
import { connect as connectTcp, type Socket } from "node:net"
import { connect as connectTls, type SecureContextOptions } from "node:tls"
import type { MetersService } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import type { ConnectionAcceptor } from "../Connection.js"
import type { ConnectionOptions } from "../ConnectionOptions.js"
import { calledOverTls } from "../core/TlsTrouble.js"
import type { TlsOptions } from "../TlsOptions.js"
import { readCertificates } from "./Certificates.js"
import { ConnectionHome, scanIntervalMs } from "./ConnectionHome.js"
import { carrySocket } from "./SocketCarrier.js"
import { socketFlush } from "./TickFlush.js"

export interface DialerOptions {
  readonly connection: ConnectionOptions
  readonly tls: TlsOptions | undefined
  readonly timeoutMs: number
  /** A handler threw: a bug. Its connection is ended. */
  readonly onHandlerFault: (error: unknown) => void
}

/** TLS sockets take it too; their types do not say so. */
const halfOpen: object = { allowHalfOpen: true }

/** Where all of a name's addresses failed, the error has a code and no text. */
const textOf = (error: NodeJS.ErrnoException, isTls: boolean): string => {
  const text = error.message || error.code || String(error)
  return isTls ? calledOverTls(error.code, text) : text
}

/** A socket throws where it is to go beyond. */
const portMax = 65_535
const addressForm = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/

export class Dialer {
  private constructor(
    private readonly options: DialerOptions,
    private readonly meters: MetersService,
    private readonly homes: Set<ConnectionHome>
  ) {}

  /** Its connections end with the scope. */
  static make(options: DialerOptions, meters: MetersService): Effect.Effect<Dialer, never, Scope> {
    const homes = new Set<ConnectionHome>()
    return Effect.acquireRelease(
      Effect.sync(() => {
        const timer = setInterval(() => {
          const nowMs = Math.floor(performance.now())
          for (const home of homes) home.scan(nowMs)
        }, scanIntervalMs)
        timer.unref()
        return timer
      }),
      (timer) =>
        Effect.sync(() => {
          clearInterval(timer)
          for (const home of homes) home.destroyAll()
        })
    ).pipe(Effect.as(new Dialer(options, meters, homes)))
  }

  /** Calls one of the two, once. Gives how to break it off while it is under way. */
  dial(address: string, acceptor: ConnectionAcceptor, failed: (message: string) => void): () => void {
    const { timeoutMs, tls } = this.options
    const [, ipv6, name, port] = addressForm.exec(address) ?? []
    const host = ipv6 ?? name
    if (host === undefined || port === undefined || Number(port) > portMax) {
      failed(`${address} is no host:port`)
      return () => {}
    }
    let socket: Socket | undefined
    let over = false
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs)
    const fail = (message: string) => {
      if (over) return
      over = true
      clearTimeout(timer)
      socket?.destroy()
      failed(message)
    }
    const ready = (made: Socket) => {
      if (over) return
      over = true
      clearTimeout(timer)
      made.removeAllListeners("error")
      made.removeAllListeners("close")
      this.carry(made, address, Number(port), acceptor)
    }
    const begin = (context: SecureContextOptions | undefined) => {
      if (over) return
      const at = { host, port: Number(port) }
      const made =
        context === undefined
          ? connectTcp({ ...at, allowHalfOpen: true, noDelay: true }, () => ready(made))
          : connectTls({ ...context, ...at, ...halfOpen, rejectUnauthorized: true }, () => {
              made.setNoDelay(true)
              ready(made)
            })
      socket = made
      made.once("error", (error) => fail(textOf(error, context !== undefined)))
      made.once("close", () => fail("the connection was closed"))
    }
    if (tls === undefined) begin(undefined)
    else readCertificates(tls).then(begin, (error: Error) => fail(error.message))
    return () => fail("broken off")
  }

  private carry(socket: Socket, address: string, port: number, acceptor: ConnectionAcceptor): void {
    const home = new ConnectionHome(
      this.options.tls === undefined ? "tcp" : "tls",
      this.options.connection,
      socketFlush,
      acceptor,
      this.meters,
      this.options.onHandlerFault
    )
    this.homes.add(home)
    carrySocket(
      home,
      socket,
      { remoteAddress: address.slice(0, address.lastIndexOf(":")), remotePort: port, localPort: 0 },
      undefined
    )
    home.whenEmptyOrAfter(undefined, () => this.homes.delete(home))
  }
}
