/**
 * A network without sockets: the same `Connection` as the real ones have, for tests of protocols and whole nodes.
 *
 * Everything happens as tasks of one queue, first in first out, so that a run repeats exactly. With `automatic` the queue runs
 * by itself in the event loop and deadlines follow `advance` only; without, nothing happens but in `settle`.
 * There is no TLS and no WebSocket here: `tls`, `ws` and `wss` only name the connection's transport.
 */
import { Meters, type MetersService } from "@effectmq/metrics/Meters"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import type { ConnectionAcceptor } from "./Connection.js"
import { ConnectionLimits, type ConnectionLimitsService } from "./ConnectionLimits.js"
import { withConnectionDefaults } from "./ConnectionOptions.js"
import { TokenBucket } from "./core/TokenBucket.js"
import { Admission } from "./internal/Admission.js"
import { ConnectionHome, scanIntervalMs } from "./internal/ConnectionHome.js"
import { MemoryClient, type MemoryClientOptions, memoryCarrier } from "./internal/MemoryPipe.js"
import { TickFlush } from "./internal/TickFlush.js"
import type { BoundListener } from "./Listener.js"
import { ListenError } from "./ListenError.js"
import type { ListenerLimits, ListenOptions } from "./ListenOptions.js"
import { Network } from "./Network.js"

export type { MemoryClient, MemoryClientOptions } from "./internal/MemoryPipe.js"

export interface MemoryNetworkOptions {
  /** Tasks run by themselves in the event loop. Default true. */
  readonly automatic?: boolean
  /** Bytes of large messages that are written before others get their turn. */
  readonly largeBytesPerTurn?: number
}

interface MemoryListener {
  readonly home: ConnectionHome
  readonly admission: Admission
  readonly drainTimeoutMs: number
}

/** A bug of the protocol under test is the test's business. */
const rethrow = (error: unknown): never => {
  throw error
}

/** Ports given where 0 is asked for. */
const firstFreePort = 49_152
/** More tasks than this without an end is a bug of what is tested: it answers itself for ever. */
const settleTasksMax = 10_000_000

export class MemoryNetworkService {
  private readonly listenersByPort = new Map<number, MemoryListener>()
  private tasks: Array<() => void> = []
  private running = false
  private nowMs = 0
  private nextPort = firstFreePort
  private nextClientPort = 1024
  private readonly automatic: boolean
  private readonly flush: TickFlush

  constructor(
    private readonly meters: MetersService,
    private readonly limits: ConnectionLimitsService,
    options: MemoryNetworkOptions = {}
  ) {
    this.automatic = options.automatic ?? true
    this.flush = new TickFlush((run) => this.schedule(run), options.largeBytesPerTurn)
  }

  /** @internal runs a task after all that are due already */
  readonly schedule = (task: () => void): void => {
    if (this.tasks.push(task) === 1 && this.automatic && !this.running) setImmediate(() => this.settle())
  }

  /** Does all that is due, and what comes of it, until nothing is. */
  settle(): void {
    if (this.running) return
    this.running = true
    try {
      let done = 0
      while (this.tasks.length > 0) {
        const batch = this.tasks
        this.tasks = []
        for (const task of batch) task()
        done += batch.length
        if (done > settleTasksMax) throw new Error("memory network: tasks make tasks without end")
      }
    } finally {
      this.running = false
    }
  }

