/** RPC groups between nodes, over memory and over sockets: calls, streams, and everything that may go wrong between two nodes. */
import { describe, expect, it, vi } from "@effect/vitest"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Stream from "effect/Stream"
import { packFrame, unpackFrame } from "../src/core/RpcFrame.js"
import { MemoryNodes } from "../src/MemoryNodeTransport.js"
import type { NodeCallFailed } from "../src/NodeCallFailed.js"
import * as NodeRpc from "../src/NodeRpc.js"
import * as NodeRpcPeers from "../src/NodeRpcPeers.js"
import {
  type NodeLinkAcceptor,
  NodeTransport,
  type NodeTransportService,
  NodeUnreachable,
  nodeFrameBytesMax
} from "../src/NodeTransport.js"
import { nodeOf, type MakeNode, type TestNode } from "./NodeTransportSuite.js"
import { Lines, socketNode, wireTo } from "./support/Nodes.js"
import { until } from "./support/until.js"

class Sum extends RpcGroup.make(
  Rpc.make("Add", { payload: { bytes: Schema.Uint8ArrayFromSelf, more: Schema.Int }, success: Schema.Int, error: Schema.String }),
  Rpc.make("Who", { success: Schema.String }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true, error: Schema.String }),
  Rpc.make("Bytes", { payload: { size: Schema.Int }, success: Schema.Uint8ArrayFromSelf }),
  Rpc.make("ManyBytes", { payload: { sizes: Schema.Array(Schema.Int) }, success: Schema.Uint8ArrayFromSelf, stream: true }),
  Rpc.make("Wait", {}),
  Rpc.make("Throw", {}),
  Rpc.make("Interrupt", {})
) {}

/** One call more than `Sum`: of a later release. */
class LaterSum extends Sum.add(Rpc.make("Later", {})) {}

const channel = "sum/1"

interface Served {
  readonly node: TestNode
  /** Calls of `Wait` that run. */
  readonly waiting: () => number
}

const served = (node: TestNode, options: NodeRpc.NodeRpcServerOptions = {}): Effect.Effect<Served, never, Scope> => {
  let waiting = 0
  const handlers = Sum.toLayer({
    Add: ({ bytes, more }) => (more < 0 ? Effect.fail("negative") : Effect.succeed(bytes.length + more)),
    Who: (_, { headers }) => Effect.succeed(headers[NodeRpc.nodeHeader] ?? "nobody"),
    Count: ({ to }) => (to < 0 ? Stream.fail("negative") : Stream.rechunk(Stream.range(1, to), 100)),
    Bytes: ({ size }) => Effect.succeed(Buffer.alloc(size, 1)),
    ManyBytes: ({ sizes }) =>
      Stream.rechunk(
        Stream.map(Stream.fromIterable(sizes), (size) => Buffer.alloc(size, 2)),
        1
      ),
    Wait: () =>
      Effect.acquireUseRelease(
        Effect.sync(() => waiting++),
        () => Effect.never,
        () => Effect.sync(() => waiting--)
      ),
    Throw: () => Effect.die(new Error("a bug of the other")),
    Interrupt: () => Effect.interrupt
  })
  return Effect.as(
    Effect.provide(Effect.provideService(NodeRpc.serve(Sum, channel, options), NodeTransport, node.transport), handlers),
    { node, waiting: () => waiting }
  )
}

const quick = { backOffMs: 1, backOffMsMax: 5 }

const clientOf = (from: TestNode, nodeId: number, address: string, options: NodeRpc.NodeRpcClientOptions = {}) =>
  Effect.provideService(
    NodeRpc.client(Sum, channel, { nodeId, address }, { ...quick, ...options }),
    NodeTransport,
    from.transport
  )

/** How a call failed between the nodes. */
const failureOf = <A, E>(call: Effect.Effect<A, E | NodeCallFailed>): Effect.Effect<NodeCallFailed> =>
  Effect.map(Effect.flip(Effect.asVoid(call)), (error) => error as NodeCallFailed).pipe(
    Effect.orDieWith(() => new Error("it did not fail"))
  )

