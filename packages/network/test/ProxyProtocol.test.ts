import { describe, expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import { layerMemory } from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import { listen } from "@effectmq/network/Listener"
import type { ListenOptions } from "@effectmq/network/ListenOptions"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { connect } from "node:net"
import { connect as connectTls } from "node:tls"
import { WebSocket } from "ws"
import { fixture, tcpClient } from "./support/Clients.js"
import { serverTls } from "./support/Harness.js"
import { echo, makePeers } from "./support/Peer.js"
import { until } from "./support/until.js"

const at = { host: "127.0.0.1", port: 0, drainTimeoutMs: 50 }
const trusted = { trustedAddresses: ["127.0.0.0/8", "::1"] }
const required = { mode: "required", ...trusted } as const
const line = Buffer.from("PROXY TCP4 192.0.2.77 198.51.100.2 56324 443\r\n")
const binary = Buffer.from("0d0a0d0a000d0a515549540a21110013c000024dc6336402dc0401bb03000411223344", "hex")

const live = (name: string, body: Effect.Effect<void, unknown, Scope | ConnectionLimits.ConnectionLimits | Meters>) =>
  it.scopedLive(name, () =>
    Effect.provide(
      body,
      Layer.provideMerge(ConnectionLimits.layer({ connectionsMax: 100, connectionsPerAddressMax: 1 }), layerMemory)
    )
  )

const start = (options: ListenOptions) =>
  Effect.gen(function* () {
    const { acceptor, peers } = makePeers(echo)
    const listener = yield* listen(options, acceptor)
    const refused = (reason: string) =>
      Effect.map(Meters, (meters) => meters.snapshot().get(`effectmq_connections_refused_total{reason="${reason}"}`) ?? 0)
    return { peers, port: listener.port, refused }
  })

describe("over TCP", () => {
  for (const [name, header] of [
    ["version 1", line],
    ["version 2", binary]
  ] as const)
    live(
      `takes the client's address from ${name}, with any cuts`,
      Effect.gen(function* () {
        const { peers, port } = yield* start({ kind: "tcp", ...at, proxyProtocol: required })
        const client = yield* Effect.promise(() => tcpClient(port))
        for (const byte of header.subarray(0, 20)) client.write(Buffer.from([byte]))
        client.write(Buffer.concat([header.subarray(20), Buffer.from("hello")]))
        yield* until("echo", () => client.received().toString() === "hello")
        expect(peers[0]?.connection.remoteAddress).toBe("192.0.2.77")
        expect(peers[0]?.connection.remotePort).toBe(56_324)
        client.write(Buffer.from(" again"))
        yield* until("echo", () => client.received().toString() === "hello again")
      })
    )

  live(
    "counts the addresses of clients, not of the proxy",
    Effect.gen(function* () {
      const { peers, port, refused } = yield* start({ kind: "tcp", ...at, proxyProtocol: required })
      const first = yield* Effect.promise(() => tcpClient(port))
      first.write(line)
      yield* until("accepted", () => peers.length === 1)
      const same = yield* Effect.promise(() => tcpClient(port))
      same.write(line)
      yield* until("refused", () => same.closed())
      expect(yield* refused("address-limit")).toBe(1)
      const other = yield* Effect.promise(() => tcpClient(port))
      other.write(Buffer.from("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"))
      yield* until("accepted", () => peers.length === 2)
      expect(peers[1]?.connection.remoteAddress).toBe("2001:db8::7")
    })
  )

  live(
    "leaves the address as it is when the proxy speaks for itself",
    Effect.gen(function* () {
      const { peers, port } = yield* start({ kind: "tcp", ...at, proxyProtocol: required })
      const client = yield* Effect.promise(() => tcpClient(port))
      client.write(Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex"))
      yield* until("accepted", () => peers.length === 1)
      expect(peers[0]?.connection.remoteAddress).toBe("127.0.0.1")
    })
  )

  live(
    "refuses who sends none, a wrong one, or ends before it is complete",
    Effect.gen(function* () {
      const { peers, port, refused } = yield* start({ kind: "tcp", ...at, proxyProtocol: required })
      for (const bytes of ["hello", "PROXY TCP9 \r\n", "PROXY TCP4 1"]) {
        const client = yield* Effect.promise(() => tcpClient(port))
        client.write(Buffer.from(bytes))
        client.end()
        yield* until("refused", () => client.closed())
      }
      expect(yield* refused("proxy-header")).toBe(3)
      expect(peers.length).toBe(0)
    })
  )

  live(
    "refuses who takes too long, and who is not trusted",
    Effect.gen(function* () {
      const slow = yield* start({ kind: "tcp", ...at, handshakeTimeoutMs: 10, proxyProtocol: required })
      const client = yield* Effect.promise(() => tcpClient(slow.port))
      client.write(Buffer.from("PROXY "))
      yield* until("refused", () => client.closed())
      expect(yield* slow.refused("handshake-timeout")).toBe(1)
      const others = { mode: "required", trustedAddresses: ["10.0.0.0/8"] } as const
      const { port, refused } = yield* start({ kind: "tcp", ...at, proxyProtocol: others })
      const stranger = yield* Effect.promise(() => tcpClient(port))
      yield* until("refused", () => stranger.closed())
      expect(yield* refused("proxy-untrusted")).toBe(1)
    })
  )

  live(
    "takes those without a header too, where it is optional",
    Effect.gen(function* () {
      const { peers, port } = yield* start({ kind: "tcp", ...at, proxyProtocol: { mode: "optional", ...trusted } })
      const direct = yield* Effect.promise(() => tcpClient(port))
      direct.write(Buffer.from("Plain"))
      yield* until("echo", () => direct.received().toString() === "Plain")
      expect(peers[0]?.connection.remoteAddress).toBe("127.0.0.1")
      const proxied = yield* Effect.promise(() => tcpClient(port))
      proxied.write(line)
      yield* until("accepted", () => peers.length === 2)
      expect(peers[1]?.connection.remoteAddress).toBe("192.0.2.77")
    })
  )

  live(
    "does not believe a header from elsewhere, where it is optional",
    Effect.gen(function* () {
      const others = { mode: "optional", trustedAddresses: ["10.0.0.0/8", "::1/128"] } as const
      const { peers, port } = yield* start({ kind: "tcp", ...at, proxyProtocol: others })
      const client = yield* Effect.promise(() => tcpClient(port))
      client.write(line)
      yield* until("taken as data", () => peers[0]?.received().equals(line) === true)
      expect(peers[0]?.connection.remoteAddress).toBe("127.0.0.1")
    })
  )
})

describe("below", () => {
  live(
    "TLS",
    Effect.gen(function* () {
      const { peers, port } = yield* start({ kind: "tls", tls: serverTls, ...at, proxyProtocol: required })
      const socket = connect(port, "127.0.0.1")
      socket.write(binary)
      const secure = connectTls({ socket, servername: "localhost", ca: fixture("authority.pem") })
      let received = ""
      secure.on("data", (chunk) => {
        received += chunk
      })
      secure.write("hello")
      yield* until("echo", () => received === "hello")
      expect(peers[0]?.connection.remoteAddress).toBe("192.0.2.77")
      secure.destroy()
    })
  )

  for (const together of [true, false])
    live(
      together ? "WebSocket, header and request in one" : "WebSocket",
      Effect.gen(function* () {
        const { peers, port } = yield* start({ kind: "ws", ...at, proxyProtocol: required })
        const client = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ["mqtt"], {
          createConnection: () => {
            const socket = connect(port, "127.0.0.1")
            if (together) socket.cork()
            socket.write(line)
            if (together) setImmediate(() => socket.uncork())
            return socket
          }
        })
        let received = ""
        client.on("message", (data) => {
          received += String(data)
        })
        client.on("open", () => client.send(Buffer.from("hello")))
        yield* until("echo", () => received === "hello")
        expect(peers[0]?.connection.remoteAddress).toBe("192.0.2.77")
        client.terminate()
      })
    )
})

describe("options", () => {
  for (const [detail, trustedAddresses] of [
    ["empty", []],
    ['"10.0.0.0/33"', ["10.0.0.0/33"]],
    ['"proxy.example"', ["127.0.0.1", "proxy.example"]],
    ['"::1/x"', ["::1/x"]]
  ] as const)
    live(
      `are refused: ${detail}`,
      Effect.gen(function* () {
        const options = { kind: "tcp", ...at, proxyProtocol: { mode: "required", trustedAddresses } } as const
        const error = yield* Effect.flip(listen(options, makePeers().acceptor))
        expect(error.reason).toBe("invalid-options")
        expect(error.message).toContain(detail)
      })
    )
})