  /** Lets time pass for deadlines, and does what is due. */
  advance(ms: number): void {
    this.settle()
    const untilMs = this.nowMs + ms
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, this.nowMs + scanIntervalMs)
      for (const { home } of this.listenersByPort.values()) home.scan(this.nowMs)
      this.settle()
    }
  }

  /** Connects to a listener of this network. A refused client is `closed()` as soon as the queue has run. */
  connect(port: number, options: MemoryClientOptions = {}): MemoryClient {
    const client = new MemoryClient(this.schedule, options)
    const remoteAddress = options.remoteAddress ?? "127.0.0.1"
    const remotePort = this.nextClientPort++
    this.schedule(() => {
      const listener = this.listenersByPort.get(port)
      if (listener === undefined) client.finish()
      else this.accept(listener, client, { remoteAddress, remotePort, localPort: port })
    })
    return client
  }

  private accept(
    { admission, home }: MemoryListener,
    client: MemoryClient,
    peer: { readonly remoteAddress: string; readonly remotePort: number; readonly localPort: number }
  ): void {
    if (client.closed()) return
    const entered = admission.enter(this.nowMs)
    const reason = entered ?? admission.place(peer.remoteAddress)
    if (reason !== undefined) {
      if (entered === undefined) admission.leave(peer.remoteAddress, false)
      this.limits.refused(reason)
      client.finish()
      return
    }
    client.onFinished = () => admission.leave(peer.remoteAddress, true)
    client.attach(home.accept(memoryCarrier, client, peer, undefined))
  }

  /** @internal @throws Error that says which option is wrong */
  bind(options: ListenOptions, acceptor: ConnectionAcceptor): number {
    const port = options.port === 0 ? this.nextPort++ : options.port
    const connectionOptions = withConnectionDefaults(options)
    const { rate } = options
    const bucket = rate && new TokenBucket(rate.connectionsPerSecond, rate.burst)
    this.listenersByPort.set(port, {
      home: new ConnectionHome(options.kind, connectionOptions, this.flush, acceptor, this.meters, rethrow),
      admission: new Admission(this.limits, bucket),
      drainTimeoutMs: connectionOptions.drainTimeoutMs
    })
    return port
  }

  /** @internal */
  configure(port: number, limits: ListenerLimits): void {
    const listener = this.listenersByPort.get(port)
    listener?.admission.configure(limits.rate)
    listener?.home.configure(limits)
  }

  isBound(port: number): boolean {
    return this.listenersByPort.has(port)
  }

  /** Connections that the protocol behind this port has. */
  connections(port: number): number {
    return this.listenersByPort.get(port)?.home.connections.size ?? 0
  }

  /** @internal tells the handlers, lets the drain time pass by the network's clock, ends what is left */
  unbind(port: number): void {
    const listener = this.listenersByPort.get(port)
    if (listener === undefined) return
    listener.admission.closed = true
    listener.home.beginShutdown()
    this.settle()
    if (listener.home.connections.size > 0) this.advance(listener.drainTimeoutMs)
    listener.home.destroyAll()
    this.settle()
    this.listenersByPort.delete(port)
  }
}

/** The network as its test sees it: `connect`, `settle`, `advance`. */
export class MemoryNetwork extends Context.Tag("@effectmq/network/MemoryNetwork")<MemoryNetwork, MemoryNetworkService>() {}

/** Listens on the memory network until the scope closes. */
const listenOn = (
  network: MemoryNetworkService,
  options: ListenOptions,
  acceptor: ConnectionAcceptor
): Effect.Effect<BoundListener, ListenError, Scope> => {
  const { host, kind, port } = options
  const bind = Effect.suspend(() => {
    if (port !== 0 && network.isBound(port))
      return Effect.fail(new ListenError({ kind, host, port, reason: "address-in-use", detail: "the port is taken" }))
    return Effect.try({
      try: () => network.bind(options, acceptor),
      catch: (cause) => new ListenError({ kind, host, port, reason: "invalid-options", detail: (cause as Error).message, cause })
    })
  })
  return Effect.acquireRelease(bind, (bound) => Effect.sync(() => network.unbind(bound))).pipe(
    Effect.map((bound) => ({
      kind,
      host,
      port: bound,
      connections: () => network.connections(bound),
      configure: (limits) => network.configure(bound, limits),
      reloadCertificates: Effect.void
    }))
  )
}

/** `Network` for what is tested, `MemoryNetwork` for who tests it. */
export const layer = (
  options: MemoryNetworkOptions = {}
): Layer.Layer<Network | MemoryNetwork, never, ConnectionLimits | Meters> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const network = new MemoryNetworkService(yield* Meters, yield* ConnectionLimits, options)
      return Context.make(MemoryNetwork, network).pipe(
        Context.add(Network, { listen: (listenOptions, acceptor) => listenOn(network, listenOptions, acceptor) })
      )
    })
  )
