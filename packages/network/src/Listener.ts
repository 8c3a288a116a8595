/**
 * Listens on a port and gives each connection to a protocol: TCP, TLS, WebSocket and secure WebSocket.
 *
 * The listener lives as long as its scope. At its end it takes no more connections, calls `onShutdown` of every handler, waits
 * `drainTimeoutMs` for them to end, and destroys the rest. Errors of single connections never end it.
 */
import { Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type { Scope } from "effect/Scope"
import { createSecureContext, type SecureContextOptions } from "node:tls"
import type { ConnectionAcceptor, TransportKind } from "./Connection.js"
import { ConnectionLimits } from "./ConnectionLimits.js"
import { withConnectionDefaults } from "./ConnectionOptions.js"
import { TokenBucket } from "./core/TokenBucket.js"
import { AcceptGate } from "./internal/AcceptGate.js"
import { Admission } from "./internal/Admission.js"
import { certificatesVersion, readCertificates, readsFiles } from "./internal/Certificates.js"
import { ConnectionHome } from "./internal/ConnectionHome.js"
import { ListenerServer, type Stage } from "./internal/ListenerServer.js"
import { makeProxyStage } from "./internal/ProxyStage.js"
import { type LogLine, RefusalLog } from "./internal/RefusalLog.js"
import { carrySocket } from "./internal/SocketCarrier.js"
import { socketFlush } from "./internal/TickFlush.js"
import { TlsStage } from "./internal/TlsStage.js"
import { carryWebSocket } from "./internal/WebSocketCarrier.js"
import { WebSocketStage } from "./internal/WebSocketStage.js"
import { ListenError, type ListenErrorReason, listenErrorOf } from "./ListenError.js"
import { defaultBacklog, defaultHandshakeTimeoutMs, type ListenerLimits, type ListenOptions } from "./ListenOptions.js"
import type { TlsOptions } from "./TlsOptions.js"
import { defaultWebSocketOptions, type WebSocketOptions } from "./WebSocketOptions.js"

export interface BoundListener {
  readonly kind: TransportKind
  readonly host: string
  /** The port that was bound, also where 0 was asked for. */
  readonly port: number
  /** Connections that the protocol has. */
  connections(): number
  /** Other limits from now on. */
  configure(limits: ListenerLimits): void
  /** Reads the certificates again for all handshakes to come; what cannot be used leaves the old ones. Without TLS: nothing. */
  readonly reloadCertificates: Effect.Effect<void, ListenError>
}

/** Whole milliseconds of a clock that does not jump. */
const nowMs = (): number => Math.floor(performance.now())

const makeLog = (runtime: Runtime.Runtime<never>): LogLine => {
  const runFork = Runtime.runFork(runtime)
  return (level, message, annotations) => {
    const line =
      level === "debug" ? Effect.logDebug(message) : level === "error" ? Effect.logError(message) : Effect.logWarning(message)
    runFork(Effect.annotateLogs(line, annotations))
  }
}

/** The gates from the accept to the protocol. @throws Error that says which option is wrong */
const makeStages = (
  options: ListenOptions,
  home: ConnectionHome,
  context: SecureContextOptions | undefined
): { readonly first: Stage; readonly tls: TlsStage | undefined; readonly webSocket: WebSocketStage | undefined } => {
  const carry: Stage = (socket, arrival) => {
    arrival.gate.arrived(arrival)
    carrySocket(home, socket, arrival, arrival.certificate)
  }
  const webSocketStage = (ws: Partial<WebSocketOptions> | undefined): WebSocketStage =>
    new WebSocketStage({ ...defaultWebSocketOptions, ...ws }, (webSocket, socket, arrival) => {
      arrival.gate.arrived(arrival)
      carryWebSocket(home, webSocket, socket, arrival, arrival.certificate)
    })
  const webSocket = options.kind === "ws" || options.kind === "wss" ? webSocketStage(options.ws) : undefined
  const inner = webSocket?.stage ?? carry
  const tls =
    (options.kind === "tls" || options.kind === "wss") && context !== undefined
      ? new TlsStage(context, options.tls, options.handshakeTimeoutMs ?? defaultHandshakeTimeoutMs, inner)
      : undefined
  const placed: Stage = (socket, arrival) => {
    if (arrival.gate.place(arrival)) (tls?.stage ?? inner)(socket, arrival)
  }
  return { first: options.proxyProtocol === undefined ? placed : makeProxyStage(options.proxyProtocol, placed), tls, webSocket }
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
    const { host, kind, port, rate } = options
    const at = { kind, host, port, backlog: options.backlog ?? defaultBacklog }
    const refused = (reason: ListenErrorReason) => (cause: unknown) =>
      new ListenError({ kind, host, port, reason, detail: cause instanceof Error ? cause.message : String(cause), cause })
    const checked = <A>(make: () => A) => Effect.try({ try: make, catch: refused("invalid-options") })

    const tlsOptions = kind === "tls" || kind === "wss" ? options.tls : undefined
    if (tlsOptions !== undefined) yield* checked(() => checkTlsOptions(tlsOptions))
    const certificates =
      tlsOptions && (yield* Effect.tryPromise({ try: () => readCertificates(tlsOptions), catch: refused("certificate") }))
    if (certificates !== undefined)
      yield* Effect.try({ try: () => createSecureContext(certificates), catch: refused("certificate") })

    const connectionOptions = yield* checked(() => withConnectionDefaults(options))
    const bucket = yield* checked(() => rate && new TokenBucket(rate.connectionsPerSecond, rate.burst))
    const refusals = new RefusalLog(limits, log, `${kind}:${host}:${port}`, options.onRefused)
    const admission = new Admission(limits, bucket)
    const gate = new AcceptGate(
      admission,
      refusals,
      options.handshakeTimeoutMs ?? defaultHandshakeTimeoutMs,
      nowMs,
      options.handshakesMax ?? Number.POSITIVE_INFINITY
    )
    const home = new ConnectionHome(kind, connectionOptions, socketFlush, acceptor, meters, (error, connection) => {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
      log("error", "a protocol handler threw; its connection is ended", { address: connection.remoteAddress, detail })
    })
    const { first, tls, webSocket } = yield* checked(() => makeStages(options, home, certificates))

    const onAcceptError = (error: Error): void => refusals.refused("accept-error", "", nowMs(), error.message)
    const server = new ListenerServer(at, gate, home, first, nowMs, onAcceptError)
    yield* Effect.acquireRelease(
      Effect.async<void, ListenError>((resume) => {
        server.begin((error) => resume(error === undefined ? Effect.void : Effect.fail(listenErrorOf(at, error))))
      }),
      () => drain(server, connectionOptions.drainTimeoutMs)
    )
    const reloadCertificates =
      tls === undefined || tlsOptions === undefined
        ? Effect.void
        : Effect.tryPromise({
            try: async () => tls.replace(await readCertificates(tlsOptions)),
            catch: refused("certificate")
          })
    if (tlsOptions !== undefined) yield* followCertificates(tlsOptions, reloadCertificates)
    const bound = server.boundAddress()
    const configure = (now: ListenerLimits) => {
      admission.configure(now.rate)
      home.configure(now)
      if (webSocket !== undefined) webSocket.messageBytesMax = now.messageBytesMax
    }
    return {
      kind,
      host: bound.address,
      port: bound.port,
      connections: () => home.connections.size,
      configure,
      reloadCertificates
    }
  })