/** Of the call in a frame. */
const idIn = (frame: Uint8Array): string => String((unpackFrame(frame) as { readonly id?: unknown }).id)

const suite = (name: string, makeNode: MakeNode) =>
  describe(`${name}: RPC between nodes`, () => {
    /** Node 1 with a client of node 2. */
    const pair = (
      options: { readonly server?: NodeRpc.NodeRpcServerOptions; readonly client?: NodeRpc.NodeRpcClientOptions } = {}
    ) =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const host = yield* served(two, options.server)
        return { one, two, host, client: yield* clientOf(one, 2, two.address, options.client) }
      })

    it.scopedLive("calls, fails as declared, streams, and knows who calls", () =>
      Effect.gen(function* () {
        const { client } = yield* pair()
        expect(yield* client.Add({ bytes: Buffer.alloc(3_000_000), more: 4 })).toBe(3_000_004)
        expect(yield* Effect.flip(client.Add({ bytes: Buffer.alloc(1), more: -1 }))).toBe("negative")
        expect(yield* client.Who(undefined, { headers: { [NodeRpc.nodeHeader]: "7" } })).toBe("1")
        expect(Chunk.toReadonlyArray(yield* Stream.runCollect(client.Count({ to: 3000 })))).toHaveLength(3000)
        expect(yield* Effect.flip(Stream.runDrain(client.Count({ to: -1 })))).toBe("negative")
        const mailbox = yield* client.Count({ to: 10 }, { asMailbox: true })
        expect(yield* mailbox.take).toBe(1)
        const numbers = Array.from({ length: 200 }, (_, index) => index)
        const many = yield* Effect.forEach(numbers, (index) => client.Add({ bytes: Buffer.alloc(index), more: 0 }), {
          concurrency: "unbounded"
        })
        expect(many).toEqual(numbers)
      })
    )

    it.scopedLive("fails what the other cannot answer, says why, and goes on", () =>
      Effect.gen(function* () {
        const { client, one, two } = yield* pair()
        expect(yield* failureOf(client.Throw())).toMatchObject({
          _tag: "NodeCallFailed",
          nodeId: 2,
          reason: "refused",
          message: expect.stringContaining("a bug of the other")
        })
        expect(yield* failureOf(client.Interrupt())).toMatchObject({
          reason: "refused",
          message: expect.stringContaining("interrupted")
        })
        const later = yield* Effect.provideService(
          NodeRpc.client(LaterSum, channel, { nodeId: 2, address: two.address }),
          NodeTransport,
          one.transport
        )
        expect((yield* failureOf(later.Later())).message).toContain("Later is not known to this node")
        expect(yield* later.Who()).toBe("1")
        expect(yield* client.Who()).toBe("1")
      })
    )

    it.scopedLive("fails calls and answers that are too large, and goes on", () =>
      Effect.gen(function* () {
        const { client } = yield* pair()
        const nearly = nodeFrameBytesMax - 1000
        expect(yield* client.Add({ bytes: Buffer.alloc(nearly), more: 0 })).toBe(nearly)
        const large = Buffer.alloc(nodeFrameBytesMax)
        expect(yield* failureOf(client.Add({ bytes: large, more: 0 }))).toMatchObject({
          reason: "refused",
          message: expect.stringMatching(new RegExp(`a call of Add with \\d+ bytes is larger than ${nodeFrameBytesMax}`))
        })
        const around = packFrame({ _tag: "Request", id: "2", tag: "Add", payload: { bytes: large, more: 0 }, headers: [] })
        const most = 2 * nodeFrameBytesMax - around.length
        expect(yield* client.Add({ bytes: Buffer.alloc(most), more: 0 })).toBe(most)
        const over = yield* failureOf(client.Add({ bytes: Buffer.alloc(most + 1), more: 0 }))
        expect(over.message).toContain(`with ${nodeFrameBytesMax + 1} bytes`)
        expect((yield* client.Bytes({ size: nearly })).length).toBe(nearly)
        const tooLarge = new RegExp(`an answer of \\d+ bytes is larger than ${nodeFrameBytesMax}`)
        expect((yield* failureOf(client.Bytes({ size: nodeFrameBytesMax }))).message).toMatch(tooLarge)
        const some = client.ManyBytes({ sizes: [10, nodeFrameBytesMax, 10] })
        expect((yield* failureOf(Stream.runDrain(some))).message).toMatch(tooLarge)
        expect(yield* client.Who()).toBe("1")
      })
    )

    it.scopedLive("ends calls that take too long, here and there", () =>
      Effect.gen(function* () {
        const { client, host } = yield* pair({ client: { callTimeoutMs: 100 } })
        expect(yield* failureOf(client.Wait())).toMatchObject({ reason: "timeout", message: expect.stringContaining("100 ms") })
        yield* until("it is interrupted there", () => host.waiting() === 0)
        const given = yield* Effect.fork(client.Wait())
        yield* until("it runs there", () => host.waiting() === 1)
        yield* Fiber.interrupt(given)
        yield* until("it is interrupted there", () => host.waiting() === 0)
        expect(yield* client.Who()).toBe("1")
      })
    )

    it.scopedLive("makes no more calls at once than are allowed", () =>
      Effect.gen(function* () {
        const { client, host } = yield* pair({ client: { callsMax: 3 } })
        const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.fork(client.Wait()))
        yield* until("they run", () => host.waiting() === 3)
        expect(yield* failureOf(client.Who())).toMatchObject({ reason: "overloaded" })
        expect(yield* failureOf(Stream.runDrain(client.Count({ to: 1 })))).toMatchObject({ reason: "overloaded" })
        yield* Fiber.interrupt(waiting[0] as Fiber.RuntimeFiber<void, unknown>)
        expect(yield* client.Who()).toBe("1")
      })
    )

    it.scopedLive("ends a link with more calls than the server allows", () =>
      Effect.gen(function* () {
        const { client } = yield* pair({ server: { callsMax: 50 } })
        const failures = yield* Effect.forEach(Array.from({ length: 51 }), () => failureOf(client.Wait()), {
          concurrency: "unbounded"
        })
        expect(failures.map(({ reason }) => reason)).toEqual(failures.map(() => "broken"))
        expect(yield* Effect.retry(client.Who(), Schedule.spaced(2))).toBe("1")
      })
    )

    it.scopedLive("does not let a slow reader of a stream hold up other calls, nor its own memory grow", () =>
      Effect.gen(function* () {
        const { client } = yield* pair()
        const go = yield* Deferred.make<void>()
        let seen = 0
        const reading = yield* Effect.fork(
          Stream.runForEach(client.Count({ to: 2000 }), () =>
            Effect.zipRight(
              Effect.sync(() => seen++),
              Deferred.await(go)
            )
          )
        )
        yield* until("it reads", () => seen === 1)
        for (let at = 0; at < 20; at++) expect(yield* client.Who()).toBe("1")
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(reading)
        expect(seen).toBe(2000)
      })
    )

    it.scopedLive("answers far more than a link holds, as fast as the other takes it", () =>
      Effect.gen(function* () {
        const { client } = yield* pair()
        const size = 3 * 1024 * 1024
        const sizes = yield* Effect.forEach(
          Array.from({ length: 12 }),
          () => Effect.map(client.Bytes({ size }), (bytes) => bytes.length),
          { concurrency: "unbounded" }
        )
        expect(sizes).toEqual(sizes.map(() => size))
        const sums = yield* Effect.forEach(Array.from({ length: 12 }), () => client.Add({ bytes: Buffer.alloc(size), more: 1 }), {
          concurrency: "unbounded"
        })
        expect(sums).toEqual(sums.map(() => size + 1))
      })
    )

    it.scopedLive("fails calls under way when the other stops, at once while it is away, and works when it is back", () =>
      Effect.gen(function* () {
        const one = yield* makeNode(1)
        const client = yield* Effect.scoped(
          Effect.gen(function* () {
            const two = yield* makeNode(2)
            const host = yield* served(two)
            const made = yield* clientOf(one, 2, two.address)
            const waiting = yield* Effect.fork(failureOf(made.Wait()))
            const streaming = yield* Effect.fork(failureOf(Stream.runForEach(made.Count({ to: 1e9 }), () => Effect.void)))
            yield* until("they run", () => host.waiting() === 1)
            return { waiting, streaming, address: two.address }
          })
        )
        const [waited, streamed] = [yield* Fiber.join(client.waiting), yield* Fiber.join(client.streaming)]
        expect(["broken", "refused"]).toContain(waited.reason)
        expect(["broken", "refused"]).toContain(streamed.reason)
        const away = yield* clientOf(one, 2, client.address, { backOffMs: 60_000, backOffMsMax: 60_000 })
        for (let at = 0; at < 100; at++) expect((yield* failureOf(away.Who())).reason).toBe("unreachable")
        expect((yield* failureOf(Stream.runDrain(away.Count({ to: 1 })))).reason).toBe("unreachable")
      })
    )

    it.scopedLive("has a client for each node, anew where it moves", () =>
      Effect.gen(function* () {
        const [one, two, three] = [yield* makeNode(1), yield* makeNode(2), yield* makeNode(3)]
        const hosts = [yield* served(two), yield* served(three)]
        const peers = yield* Effect.provideService(NodeRpcPeers.peers(Sum, channel, quick), NodeTransport, one.transport)
        const second = peers.at({ nodeId: 2, address: two.address })
        expect(peers.at({ nodeId: 2, address: two.address })).toBe(second)
        expect(yield* peers.at({ nodeId: 3, address: three.address }).Who()).toBe("1")
        const waiting = yield* Effect.fork(failureOf(second.Wait()))
        yield* until("it runs", () => hosts[0]?.waiting() === 1)
        const moved = peers.at({ nodeId: 2, address: "127.0.0.1:1" })
        expect(moved).not.toBe(second)
        expect((yield* failureOf(moved.Who())).reason).toBe("unreachable")
        expect((yield* Fiber.join(waiting)).nodeId).toBe(2)
        yield* until("it is interrupted there", () => hosts[0]?.waiting() === 0)
        const third = peers.at({ nodeId: 3, address: three.address })
        peers.retain([2])
        expect(peers.at({ nodeId: 3, address: three.address })).not.toBe(third)
        expect(yield* peers.at({ nodeId: 3, address: three.address }).Who()).toBe("1")
      })
    )

    it.scopedLive("ends links that send what is no call, and answers the others", () =>
      Effect.gen(function* () {
        const { client, one, two } = yield* pair()
        const request = { _tag: "Request", id: "1", tag: "Wait", payload: undefined, headers: [] }
        const wrong: ReadonlyArray<ReadonlyArray<Uint8Array>> = [
          [Buffer.from([0xc1])],
          [Buffer.from([0x07])],
          [Buffer.from("7b7d", "hex")],
          [packFrame([1, 2])],
          [packFrame({ _tag: "Eof" })],
          [packFrame({ _tag: "Request" })],
          [packFrame({ ...request, id: "x" })],
          [packFrame({ ...request, id: 1 })],
          [packFrame({ ...request, tag: 7 })],
          [packFrame(request), packFrame(request)],
          [packFrame({ _tag: "Ack", requestId: "one" })],
          [Buffer.concat([packFrame(request), Buffer.from([0])])]
        ]
        for (const frames of wrong) {
          const closed = yield* Deferred.make<string>()
          const link = yield* one.transport.connect({ nodeId: 2, address: two.address }, channel, () => ({
            onFrame: () => {},
            onClose: (reason) => Deferred.unsafeDone(closed, Effect.succeed(reason))
          }))
          for (const frame of frames) link.send(frame)
          expect(yield* Deferred.await(closed)).toBe("the other node closed it")
        }
        expect(yield* client.Who()).toBe("1")
      })
    )

    it.scopedLive("ends a link whose server sends what is no answer", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const answers: ReadonlyArray<(id: string) => ReadonlyArray<Uint8Array>> = [
          () => [Buffer.from([0xc1])],
          () => [packFrame({ _tag: "Exit" })],
          () => [packFrame({ _tag: "Exit", requestId: "x" })],
          () => [packFrame({ _tag: "ClientProtocolError" })],
          () => [packFrame({ _tag: "Defect", defect: "all is lost" })],
          (id) => [packFrame({ _tag: "Exit", requestId: id, exit: { _tag: "Neither" } })],
          (id) => [packFrame({ _tag: "Chunk", requestId: id, values: "no list" })]
        ]
        let answer = answers[0] as (id: string) => ReadonlyArray<Uint8Array>
        yield* two.transport.accept(channel, (link) => ({
          onFrame: (frame) => {
            for (const one of answer(idIn(frame))) link.send(one)
          },
          onClose: () => {}
        }))
        const client = yield* clientOf(one, 2, two.address)
        for (const next of answers) {
          answer = next
          const { reason } = yield* failureOf(Stream.runDrain(client.Count({ to: 5 })))
          expect(["broken", "refused"]).toContain(reason)
        }
      })
    )

    it.scopedLive("ends a link whose server does not wait until a chunk was taken", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const closed = yield* Deferred.make<string>()
        yield* two.transport.accept(channel, (link) => ({
          onFrame: (frame) => {
            const chunk = packFrame({ _tag: "Chunk", requestId: idIn(frame), values: Array.from({ length: 100 }, () => 1) })
            for (let at = 0; at < 3; at++) link.send(chunk)
          },
          onClose: (reason) => Deferred.unsafeDone(closed, Effect.succeed(reason))
        }))
        const client = yield* clientOf(one, 2, two.address)
        yield* Effect.forkScoped(Stream.runForEach(client.Count({ to: 5 }), () => Effect.never))
        expect(yield* Deferred.await(closed)).toBe("the other node closed it")
      })
    )
  })

