import { describe, expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import { layerMemory } from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import { listen } from "@effectmq/network/Listener"
import type { WebSocketOptions } from "@effectmq/network/WebSocketOptions"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { request } from "node:http"
import { tcpClient, webSocketClient } from "./support/Clients.js"
import { echo, makePeers } from "./support/Peer.js"
import { until } from "./support/until.js"

const services = Layer.provideMerge(ConnectionLimits.layer(), layerMemory)

const live = (name: string, body: Effect.Effect<void, unknown, Scope | ConnectionLimits.ConnectionLimits | Meters>) =>
  it.scopedLive(name, () => Effect.provide(body, services))

const start = (ws: Partial<WebSocketOptions> = {}, options: { readonly handshakeTimeoutMs?: number } = {}) =>
  Effect.gen(function* () {
    const { acceptor, peers } = makePeers(echo)
    const listener = yield* listen({ kind: "ws", host: "127.0.0.1", port: 0, drainTimeoutMs: 50, ...options, ws }, acceptor)
    const refused = (reason: string) =>
      Effect.map(Meters, (meters) => meters.snapshot().get(`effectmq_connections_refused_total{reason="${reason}"}`) ?? 0)
    return { peers, port: listener.port, url: `ws://127.0.0.1:${listener.port}`, refused }
  })

const open = (...args: Parameters<typeof webSocketClient>) => Effect.tryPromise(() => webSocketClient(...args))

describe("frames", () => {
  live(
    "are one stream: packets may be cut anywhere [MQTT-6.0.0-2]",
    Effect.gen(function* () {
      const { peers, url } = yield* start()
      const client = yield* open(`${url}/mqtt`)
      for (const part of ["a", "bc", "", "def"]) client.write(Buffer.from(part))
      client.socket.send(Buffer.from("gh"), { fin: false })
      client.socket.send(Buffer.from("ij"), { fin: true })
      client.socket.ping()
      yield* until("echo", () => client.received().toString() === "abcdefghij")
      expect(peers[0]?.received().toString()).toBe("abcdefghij")
    })
  )

  live(
    "that are not complete are told of, without control frames, until they are",
    Effect.gen(function* () {
      const { peers, url } = yield* start()
      const client = yield* open(`${url}/mqtt`)
      const told: Array<number> = []
      yield* until("accepted", () => peers.length === 1)
      const peer = peers[0] as (typeof peers)[number] & { onUnfinished?: (bytes: number) => void }
      peer.onUnfinished = (bytes) => void told.push(bytes)
      client.socket.send(Buffer.alloc(10_000), { fin: false })
      client.socket.ping(Buffer.alloc(100))
      client.socket.send(Buffer.alloc(5_000), { fin: false })
      // Each of the two has a header and a mask.
      yield* until("told", () => told.at(-1) === 15_000 + 8 + 8)
      client.socket.send(Buffer.alloc(1), { fin: true })
      yield* until("whole", () => told.at(-1) === 0 && peer.received().length === 15_001)
    })
  )

  live(
    "with text end the connection [MQTT-6.0.0-1]",
    Effect.gen(function* () {
      const { peers, url } = yield* start()
      const client = yield* open(`${url}/mqtt`)
      client.socket.send("text")
      yield* until("closed", () => client.closed() && peers[0]?.closes === 1)
      expect(client.closeCode()).toBe(1003)
      expect(peers[0]?.closeReason).toBe("protocol-error")
      expect(peers[0]?.chunks.length).toBe(0)
    })
  )

  live(
    "that are too large end the connection",
    Effect.gen(function* () {
      const { peers, url } = yield* start({ messageBytesMax: 1000 })
      const client = yield* open(`${url}/mqtt`)
      client.write(Buffer.alloc(1000))
      yield* until("received", () => peers[0]?.received().length === 1000)
      client.write(Buffer.alloc(1001))
      yield* until("closed", () => client.closed() && peers[0]?.closes === 1)
      expect(client.closeCode()).toBe(1009)
      expect(peers[0]?.closeReason).toBe("frame-too-large")
    })
  )

  live(
    "that break the rules end the connection",
    Effect.gen(function* () {
      const { peers, port } = yield* start()
      const client = yield* Effect.promise(() => tcpClient(port))
      const key = "dGhlIHNhbXBsZSBub25jZQ=="
      client.write(
        Buffer.from(
          `GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`
        )
      )
      yield* until("upgraded", () => client.received().includes("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
      // Not masked.
      client.write(Buffer.from([0x82, 0x01, 0x00]))
      yield* until("closed", () => client.closed() && peers[0]?.closes === 1)
      expect(peers[0]?.closeReason).toBe("protocol-error")
    })
  )
})

describe("requests", () => {
  live(
    "name a sub-protocol, and the answer names one of them [MQTT-6.0.0-3] [MQTT-6.0.0-4]",
    Effect.gen(function* () {
      const { url, refused } = yield* start()
      expect((yield* open(`${url}/mqtt`, ["mqtt"])).socket.protocol).toBe("mqtt")
      expect((yield* open(`${url}/mqtt`, ["mqttv3.1"])).socket.protocol).toBe("mqttv3.1")
      expect((yield* open(`${url}/mqtt?token=1`, ["other", "mqttv3.1", "mqtt"])).socket.protocol).toBe("mqtt")
      expect((yield* Effect.either(open(`${url}/mqtt`, ["other"])))._tag).toBe("Left")
      expect((yield* Effect.either(open(`${url}/mqtt`, [])))._tag).toBe("Left")
      expect(yield* refused("websocket-request")).toBe(2)
    })
  )

  live(
    "may do without a sub-protocol where that is allowed",
    Effect.gen(function* () {
      const { url } = yield* start({ protocolRequired: false, path: "/elsewhere" })
      expect((yield* open(`${url}/elsewhere`, [])).socket.protocol).toBe("")
      expect((yield* Effect.either(open(`${url}/mqtt`, ["mqtt"])))._tag).toBe("Left")
    })
  )

  live(
    "of other kinds are answered",
    Effect.gen(function* () {
      const { port, url, refused } = yield* start()
      const status = yield* Effect.async<number | undefined, Error>((resume) => {
        request({ host: "127.0.0.1", port, path: "/mqtt" }, (response) => {
          response.resume()
          resume(Effect.succeed(response.statusCode))
        })
          .on("error", (error) => resume(Effect.fail(error)))
          .end()
      })
      expect(status).toBe(426)
      expect((yield* Effect.either(open(`${url}/wrong`)))._tag).toBe("Left")
      for (const text of ["\x10\x12\x00\x04MQTT", "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"]) {
        const client = yield* Effect.promise(() => tcpClient(port))
        client.write(Buffer.from(text, "latin1"))
        yield* until("closed", () => client.closed())
      }
      expect(yield* refused("websocket-request")).toBe(4)
    })
  )

  live(
    "that take too long are ended",
    Effect.gen(function* () {
      const { port, refused } = yield* start({}, { handshakeTimeoutMs: 10 })
      const client = yield* Effect.promise(() => tcpClient(port))
      client.write(Buffer.from("GET /mqtt HTTP/1.1\r\n"))
      yield* until("closed", () => client.closed())
      expect(yield* refused("handshake-timeout")).toBe(1)
    })
  )
})
