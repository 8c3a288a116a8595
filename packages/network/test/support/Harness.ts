/** A kind of network under test: how to listen on it, how to reach it, how time passes there. */
import type { Meters } from "@effectmq/metrics/Meters"
import { layerMemory as metersMemory } from "@effectmq/metrics/PrometheusMeters"
import type { ConnectionAcceptor, TransportKind } from "@effectmq/network/Connection"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import type { BoundListener } from "@effectmq/network/Listener"
import type { ListenError } from "@effectmq/network/ListenError"
import type { ListenOptions } from "@effectmq/network/ListenOptions"
import * as Memory from "@effectmq/network/MemoryNetwork"
import * as Network from "@effectmq/network/Network"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { type Client, fixture, memoryClient, tcpClient, tlsClient, webSocketClient } from "./Clients.js"

export type Options = Partial<Omit<ListenOptions, "kind" | "tls" | "ws">>

export interface Started {
  readonly listener: BoundListener
  /** Rejects or gives a client that closes soon when the connection is refused. */
  readonly connect: Effect.Effect<Client, unknown>
}

export type Services = Network.Network | ConnectionLimits.ConnectionLimits | Meters

export interface Harness {
  readonly name: string
  readonly kind: TransportKind
  /** Clients can end their sending and read on. */
  readonly halfOpen: boolean
  readonly start: (options: Options, acceptor: ConnectionAcceptor) => Effect.Effect<Started, ListenError, Scope | Services>
  readonly layer: (limits?: Partial<ConnectionLimits.ConnectionLimitsOptions>) => Layer.Layer<Services>
  /** Lets time pass, where the network's clock is not the real one. */
  readonly passTime: (ms: number) => Effect.Effect<void, never, Services>
}

const limitsLayer = (limits: Partial<ConnectionLimits.ConnectionLimitsOptions> = {}) =>
  Layer.provideMerge(ConnectionLimits.layer({ ...ConnectionLimits.defaultConnectionLimits, ...limits }), metersMemory)

export const serverTls = { certificate: { pem: fixture("server.pem") }, key: { pem: fixture("server.key.pem") } }

const at = { host: "127.0.0.1", port: 0, drainTimeoutMs: 50 }

const socketHarness = (
  kind: TransportKind,
  halfOpen: boolean,
  listenOptions: (options: Options) => ListenOptions,
  connect: (port: number) => Promise<Client>
): Harness => ({
  name: kind,
  kind,
  halfOpen,
  start: (options, acceptor) =>
    Effect.flatMap(Network.Network, (network) =>
      Effect.map(network.listen(listenOptions({ ...at, ...options }), acceptor), (listener) => ({
        listener,
        connect: Effect.tryPromise(() => connect(listener.port))
      }))
    ),
  layer: (limits) => Layer.provideMerge(Network.layer, limitsLayer(limits)),
  passTime: () => Effect.void
})

const memoryHarness: Harness = {
  name: "memory",
  kind: "tcp",
  halfOpen: true,
  start: (options, acceptor) =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      const memory = yield* Memory.MemoryNetwork as unknown as Effect.Effect<Memory.MemoryNetworkService>
      const listener = yield* network.listen({ kind: "tcp", ...at, ...options }, acceptor)
      return { listener, connect: Effect.sync(() => memoryClient(memory.connect(listener.port))) }
    }),
  layer: (limits) => Layer.provideMerge(Memory.layer(), limitsLayer(limits)),
  passTime: (ms) =>
    Effect.map(Memory.MemoryNetwork as unknown as Effect.Effect<Memory.MemoryNetworkService>, (memory) => memory.advance(ms))
}

export const harnesses: ReadonlyArray<Harness> = [
  socketHarness(
    "tcp",
    true,
    (options) => ({ kind: "tcp", ...at, ...options }),
    (port) => tcpClient(port)
  ),
  socketHarness(
    "tls",
    false,
    (options) => ({ kind: "tls", tls: serverTls, ...at, ...options }),
    (port) => tlsClient(port)
  ),
  socketHarness(
    "ws",
    false,
    (options) => ({ kind: "ws", ...at, ...options }),
    (port) => webSocketClient(`ws://127.0.0.1:${port}/mqtt`)
  ),
  socketHarness(
    "wss",
    false,
    (options) => ({ kind: "wss", tls: serverTls, ...at, ...options }),
    (port) => webSocketClient(`wss://127.0.0.1:${port}/mqtt`)
  ),
  memoryHarness
]