const hub = new MemoryNodes()
suite("memory", (nodeId) => nodeOf(hub.layer(nodeId), ({ host, port }) => `${host}:${port}`))
suite("sockets", (nodeId) => socketNode(nodeId))

describe("RPC over a wire that fails", () => {
  it.scopedLive("goes on by itself after the wire carried nothing for a while", () =>
    Effect.gen(function* () {
      const lines = new Lines()
      const options = { idleTimeoutMs: 400, handshakeTimeoutMs: 300 }
      const [one, two] = [yield* socketNode(1, options, lines), yield* socketNode(2, options)]
      yield* served(two)
      const wire = yield* wireTo(two.transport.port)
      const client = yield* Effect.provide(clientOf(one, 2, wire.address, { callTimeoutMs: 200 }), lines.layer)
      for (let turn = 0; turn < 2; turn++) {
        expect(yield* Effect.retry(client.Who(), Schedule.spaced(5))).toBe("1")
        wire.freeze()
        const reasons = new Set<string>()
        yield* Effect.repeat(
          Effect.map(failureOf(client.Who()), ({ reason }) => reasons.add(reason)),
          { until: () => reasons.has("unreachable") }
        )
        expect([...reasons].every((reason) => ["timeout", "broken", "unreachable"].includes(reason))).toBe(true)
        wire.thaw()
      }
      expect(yield* Effect.retry(client.Who(), Schedule.spaced(5))).toBe("1")
      expect(lines.with("a node can be reached again").length).toBeGreaterThanOrEqual(2)
      expect(lines.with("a node cannot be reached").length).toBeLessThan(20)
    })
  )

  it.scopedLive("waits longer and longer between attempts, and fails every call meanwhile", () =>
    Effect.gen(function* () {
      let nowMs = 0
      const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs)
      yield* Effect.addFinalizer(() => Effect.sync(() => clock.mockRestore()))
      const attemptsMs: Array<number> = []
      const transport: NodeTransportService = {
        nodeId: 1,
        host: "",
        port: 0,
        accept: () => Effect.void,
        connect: (target) =>
          Effect.suspend(() => {
            attemptsMs.push(nowMs)
            return Effect.fail(new NodeUnreachable({ target, message: "nobody" }))
          })
      }
      const client = yield* Effect.provideService(
        NodeRpc.client(Sum, channel, { nodeId: 2, address: "a:1" }, { backOffMs: 10, backOffMsMax: 80 }),
        NodeTransport,
        transport
      )
      for (; nowMs < 1_000; nowMs++) expect((yield* failureOf(client.Who())).reason).toBe("unreachable")
      const pausesMs = attemptsMs.slice(1).map((ms, at) => ms - (attemptsMs[at] as number))
      for (const [at, pauseMs] of pausesMs.entries()) {
        const middleMs = Math.min(80, 10 * 2 ** at)
        expect(pauseMs).toBeGreaterThanOrEqual(middleMs / 2)
        expect(pauseMs).toBeLessThanOrEqual(middleMs * 1.5 + 1)
      }
      expect(pausesMs.length).toBeGreaterThan(8)
      expect(new Set(pausesMs.slice(3)).size).toBeGreaterThan(1)
    })
  )

  it.scopedLive("says to who waits for the link that no more calls are made, when the client ends", () =>
    Effect.gen(function* () {
      let isConnecting = false
      const transport: NodeTransportService = {
        nodeId: 1,
        host: "",
        port: 0,
        accept: () => Effect.void,
        connect: () =>
          Effect.suspend(() => {
            isConnecting = true
            return Effect.never
          })
      }
      const peers = yield* Effect.provideService(NodeRpcPeers.peers(Sum, channel, quick), NodeTransport, transport)
      const client = peers.at({ nodeId: 2, address: "a:1" })
      const waiting = yield* Effect.fork(failureOf(client.Who()))
      const streaming = yield* Effect.fork(failureOf(Stream.runDrain(client.Count({ to: 1 }))))
      yield* until("it connects", () => isConnecting)
      peers.retain([])
      for (const fiber of [waiting, streaming]) {
        expect(yield* Fiber.join(fiber)).toMatchObject({
          reason: "unreachable",
          message: expect.stringContaining("no more calls")
        })
      }
    })
  )

  it.scopedLive("answers the calls of others while one link takes no answers", () =>
    Effect.gen(function* () {
      const acceptors: Array<NodeLinkAcceptor> = []
      const transport: NodeTransportService = {
        nodeId: 1,
        host: "",
        port: 0,
        accept: (_, acceptor) => Effect.sync(() => void acceptors.push(acceptor)),
        connect: () => Effect.never
      }
      yield* served({ transport, address: "a:1" })
      const linkOf = (saturated: boolean) => {
        const sent: Array<string> = []
        const send = (frame: Uint8Array) => void sent.push(JSON.stringify(unpackFrame(frame)))
        const link = { peerNodeId: 2, peerAddress: "b:1", saturated, send, close: () => {} }
        return { link, sent, handler: (acceptors[0] as NodeLinkAcceptor)(link) }
      }
      const request = (id: string, tag: string) => packFrame({ _tag: "Request", id, tag, payload: undefined, headers: [] })
      const [full, other] = [linkOf(true), linkOf(false)]
      other.handler.onFrame(request("0", "Who"))
      yield* until("the host is at work", () => other.sent.length === 1)
      // One that is not known here, and one that cannot be read.
      full.handler.onFrame(request("1", "Later"))
      full.handler.onFrame(request("2", "Add"))
      other.handler.onFrame(request("1", "Who"))
      yield* until("the other is answered", () => other.sent.length === 2)
      expect(full.sent).toEqual([])
      full.link.saturated = false
      full.handler.onDrain?.()
      yield* until("both are answered", () => full.sent.length === 2)
    })
  )
})