const checkTlsOptions = (options: TlsOptions): void => {
  if ((options.clientCertificate ?? "none") !== "none" && options.clientAuthorities === undefined)
    throw new Error("tls.clientCertificate needs tls.clientAuthorities: whose certificates are good")
}

/** Reads the files again when one of them has changed; what cannot be used is told and the old ones stay. */
const followCertificates = (options: TlsOptions, reload: Effect.Effect<void, ListenError>): Effect.Effect<void, never, Scope> => {
  const intervalMs = options.reloadCheckIntervalMs ?? 30_000
  if (intervalMs === 0 || !readsFiles(options)) return Effect.void
  const version = Effect.orElseSucceed(
    Effect.tryPromise(() => certificatesVersion(options)),
    () => ""
  )
  return Effect.gen(function* () {
    let seen = yield* version
    const check = Effect.gen(function* () {
      const current = yield* version
      // A file that is away is being replaced.
      if (current === seen || current === "") return
      seen = current
      yield* reload
      yield* Effect.logInfo("certificates reloaded")
    })
    const look = Effect.catchAll(check, (error) => Effect.logError("certificates not reloaded", error.message))
    yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced(intervalMs)))
  })
}

const drain = (server: ListenerServer, drainTimeoutMs: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    server.stopAccepting()
    server.home.whenEmptyOrAfter(drainTimeoutMs, () => {
      server.finish()
      // A destroyed socket tells its end in a later turn of the event loop.
      server.home.whenEmptyOrAfter(undefined, () => resume(Effect.void))
    })
  })
