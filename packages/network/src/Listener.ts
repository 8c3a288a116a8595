/**
 * Listens on a port and gives each connection to a protocol: TCP, TLS, WebSocket and secure WebSocket.
 *
 * The listener lives as long as its scope. At its end it takes no more connections, calls `onShutdown` of every handler, waits
 * `drainTimeoutMs` for them to end, and destroys the rest. Errors of single connections never end it.
 */
import { Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type { Scope } from "effect/Scope"
import type { ConnectionAcceptor, TransportKind } from "./Connection.js"
import { ConnectionLimits } from "./ConnectionLimits.js"
import { withConnectionDefaults } from "./ConnectionOptions.js"
import { TokenBucket } from "./core/TokenBucket.js"
import { AcceptGate } from "./internal/AcceptGate.js"
import { ConnectionHome } from "./internal/ConnectionHome.js"
import { ListenerServer, type Stage } from "./internal/ListenerServer.js"
import { type LogLine, RefusalLog } from "./internal/RefusalLog.js"
import { carrySocket } from "./internal/SocketCarrier.js"
import { socketFlush } from "./internal/TickFlush.js"
import { ListenError, listenErrorOf } from "./ListenError.js"
import { defaultBacklog, type ListenOptions } from "./ListenOptions.js"

export interface BoundListener {
  readonly kind: TransportKind
  readonly host: string
  /** The port that was bound, also where 0 was asked for. */
  readonly port: number
  /** Connections that the protocol has. */
  connections(): number
}

/** Whole milliseconds of a clock that does not jump. */
const nowMs = (): number => Math.floor(performance.now())

const makeLog = (runtime: Runtime.Runtime<never>): LogLine => {
  const runFork = Runtime.runFork(runtime)
  return (level, message, annotations) => {
    const line = level === "debug" ? Effect.logDebug(message) : Effect.logWarning(message)
    runFork(Effect.annotateLogs(line, annotations))
  }
}

/** Listens until the scope closes. */
export const listen = (
  options: ListenOptions,
  acceptor: ConnectionAcceptor
): Effect.Effect<BoundListener, ListenError, Scope | ConnectionLimits | Meters> =>
  Effect.gen(function* () {
    const limits = yield* ConnectionLimits
    const meters = yield* Meters
    const log = makeLog(yield* Effect.runtime<never>())
    const at = { kind: options.kind, host: options.host, port: options.port, backlog: options.backlog ?? defaultBacklog }
    const invalid = (detail: string): ListenError => new ListenError({ ...at, reason: "invalid-options", detail })

    const connectionOptions = yield* Effect.try({
      try: () => withConnectionDefaults(options),
      catch: (error) => invalid((error as Error).message)
    })
    const { rate } = options
    const bucket = yield* Effect.try({
      try: () => (rate === undefined ? undefined : new TokenBucket(rate.connectionsPerSecond, rate.burst)),
      catch: (error) => invalid((error as Error).message)
    })
    const refusals = new RefusalLog(limits, log, `${at.kind}:${at.host}:${at.port}`)
    const gate = new AcceptGate(limits, bucket, refusals, nowMs)
    const home = new ConnectionHome(at.kind, connectionOptions, socketFlush, acceptor, meters)

    const carry: Stage = (socket, arrival) => {
      if (!gate.place(socket, arrival)) return
      gate.arrived(socket, arrival)
      carrySocket(home, socket, arrival, undefined)
    }
    const onAcceptError = (error: Error): void => refusals.refused("accept-error", "", nowMs(), error.message)
    const server = new ListenerServer(at, gate, home, carry, nowMs, onAcceptError)
    yield* Effect.acquireRelease(
      Effect.async<void, ListenError>((resume) => {
        server.begin((error) => resume(error === undefined ? Effect.void : Effect.fail(listenErrorOf(at, error))))
      }),
      () => drain(server, connectionOptions.drainTimeoutMs)
    )
    const bound = server.boundAddress()
    return { kind: at.kind, host: bound.address, port: bound.port, connections: () => home.connections.size }
  })

const drain = (server: ListenerServer, drainTimeoutMs: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    server.stopAccepting()
    server.home.whenEmptyOrAfter(drainTimeoutMs, () => {
      server.finish()
      // A destroyed socket tells its end in a later turn of the event loop.
      server.home.whenEmptyOrAfter(undefined, () => resume(Effect.void))
    })
  })
