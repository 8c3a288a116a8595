import { describe, expect, it } from "@effect/vitest"
import { createConnection } from "node:net"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { MemoryNodes } from "../src/MemoryNodeTransport.js"
import * as SocketNodeTransport from "../src/SocketNodeTransport.js"
import { nodeOf, nodeTransportSuite } from "./NodeTransportSuite.js"

const parts = PrometheusMeters.layer()

const socketNode = (nodeId: number, more: Partial<SocketNodeTransport.SocketNodeTransportOptions> = {}) =>
  nodeOf(
    SocketNodeTransport.layer({ nodeId, secret: "s3cret", listen: { host: "127.0.0.1", port: 0 }, ...more }).pipe(
      Layer.provide(parts)
    ),
    ({ host, port }) => `${host}:${port}`
  )

nodeTransportSuite("sockets", (nodeId) => socketNode(nodeId))

const hub = new MemoryNodes()
nodeTransportSuite("memory", (nodeId) => nodeOf(hub.layer(nodeId), ({ host, port }) => `${host}:${port}`))

const nothing = { onFrame: () => {}, onClose: () => {} }

/** Whether the host ends a connection that sends this, and what it answered. */
const sent = (port: number, bytes: Uint8Array) =>
  Effect.async<{ readonly answer: Buffer }>((resume) => {
    const chunks: Array<Buffer> = []
    const socket = createConnection({ port, host: "127.0.0.1" }, () => socket.write(bytes))
    socket.on("data", (chunk) => chunks.push(chunk))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed({ answer: Buffer.concat(chunks) })))
  })

describe("sockets between nodes", () => {
  it.scopedLive("refuses who does not know the secret, on both sides", () =>
    Effect.gen(function* () {
      const host = yield* socketNode(1)
      yield* host.transport.accept("test/1", () => nothing)
      const stranger = yield* socketNode(2, { secret: "guess" })
      const asked = yield* Effect.either(
        stranger.transport.connect({ nodeId: 1, address: host.address }, "test/1", () => nothing)
      )
      expect(Either.isLeft(asked) && asked.left.message).toContain("cluster.secret")
    })
  )

  it.scopedLive("ends a connection that says anything else, and goes on serving", () =>
    Effect.gen(function* () {
      const host = yield* socketNode(1)
      yield* host.transport.accept("test/1", () => nothing)
      const { port } = host.transport
      expect((yield* sent(port, Buffer.from("GET / HTTP/1.1\r\n\r\n"))).answer.length).toBe(0)
      expect((yield* sent(port, Buffer.from([0xff, 0xff, 0xff, 0xff, 0]))).answer.length).toBe(0)
      const older = Buffer.concat([Buffer.from([0, 0, 0, 5]), Buffer.from("EMQN"), Buffer.from([9])])
      expect((yield* sent(port, older)).answer.toString()).toContain("it speaks version 9, this node version 1")
      const friend = yield* socketNode(2)
      const link = yield* friend.transport.connect({ nodeId: 1, address: host.address }, "test/1", () => nothing)
      expect(link.peerNodeId).toBe(1)
    })
  )

  it.scopedLive("gives up a handshake that stands still", () =>
    Effect.gen(function* () {
      const host = yield* socketNode(1, { handshakeTimeoutMs: 300 })
      yield* host.transport.accept("test/1", () => nothing)
      expect((yield* sent(host.transport.port, Buffer.from([0, 0]))).answer.length).toBe(0)
    })
  )
})
