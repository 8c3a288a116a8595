import { describe, expect, it } from "@effect/vitest"
import { layerMemory } from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import * as Memory from "@effectmq/network/MemoryNetwork"
import * as Network from "@effectmq/network/Network"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { echo, makePeers, type Peer } from "./support/Peer.js"

const services = Layer.provideMerge(Memory.layer({ automatic: false }), Layer.provideMerge(ConnectionLimits.layer(), layerMemory))

const manual = (
  name: string,
  body: (network: Memory.MemoryNetworkService) => Effect.Effect<void, unknown, Scope | Network.Network>
) => it.scoped(name, () => Effect.provide(Effect.flatMap(Memory.MemoryNetwork, body), services))

const start = (options: { readonly connectTimeoutMs?: number } = {}, prepare: (peer: Peer) => void = () => {}) =>
  Effect.gen(function* () {
    const { acceptor, peers } = makePeers(prepare)
    const network = yield* Network.Network
    const { port } = yield* network.listen({ kind: "tcp", host: "memory", port: 0, ...options }, acceptor)
    return { port, peers }
  })

describe("by hand", () => {
  manual("nothing happens but in settle", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start({}, echo)
      const client = network.connect(port, { remoteAddress: "192.0.2.5" })
      client.write(Buffer.from("hello"))
      expect(peers.length).toBe(0)
      network.settle()
      expect(peers[0]?.connection.remoteAddress).toBe("192.0.2.5")
      expect(client.take().toString()).toBe("hello")
      expect(client.take().length).toBe(0)
    })
  )

  manual("chunks are as small as wished, and clients take turns", (network) =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const { port } = yield* start({}, (peer) => {
        peer.onChunk = (chunk) => order.push(`${peer.connection.remotePort % 2}${chunk.toString()}`)
      })
      const clients = [network.connect(port, { chunkBytes: 2 }), network.connect(port, { chunkBytes: 3 })]
      for (const client of clients) client.write(Buffer.from("abcdefg"))
      network.settle()
      expect(order.map((entry) => entry.slice(1))).toEqual(["ab", "abc", "cd", "def", "ef", "g", "g"])
    })
  )

  manual("what a client does not read fills its window", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start()
      const client = network.connect(port, { windowBytes: 100 })
      client.pause()
      network.settle()
      const { connection } = peers[0] as Peer
      connection.write(Buffer.alloc(60))
      network.settle()
      expect(connection.bufferedBytes()).toBe(0)
      connection.write(Buffer.alloc(250))
      network.settle()
      expect(connection.bufferedBytes()).toBe(250)
      client.resume()
      network.settle()
      expect(client.received().length).toBe(310)
      expect(connection.bufferedBytes()).toBe(0)
    })
  )

  manual("a paused broker leaves the client's bytes where they are", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start({}, (peer) => {
        peer.onChunk = () => peer.connection.pause(1)
      })
      const client = network.connect(port, { chunkBytes: 10 })
      client.write(Buffer.alloc(35))
      network.settle()
      expect(client.unreadBytes()).toBe(25)
      peers[0]?.connection.resume(1)
      network.settle()
      expect(client.unreadBytes()).toBe(15)
    })
  )

  manual("nobody listens: the client is closed", (network) =>
    Effect.sync(() => {
      const client = network.connect(4)
      network.settle()
      expect(client.closed()).toBe(true)
    })
  )

  manual("a client that gave up before the accept is never accepted", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start()
      const client = network.connect(port)
      client.reset()
      network.settle()
      expect(client.closed()).toBe(true)
      expect(peers.every((peer) => peer.closes === 1)).toBe(true)
    })
  )
})

describe("deadlines", () => {
  manual("talking keeps a connection alive, silence ends it: never early, half a second late at most", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start({}, (peer) => {
        peer.connection.established()
        peer.connection.setIdleTimeout(1_500)
      })
      const client = network.connect(port)
      network.settle()
      for (let i = 0; i < 20; i++) {
        network.advance(1_400)
        client.write(Buffer.from("."))
      }
      network.advance(1_500)
      expect(peers[0]?.closes).toBe(0)
      network.advance(500)
      expect(peers[0]?.closeReason).toBe("idle-timeout")
    })
  )

  manual("a pause is no silence", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start({}, (peer) => {
        peer.connection.established()
        peer.connection.setIdleTimeout(1_000)
        peer.connection.pause(2)
      })
      network.connect(port)
      network.advance(10_000)
      expect(peers[0]?.closes).toBe(0)
      peers[0]?.connection.resume(2)
      network.advance(1_000)
      expect(peers[0]?.closes).toBe(0)
      network.advance(500)
      expect(peers[0]?.closeReason).toBe("idle-timeout")
    })
  )

  manual("a handler is told again until it closes", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start({}, (peer) => {
        peer.connection.established()
        peer.connection.setIdleTimeout(1_000)
        peer.onIdle = () => {
          peer.idles += 1
          if (peer.idles === 3) peer.connection.close("idle-timeout")
        }
      })
      network.connect(port)
      network.advance(20_000)
      expect(peers[0]?.idles).toBe(3)
      expect(peers[0]?.closes).toBe(1)
    })
  )

  manual("the connect timeout does not start again with every byte", (network) =>
    Effect.gen(function* () {
      const { peers, port } = yield* start({ connectTimeoutMs: 2_000 })
      const client = network.connect(port)
      for (let i = 0; i < 30; i++) {
        client.write(Buffer.from("."))
        network.advance(100)
      }
      expect(peers[0]?.closeReason).toBe("connect-timeout")
    })
  )
})
