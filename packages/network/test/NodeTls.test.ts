/** Links over mutual TLS: the same suite, and who does not get in for lack of a certificate. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type AddressInfo, createServer, type Server } from "node:net"
import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TlsOptions } from "../src/TlsOptions.js"
import { nodeTransportSuite, type TestNode } from "./NodeTransportSuite.js"
import { fixture, fixturePath } from "./support/Clients.js"
import { knock, Lines, type NodeOptions, socketNode } from "./support/Nodes.js"
import { until } from "./support/until.js"

const certified = (name: string): TlsOptions => ({
  certificate: { pem: fixture(`${name}.pem`) },
  key: { pem: fixture(`${name}.key.pem`) },
  clientAuthorities: { pem: fixture("authority.pem") }
})

const tls = certified("server")

nodeTransportSuite("mutual TLS", (nodeId) => socketNode(nodeId, { tls }))

const channel = "test/1"
const nothing = { onFrame: () => {}, onClose: () => {} }

const hosting = (options: NodeOptions = {}, lines = new Lines(), addressHost?: string) =>
  Effect.tap(socketNode(1, { tls, ...options }, lines, addressHost), ({ transport }) => transport.accept(channel, () => nothing))

const reached = (node: TestNode, host: TestNode) =>
  Effect.map(
    Effect.either(node.transport.connect({ nodeId: 1, address: host.address }, channel, () => nothing)),
    Either.match({ onLeft: ({ message }) => message, onRight: ({ peerNodeId }) => peerNodeId })
  )

describe("mutual TLS between nodes", () => {
  it.scopedLive("needs a certificate of the authorities on both sides, besides the secret", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting({}, lines)
      expect(yield* reached(yield* socketNode(2, { tls: certified("server2") }), host)).toBe(1)
      expect(yield* reached(yield* socketNode(3, { tls: certified("server2"), secret: "guess" }), host)).toContain(
        "cluster.secret"
      )
      expect(yield* reached(yield* socketNode(4, { tls: certified("stranger") }), host)).toContain("certificate")
      const refused = "its certificate is not one of the authorities in this node's cluster.tls.caFile"
      yield* until("the host says why", () => lines.with(refused).length > 0)
      const strange = yield* hosting({ tls: certified("stranger") })
      expect(yield* reached(yield* socketNode(5, { tls }), strange)).toMatch(/certificate|self.signed/)
      // A certificate for clients alone is none for a host.
      const clientOnly = yield* hosting({ tls: certified("client") })
      expect(yield* reached(yield* socketNode(6, { tls }), clientOnly)).toMatch(/certificate|purpose/)
    })
  )

  it.scopedLive("is given up where the other side accepts the connection and says nothing", () =>
    Effect.gen(function* () {
      const silent = yield* Effect.acquireRelease(
        Effect.async<Server>((resume) => {
          const made = createServer((socket) => void socket.on("error", () => {}).resume())
          made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.close())
      )
      const node = yield* socketNode(2, { tls, handshakeTimeoutMs: 300 })
      const { port } = silent.address() as AddressInfo
      const given = yield* Effect.flip(
        node.transport.connect({ nodeId: 1, address: `127.0.0.1:${port}` }, channel, () => nothing)
      )
      expect(given.message).toBe("no answer within 300 ms")
    })
  )

  it.scopedLive("needs the name of the host in its certificate", () =>
    Effect.gen(function* () {
      const host = yield* hosting({ listen: { host: "127.0.0.2", port: 0 } })
      expect(yield* reached(yield* socketNode(2, { tls }), host)).toMatch(/IP: 127\.0\.0\.2 is not in the cert/)
      const named = yield* hosting({}, new Lines(), "localhost")
      expect(yield* reached(yield* socketNode(3, { tls }), named)).toBe(1)
    })
  )

  it.scopedLive("does not talk with who does not speak TLS, either way", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting({}, lines)
      const plain = yield* socketNode(2)
      expect(yield* reached(plain, host)).toMatch(/does it speak TLS, and this node not|it speaks TLS and this node does not/)
      yield* until("the host says why", () => lines.with("it does not speak TLS and this node does").length > 0)
      const plainLines = new Lines()
      const plainHost = yield* Effect.tap(socketNode(1, {}, plainLines), ({ transport }) =>
        transport.accept(channel, () => nothing)
      )
      expect(yield* reached(yield* socketNode(3, { tls }), plainHost)).toContain("does it speak TLS, as this node does?")
      yield* until("it says why", () => plainLines.with("it speaks TLS and this node does not: cluster.tls.certFile").length > 0)
      const stranger = yield* knock(host.transport.port, Buffer.from("GET / HTTP/1.1\r\n\r\n"))
      yield* until("it is ended", stranger.closed)
    })
  )

  it.scopedLive("lets in who is quick while others only hold the door", () =>
    Effect.gen(function* () {
      const host = yield* hosting({ handshakesMax: 4, handshakeTimeoutMs: 60_000 })
      const strangers = yield* Effect.forEach(Array.from({ length: 20 }), () => knock(host.transport.port, Buffer.from([0x16])))
      yield* until("the first are ended", () => strangers.slice(0, 16).every(({ closed }) => closed()))
      expect(yield* reached(yield* socketNode(2, { tls }), host)).toBe(1)
    })
  )

  it.scopedLive("takes new certificates from their files, on both sides, without a restart", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "effectmq-node-tls-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const files = (name: string, side: string): TlsOptions => {
        for (const kind of ["pem", "key.pem"]) copyFileSync(fixturePath(`${name}.${kind}`), join(folder, `${side}.${kind}`))
        return {
          certificate: { file: join(folder, `${side}.pem`) },
          key: { file: join(folder, `${side}.key.pem`) },
          clientAuthorities: { pem: fixture("authority.pem") },
          reloadCheckIntervalMs: 20
        }
      }
      const lines = new Lines()
      const host = yield* hosting({ tls: files("stranger", "host") }, lines)
      const node = yield* socketNode(2, { tls: files("stranger", "caller") })
      expect(yield* reached(node, host)).toMatch(/certificate|self.signed/)
      files("server", "host")
      yield* until("the host has read it", () => lines.with("certificates reloaded").length > 0)
      expect(yield* Effect.repeat(reached(node, host), { while: (text) => /self.signed/.test(String(text)) })).toContain(
        "certificate"
      )
      files("server2", "caller")
      expect(yield* reached(node, host)).toBe(1)
    })
  )
})
