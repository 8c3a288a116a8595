/** Links over TCP: who gets in, what is said of who does not, and how little a stranger can take. */
import { describe, expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { type AddressInfo, createServer, type Server } from "node:net"
import { CallerHandshake, handshakeFrameBytesMax, nonceBytes } from "../src/core/NodeHandshake.js"
import type { FramedLink } from "../src/internal/FramedLink.js"
import { LinkAdmission } from "../src/internal/LinkAdmission.js"
import { type NodeLink, NodeTransport, type NodeTarget, nodeFrameBytesMax } from "../src/NodeTransport.js"
import * as SocketNodeTransport from "../src/SocketNodeTransport.js"
import { nodeTransportSuite, type TestNode } from "./NodeTransportSuite.js"
import { knock, Lines, type NodeOptions, secret, socketNode, wireTo } from "./support/Nodes.js"
import { until } from "./support/until.js"

nodeTransportSuite("sockets", (nodeId) => socketNode(nodeId))

const channel = "test/1"
const nothing = { onFrame: () => {}, onClose: () => {} }

const hosting = (nodeId: number, options: NodeOptions = {}, lines = new Lines()) =>
  Effect.tap(socketNode(nodeId, options, lines), ({ transport }) => transport.accept(channel, () => nothing))

const call = (node: TestNode, target: NodeTarget) => node.transport.connect(target, channel, () => nothing)

/** Why it cannot be reached. */
const refusal = (node: TestNode, target: NodeTarget) =>
  Effect.map(Effect.either(call(node, target)), (made) => (Either.isLeft(made) ? made.left.message : "it was reached"))

const framed = (bytes: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const hello = (nodeId: number, toNodeId: number) =>
  framed(new CallerHandshake({ nodeId, toNodeId, channel, secret, nonce: Buffer.alloc(nonceBytes, 9) }).hello())

describe("sockets between nodes", () => {
  it.scopedLive("let in nobody with another secret, or none, and say so with the address", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting(1, {}, lines)
      const target = { nodeId: 1, address: host.address }
      for (const other of ["guess", ""]) {
        const stranger = yield* socketNode(2, { secret: other })
        expect(yield* refusal(stranger, target)).toBe("the other node refuses: cluster.secret is not the same on both nodes")
      }
      yield* until("it is in the log", () => lines.with("does not know cluster.secret").length === 2)
      expect(lines.all[0]).toMatch(/^a connection to the port of the cluster was refused.*address=127\.0\.0\.1:\d+/)
      expect(lines.all[0]).toContain("it says it is node 2")
      expect(lines.all.join()).not.toContain(secret)
      const friend = yield* socketNode(2)
      expect((yield* call(friend, target)).peerNodeId).toBe(1)
    })
  )

  it.scopedLive("without a secret let in whoever has none either", () =>
    Effect.gen(function* () {
      const host = yield* hosting(1, { secret: "" })
      const target = { nodeId: 1, address: host.address }
      expect((yield* call(yield* socketNode(2, { secret: "" }), target)).peerNodeId).toBe(1)
      expect(yield* refusal(yield* socketNode(3), target)).toContain("cluster.secret")
    })
  )

  it.scopedLive("say which node is at an address, and why there is none", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting(1, {}, lines)
      const node = yield* socketNode(2)
      expect(yield* refusal(node, { nodeId: 3, address: host.address })).toBe(
        "the other node refuses: it looks for node 3, this is node 1"
      )
      yield* until("it is in the log", () => lines.with("it looks for node 3").length === 1)
      expect(yield* refusal(node, { nodeId: 1, address: "127.0.0.1:1" })).toContain("ECONNREFUSED")
      expect(yield* refusal(node, { nodeId: 1, address: "localhost:1" })).toContain("ECONNREFUSED")
      expect(yield* refusal(node, { nodeId: 1, address: "nowhere" })).toBe("nowhere is no host:port")
      expect(yield* refusal(node, { nodeId: 1, address: "127.0.0.1:65536" })).toBe("127.0.0.1:65536 is no host:port")
      expect(yield* refusal(node, { nodeId: 2, address: host.address })).toContain("this is node 1")
    })
  )

  it.scopedLive("are ended at once when they say anything else, and nothing more is held of them", () =>
    Effect.gen(function* () {
      const host = yield* hosting(1)
      const { port } = host.transport
      const tooLarge = framed(Buffer.alloc(handshakeFrameBytesMax + 1))
      const openings = [
        Buffer.from("GET / HTTP/1.1\r\n\r\n"),
        Buffer.from([0xff, 0xff, 0xff, 0xff, 0]),
        tooLarge,
        Buffer.alloc(5_000_000, 1)
      ]
      for (const opening of openings) {
        const stranger = yield* knock(port, opening)
        yield* until("it is ended", stranger.closed)
        expect(stranger.received().length).toBe(0)
      }
      const older = yield* knock(port, framed(Buffer.concat([Buffer.from("EMQN"), Buffer.from([9])])))
      yield* until("it is ended", older.closed)
      expect(older.received().toString()).toContain("it speaks version 9, this node version 1")
      expect((yield* call(yield* socketNode(2), { nodeId: 1, address: host.address })).peerNodeId).toBe(1)
    })
  )

  it.scopedLive("are ended when they announce more than a frame of the handshake, before it comes", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting(1, { handshakeTimeoutMs: 60_000 }, lines)
      const announcing = (bytes: number) => knock(host.transport.port, framed(Buffer.alloc(bytes)).subarray(0, 4 + bytes - 1))
      const largest = yield* announcing(handshakeFrameBytesMax)
      const larger = yield* announcing(handshakeFrameBytesMax + 1)
      yield* until("it is ended", larger.closed)
      yield* until("it is in the log", () => lines.with("a frame of 257 bytes is larger than 256").length === 1)
      expect(largest.closed()).toBe(false)
    })
  )

  it.scopedLive("have a limited time for the handshake, however they use it", () =>
    Effect.gen(function* () {
      const host = yield* hosting(1, { handshakeTimeoutMs: 300 })
      const { port } = host.transport
      const signs = yield* knock(port)
      const timer = setInterval(() => signs.socket.write(Buffer.alloc(4)), 20)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
      const silent = yield* knock(port, Buffer.from([0, 0]))
      const half = yield* knock(port, hello(2, 1))
      yield* until("all are ended", () => signs.closed() && silent.closed() && half.closed())
    })
  )

  it.scopedLive("give way to the next while they only hold the door", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting(1, { handshakesMax: 4, handshakeTimeoutMs: 60_000 }, lines)
      const strangers = yield* Effect.forEach(Array.from({ length: 12 }), () => knock(host.transport.port, Buffer.from([0])))
      yield* until("the first are ended", () => strangers.slice(0, 8).every(({ closed }) => closed()))
      const target = { nodeId: 1, address: host.address }
      const links = yield* Effect.forEach([2, 3, 4, 5, 6, 7], (nodeId) =>
        Effect.flatMap(socketNode(nodeId), (node) => call(node, target))
      )
      expect(links).toHaveLength(6)
      expect(lines.with("others came before its handshake was done").length).toBeGreaterThan(0)
    })
  )

  it.scopedLive("are as many as are allowed, and one more when one has ended", () =>
    Effect.gen(function* () {
      const host = yield* hosting(1, { linksMax: 2 })
      const target = { nodeId: 1, address: host.address }
      const node = yield* socketNode(2)
      const [first] = [yield* call(node, target), yield* call(node, target)]
      expect(yield* refusal(node, target)).toBe("the other node refuses: it has 2 links of other nodes already")
      first.close("enough")
      const again: NodeLink = yield* Effect.retry(call(node, target), { times: 1_000 })
      expect(again.peerNodeId).toBe(1)
    })
  )

  it.scopedLive("are counted while they are there, on the side that made them and on the other", () =>
    Effect.gen(function* () {
      const counting = (options: Partial<SocketNodeTransport.SocketNodeTransportOptions> & { readonly nodeId: number }) =>
        Effect.gen(function* () {
          const layer = SocketNodeTransport.layer({ secret, ...options })
          const context = yield* Layer.build(Layer.provideMerge(layer, PrometheusMeters.layerMemory))
          const meters = Context.get(context, Meters)
          return {
            transport: Context.get(context, NodeTransport),
            count: (name: string) => meters.value(`effectmq_cluster_links${name}`)
          }
        })
      const host = yield* counting({ nodeId: 1, listen: { host: "127.0.0.1", port: 0 } })
      const accepted: Array<NodeLink> = []
      yield* host.transport.accept(channel, (link) => {
        accepted.push(link)
        return nothing
      })
      const node = yield* counting({ nodeId: 2 })
      const target = { nodeId: 1, address: `127.0.0.1:${host.transport.port}` }
      const connect = node.transport.connect(target, channel, () => nothing)
      const [first] = [yield* connect, yield* connect, yield* connect]
      yield* until("all are open on the other side", () => host.count("") === 3)
      expect(node.count("_made")).toBe(3)
      yield* Effect.either(node.transport.connect({ ...target, nodeId: 7 }, channel, () => nothing))
      first.close("enough")
      accepted[1]?.close("enough")
      yield* until("one is left", () => node.count("_made") === 1 && host.count("") === 1)
      expect([node.count(""), host.count("_made")]).toEqual([0, 0])
    })
  )

  it.scopedLive("do not flood the log when a flood of them is refused", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const host = yield* hosting(1, {}, lines)
      yield* Effect.forEach(
        Array.from({ length: 300 }),
        () =>
          Effect.scoped(
            Effect.flatMap(knock(host.transport.port, framed(Buffer.from("hello"))), ({ closed }) => until("ended", closed))
          ),
        { concurrency: 20 }
      )
      expect(lines.with("does not speak this protocol").length).toBeGreaterThanOrEqual(20)
      expect(lines.all.length).toBeLessThan(60)
    })
  )

  it.scopedLive("stay while signs of life come, and are ended when nothing does", () =>
    Effect.gen(function* () {
      const host = yield* socketNode(1, { idleTimeoutMs: 400 })
      const hostEnded = yield* Deferred.make<string>()
      yield* host.transport.accept(channel, () => ({
        onFrame: () => {},
        onClose: (reason) => Deferred.unsafeDone(hostEnded, Effect.succeed(reason))
      }))
      const wire = yield* wireTo(host.transport.port)
      const node = yield* socketNode(2, { idleTimeoutMs: 400 })
      const ended = yield* Deferred.make<string>()
      yield* node.transport.connect({ nodeId: 1, address: wire.address }, channel, () => ({
        onFrame: () => {},
        onClose: (reason) => Deferred.unsafeDone(ended, Effect.succeed(reason))
      }))
      const opened = wire.passed()
      // Each is four bytes, four of them in the time that a silent link has.
      yield* until("signs of life of several idle times", () => wire.passed() >= opened + 4 * 4 * 4)
      expect(yield* Deferred.isDone(ended)).toBe(false)
      expect(yield* Deferred.isDone(hostEnded)).toBe(false)
      wire.freeze()
      expect(yield* Deferred.await(ended)).toBe("nothing was heard of the other node")
      expect(yield* Deferred.await(hostEnded)).toBe("nothing was heard of the other node")
    })
  )

  it.scopedLive("are given up where the other side accepts and says nothing, or something else", () =>
    Effect.gen(function* () {
      const node = yield* socketNode(2, { handshakeTimeoutMs: 300 })
      const server = (answer: string) =>
        Effect.acquireRelease(
          Effect.async<{ readonly port: number; readonly close: () => void }>((resume) => {
            const made = createServer((socket) => {
              socket.on("error", () => {})
              if (answer !== "") socket.write(answer)
            })
            made.listen(0, "127.0.0.1", () => {
              const { port } = made.address() as { port: number }
              resume(Effect.succeed({ port, close: () => void made.close() }))
            })
          }),
          ({ close }) => Effect.sync(close)
        )
      const silent = yield* server("")
      expect(yield* refusal(node, { nodeId: 1, address: `127.0.0.1:${silent.port}` })).toBe("the handshake took too long")
      const other = yield* server("SSH-2.0-OpenSSH_9.2\r\n")
      expect(yield* refusal(node, { nodeId: 1, address: `127.0.0.1:${other.port}` })).toMatch(
        /a frame of \d+ bytes is larger than/
      )
    })
  )

  it.scopedLive("give no more frames to who has ended them, though more came with that one", () =>
    Effect.gen(function* () {
      const host = yield* socketNode(1)
      const heard: Array<number> = []
      const ended = yield* Deferred.make<string>()
      yield* host.transport.accept(channel, (link) => ({
        onFrame: (frame) => {
          heard.push(frame[0] as number)
          link.close("that was enough")
        },
        onClose: (reason) => Deferred.unsafeDone(ended, Effect.succeed(reason))
      }))
      const link = yield* call(yield* socketNode(2), { nodeId: 1, address: host.address })
      for (const frame of [1, 2, 3]) link.send(Buffer.from([frame]))
      expect(yield* Deferred.await(ended)).toBe("that was enough")
      expect(heard).toEqual([1])
    })
  )

  it.scopedLive("are ended when a frame is announced that is larger than the largest, before it comes", () =>
    Effect.gen(function* () {
      const host = yield* socketNode(1)
      const ends: Array<string> = []
      let open = 0
      yield* host.transport.accept(channel, () => {
        open++
        return { onFrame: () => {}, onClose: (reason) => void ends.push(reason) }
      })
      const announced = (bytes: number) =>
        Effect.gen(function* () {
          const before = open
          const nonce = Buffer.alloc(nonceBytes, bytes % 251)
          const handshake = new CallerHandshake({ nodeId: 2, toNodeId: 1, channel, secret, nonce })
          const caller = yield* knock(host.transport.port, framed(handshake.hello()))
          yield* until("the other answers", () => caller.received().length > 4)
          const step = handshake.step(caller.received().subarray(4))
          if (step._tag !== "send") return expect(step._tag).toBe("send")
          caller.socket.write(framed(step.frame))
          yield* until("the link is open", () => open === before + 1)
          const length = Buffer.alloc(4)
          length.writeUInt32BE(bytes)
          caller.socket.write(Buffer.concat([length, Buffer.from([1])]))
          return caller
        })
      const largest = yield* announced(nodeFrameBytesMax)
      const larger = yield* announced(nodeFrameBytesMax + 1)
      yield* until("it is ended", () => larger?.closed() === true && ends.length === 1)
      expect(ends).toEqual([`a frame of ${nodeFrameBytesMax + 1} bytes is larger than ${nodeFrameBytesMax}`])
      expect(largest?.closed()).toBe(false)
    })
  )

  it.scopedLive("are no longer under way when nobody waits for them", () =>
    Effect.gen(function* () {
      let ended = false
      const silent = yield* Effect.acquireRelease(
        Effect.async<Server>((resume) => {
          const made = createServer((socket) => {
            socket.on("error", () => {})
            socket.on("close", () => {
              ended = true
            })
            socket.resume()
          })
          made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.close())
      )
      const { port } = silent.address() as AddressInfo
      const node = yield* socketNode(2, { handshakeTimeoutMs: 60_000 })
      const waited = yield* Effect.either(Effect.timeout(call(node, { nodeId: 1, address: `127.0.0.1:${port}` }), 100))
      expect(Either.isLeft(waited) && waited.left._tag).toBe("TimeoutException")
      yield* until("the connection is ended", () => ended)
    })
  )
})

describe("links of others", () => {
  const link = () => {
    const made = { aborted: false, abort: () => void (made.aborted = true) }
    return made
  }
  const as = (made: ReturnType<typeof link>) => made as unknown as FramedLink

  it("in their handshake are as many as may be, those that are gone not counted, and the oldest gives way", () => {
    const admission = new LinkAdmission(3, 10)
    const slow = link()
    admission.arrived(as(slow))
    for (let at = 0; at < 10; at++) {
      const brief = link()
      admission.arrived(as(brief))
      admission.gone(as(brief))
    }
    const proven = link()
    admission.arrived(as(proven))
    admission.proven(as(proven))
    for (const one of [link(), link()]) admission.arrived(as(one))
    expect(slow.aborted).toBe(false)
    admission.arrived(as(link()))
    expect(slow.aborted).toBe(true)
    expect(admission.all()).toHaveLength(4)
  })
})
