/** Brief calls between nodes, over memory and over sockets: as calls of RPC on the wire, in order, and failed as calls of RPC are. */
import { describe, expect, it } from "@effect/vitest"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { packFrame, unpackFrame } from "../src/core/RpcFrame.js"
import { MemoryNodes } from "../src/MemoryNodeTransport.js"
import type { NodeCallFailed } from "../src/NodeCallFailed.js"
import * as NodeRpc from "../src/NodeRpc.js"
import * as NodeRpcBrief from "../src/NodeRpcBrief.js"
import {
  type NodeLink,
  type NodeLinkAcceptor,
  type NodeLinkHandler,
  nodeFrameBytesMax,
  NodeTransport,
  type NodeTransportService
} from "../src/NodeTransport.js"
import { type MakeNode, nodeOf, type TestNode } from "./NodeTransportSuite.js"
import { socketNode } from "./support/Nodes.js"

class Notes extends RpcGroup.make(
  Rpc.make("Note", { payload: { text: Schema.String, number: Schema.Int } }),
  Rpc.make("Throw", {})
) {}

class LaterNotes extends Notes.add(Rpc.make("Later", {})) {}

const channel = "notes/1"
const quick = { backOffMs: 1, backOffMsMax: 5 }

const at =
  (node: TestNode) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, NodeTransport, node.transport)

const serve = (node: TestNode) => {
  const noted: Array<string> = []
  const handlers = {
    Note: (
      { number, text }: { readonly number: number; readonly text: string },
      { nodeId, address }: NodeRpcBrief.BriefCallerNode
    ) => {
      noted.push(`${nodeId}${address === undefined ? "" : ` at ${address}`}: ${text} ${number}`)
    },
    Throw: () => {
      throw new Error("a bug of the other")
    }
  }
  return Effect.as(at(node)(NodeRpcBrief.serve(Notes, channel, handlers)), noted)
}

const call = <Tag extends "Note" | "Throw" | "Later">(
  client: NodeRpcBrief.BriefClient<RpcGroup.Rpcs<typeof LaterNotes>>,
  tag: Tag,
  payload: Parameters<typeof client<Tag>>[1]
): Effect.Effect<void, NodeCallFailed> =>
  Effect.async((resume) => client(tag, payload, (failure) => resume(failure === undefined ? Effect.void : Effect.fail(failure))))

const note = (text: string, number = 1) => ({ text, number })

const until = (done: () => boolean) =>
  Effect.retry(
    Effect.suspend(() => (done() ? Effect.void : Effect.fail("not yet"))),
    Schedule.spaced(5)
  )

const suite = (name: string, makeNode: MakeNode) =>
  describe(`${name}: brief calls between nodes`, () => {
    const pair = (options: NodeRpcBrief.BriefClientOptions = {}) =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const noted = yield* serve(two)
        const target = { nodeId: 2, address: two.address }
        const client = yield* at(one)(NodeRpcBrief.client(LaterNotes, channel, target, { ...quick, ...options }))
        return { one, two, target, noted, client }
      })

    it.scopedLive("are carried out in their order, as from whom the link proved", () =>
      Effect.gen(function* () {
        const { client, noted } = yield* pair()
        yield* call(client, "Note", note("first", 0))
        const numbers = Array.from({ length: 500 }, (_, number) => number + 1)
        yield* Effect.forEach(numbers, (number) => call(client, "Note", note("then", number)), { concurrency: "unbounded" })
        expect(noted).toEqual(["1: first 0", ...numbers.map((number) => `1: then ${number}`)])
      })
    )

    it.scopedLive("say where the caller is, on each link once", () =>
      Effect.gen(function* () {
        const { client, noted, one, target, two } = yield* pair({ address: "me:1" })
        const frames: Array<unknown> = []
        for (const number of [1, 2]) yield* call(client, "Note", note("mine", number))
        expect(noted).toEqual(["1 at me:1: mine 1", "1 at me:1: mine 2"])

        const heard = yield* one.transport.accept("heard/1", (link) => ({
          onFrame: (frame) => {
            const { id, headers } = unpackFrame(frame) as { readonly id: string; readonly headers: unknown }
            frames.push(headers)
            if (id === "2") link.close("and again")
            else link.send(packFrame({ _tag: "Exit", requestId: id, exit: { _tag: "Success" } }))
          },
          onClose: () => {}
        }))
        expect(heard).toBeUndefined()
        const options = { ...quick, address: "me:2" }
        const back = yield* at(two)(NodeRpcBrief.client(LaterNotes, "heard/1", { nodeId: 1, address: one.address }, options))
        for (const number of [1, 2, 3]) yield* Effect.ignore(call(back, "Note", note("x", number)))
        yield* Effect.retry(call(back, "Note", note("x", 4)), Schedule.spaced(5))
        const said = [["effectmq-address", "me:2"]]
        expect(frames).toEqual([said, said, [], said])

        const link = yield* one.transport.connect(target, channel, () => ({ onFrame: () => {}, onClose: () => {} }))
        const strange = ["x", [["effectmq-address"]], [["effectmq-address", 5]], [["effectmq-address", "a".repeat(301)]], [5]]
        for (const [at, headers] of strange.entries()) {
          link.send(packFrame({ _tag: "Request", id: String(at), tag: "Note", payload: note("strange", at), headers }))
        }
        yield* until(() => noted.length === 2 + strange.length)
        expect(noted.slice(2)).toEqual(strange.map((_, at) => `1: strange ${at}`))
      })
    )

    it.scopedLive("are those of RPC on the wire, whichever side is brief", () =>
      Effect.gen(function* () {
        const { noted, one, target, two } = yield* pair()
        const usual = yield* at(one)(NodeRpc.client(LaterNotes, channel, target, quick))
        yield* usual.Note(note("of a usual client"))
        expect(noted).toEqual(["1: of a usual client 1"])
        const thrown = yield* Effect.flip(usual.Throw())
        expect(thrown).toMatchObject({ reason: "refused", message: expect.stringContaining("a bug of the other") })
        expect((yield* Effect.flip(usual.Later())).message).toContain("Later is not known to this node")

        const taken: Array<string> = []
        const handlers = Notes.toLayer({
          Note: ({ text }, { headers }) => Effect.sync(() => taken.push(`${headers[NodeRpc.nodeHeader]}: ${text}`)),
          Throw: () => Effect.die(new Error("a bug of the other"))
        })
        yield* at(one)(Effect.provide(NodeRpc.serve(Notes, channel), handlers))
        const back = yield* at(two)(NodeRpcBrief.client(LaterNotes, channel, { nodeId: 1, address: one.address }, quick))
        yield* call(back, "Note", note("to a usual host"))
        expect(taken).toEqual(["2: to a usual host"])
        expect(yield* Effect.flip(call(back, "Throw", undefined))).toMatchObject({ reason: "refused" })
        expect((yield* Effect.flip(call(back, "Later", undefined))).message).toContain("Later is not known to this node")
      })
    )

    it.scopedLive("that cannot be carried out fail alone", () =>
      Effect.gen(function* () {
        const { client, noted, one, two } = yield* pair()
        expect(yield* Effect.flip(call(client, "Throw", undefined))).toMatchObject({
          _tag: "NodeCallFailed",
          nodeId: 2,
          reason: "refused",
          message: expect.stringContaining("a bug of the other")
        })
        expect((yield* Effect.flip(call(client, "Later", undefined))).message).toContain("Later is not known to this node")
        const answers: Array<string> = []
        const link = yield* one.transport.connect({ nodeId: 2, address: two.address }, channel, () => ({
          onFrame: (frame) => void answers.push(JSON.stringify(unpackFrame(frame))),
          onClose: () => {}
        }))
        link.send(packFrame({ _tag: "Request", id: "1", tag: "Note", payload: { text: 5, number: 1 }, headers: [] }))
        link.send(packFrame({ _tag: "Request", id: "2", tag: "Note", payload: note("a whole one"), headers: [] }))
        yield* until(() => answers.length === 2)
        expect(answers[0]).toContain("Failure")
        expect(answers[1]).toContain("Success")
        expect(noted).toEqual(["1: a whole one 1"])
        yield* call(client, "Note", note("goes on"))
      })
    )

    it.scopedLive("end the link where what comes is no call", () =>
      Effect.gen(function* () {
        const { one, two, noted } = yield* pair()
        const bad = [
          Buffer.from([0xc1]),
          packFrame({ _tag: "Eof" }),
          packFrame({ _tag: "Request", id: 5, tag: "Note", payload: note("x"), headers: [] }),
          packFrame({ _tag: "Ack", requestId: "no number" })
        ]
        for (const frame of bad) {
          let closed = false
          const link = yield* one.transport.connect({ nodeId: 2, address: two.address }, channel, () => ({
            onFrame: () => {},
            onClose: () => {
              closed = true
            }
          }))
          link.send(frame)
          link.send(packFrame({ _tag: "Request", id: "9", tag: "Note", payload: note("behind it"), headers: [] }))
          yield* until(() => closed)
        }
        expect(noted).toEqual([])
      })
    )

    it.scopedLive("are bounded in number, fail when nobody is there, and go on when somebody is again", () =>
      Effect.gen(function* () {
        const { client, one } = yield* pair({ callsMax: 2 })
        const answers = yield* Effect.all(
          [1, 2, 3].map((number) => Effect.either(call(client, "Note", note("at once", number)))),
          { concurrency: "unbounded" }
        )
        expect(answers.map((answer) => (answer._tag === "Left" ? answer.left.reason : "done"))).toEqual([
          "done",
          "done",
          "overloaded"
        ])
        const nowhere = yield* at(one)(NodeRpcBrief.client(Notes, "other/1", { nodeId: 9, address: "127.0.0.1:1" }, quick))
        expect(yield* Effect.flip(call(nowhere as typeof client, "Note", note("x")))).toMatchObject({
          reason: "unreachable",
          nodeId: 9
        })
        yield* call(client, "Note", note("still there"))
      })
    )
  })

const memory = new MemoryNodes()
suite("MemoryNodeTransport", (nodeId) => nodeOf(memory.layer(nodeId), ({ host, port }) => `${host}:${port}`))
suite("SocketNodeTransport", (nodeId) => socketNode(nodeId))

describe("brief calls over a link that is told what to do", () => {
  const linkOf = () => {
    const sent: Array<Uint8Array> = []
    const link = {
      peerNodeId: 7,
      peerAddress: "there:1",
      saturated: false,
      closedBecause: "",
      send: (frame: Uint8Array) => void sent.push(frame),
      close(reason: string) {
        link.closedBecause = reason
      }
    }
    return { link, sent }
  }
  const transportOf = (parts: Partial<NodeTransportService>): TestNode => ({
    address: "here:1",
    transport: {
      nodeId: 1,
      host: "",
      port: 0,
      accept: () => Effect.void,
      connect: () => Effect.never,
      ...parts
    }
  })
  const request = (id: number) => packFrame({ _tag: "Request", id: String(id), tag: "Note", payload: note("x", id), headers: [] })

  it.scopedLive("keep so many answers for one that takes none, and end the link with one more", () =>
    Effect.gen(function* () {
      let acceptor: NodeLinkAcceptor | undefined
      const node = transportOf({ accept: (_, accept) => Effect.sync(() => void (acceptor = accept)) })
      const handlers = { Note: () => {}, Throw: () => {} }
      yield* at(node)(NodeRpcBrief.serve(Notes, channel, handlers, { callsMax: 3 }))
      const { link, sent } = linkOf()
      const handler = (acceptor as NodeLinkAcceptor)(link)
      handler.onFrame(request(1))
      link.saturated = true
      for (const id of [2, 3, 4]) handler.onFrame(request(id))
      expect(sent).toHaveLength(1)
      link.saturated = false
      handler.onDrain?.()
      expect(sent.map((frame) => (unpackFrame(frame) as { readonly requestId: string }).requestId)).toEqual(["1", "2", "3", "4"])
      link.saturated = true
      for (const id of [5, 6, 7]) handler.onFrame(request(id))
      expect(link.closedBecause).toBe("")
      handler.onFrame(request(8))
      expect(link.closedBecause).toContain("more than 3 calls at once")
    })
  )

  it.scopedLive("are given up when no answer comes, and when the link ends", () =>
    Effect.gen(function* () {
      const { link, sent } = linkOf()
      let close = (_: string) => {}
      const node = transportOf({
        connect: (_, __, acceptor) =>
          Effect.sync((): NodeLink => {
            const handler = acceptor(link)
            close = (reason) => handler.onClose(reason)
            return link
          })
      })
      const target = { nodeId: 7, address: "there:1" }
      const hasty = yield* at(node)(NodeRpcBrief.client(Notes, channel, target, { callTimeoutMs: 20 }))
      expect(yield* Effect.flip(call(hasty as never, "Note", note("x")))).toMatchObject({ reason: "timeout" })
      const patient = yield* at(node)(NodeRpcBrief.client(Notes, channel, target))
      const ended = yield* Effect.fork(Effect.flip(call(patient as never, "Note", note("y"))))
      yield* until(() => sent.length === 2)
      close("it broke")
      expect(yield* ended).toMatchObject({ reason: "broken", message: expect.stringContaining("it broke") })
    })
  )

  /** A client whose link opens as told. */
  const toldClient = (options: NodeRpc.NodeRpcClientOptions = {}) =>
    Effect.gen(function* () {
      const { link, sent } = linkOf()
      const connected = yield* Deferred.make<void>()
      let handler: NodeLinkHandler | undefined
      let acceptor: NodeLinkAcceptor | undefined
      const node = transportOf({
        connect: (_, __, given) =>
          Effect.suspend(() => {
            acceptor = given
            return Effect.as(Deferred.await(connected), link as NodeLink)
          })
      })
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const made = at(node)(NodeRpcBrief.client(Notes, channel, { nodeId: 7, address: "there:1" }, options))
      const client = yield* Scope.extend(made, scope)
      const failures: Array<string> = []
      const send = (text: string, number = 1) =>
        client("Note", note(text, number), (failure) => void failures.push(failure?.reason ?? "done"))
      const numbers = () =>
        sent.map((frame) => (unpackFrame(frame) as { readonly payload: { readonly number: number } }).payload.number)
      return {
        client,
        link,
        send,
        numbers,
        failures,
        sent,
        scope,
        isConnecting: () => acceptor !== undefined,
        open: () => {
          handler = (acceptor as NodeLinkAcceptor)(link)
        },
        connected: Deferred.succeed(connected, undefined),
        drain: () => handler?.onDrain?.()
      }
    })

  it.scopedLive("do not go past those that wait for the link, nor past those that wait until it takes more", () =>
    Effect.gen(function* () {
      const told = yield* toldClient()
      told.send("waits for the link", 0)
      yield* until(told.isConnecting)
      told.open()
      told.send("the link is there", 1)
      expect(told.numbers()).toEqual([])
      yield* told.connected
      yield* until(() => told.numbers().length === 2)
      told.link.saturated = true
      told.send("waits until it takes more", 2)
      yield* Effect.yieldNow()
      told.link.saturated = false
      told.send("comes when it takes more", 3)
      told.drain()
      yield* until(() => told.numbers().length === 4)
      told.send("has nobody before it", 4)
      expect(told.numbers()).toEqual([0, 1, 2, 3, 4])
    })
  )

  it.scopedLive("that were given up while they waited are not sent", () =>
    Effect.gen(function* () {
      const told = yield* toldClient({ callTimeoutMs: 10 })
      told.send("first", 0)
      yield* until(told.isConnecting)
      told.open()
      yield* told.connected
      yield* until(() => told.numbers().length === 1)
      told.link.saturated = true
      told.send("late", 1)
      yield* until(() => told.failures.length === 2)
      told.link.saturated = false
      told.drain()
      told.send("next", 2)
      yield* until(() => told.numbers().length === 2)
      expect(told.numbers()).toEqual([0, 2])
      expect(told.failures.slice(0, 2)).toEqual(["timeout", "timeout"])
    })
  )

  it.scopedLive("are failed when the client ends while it connects", () =>
    Effect.gen(function* () {
      const told = yield* toldClient()
      told.send("waits for the link")
      yield* until(told.isConnecting)
      yield* Scope.close(told.scope, Exit.void)
      expect(told.failures).toHaveLength(1)
      told.send("too late")
      expect(told.failures[1]).toBe("broken")
    })
  )

  it.scopedLive("may fill a frame, and with one byte more are refused with their size and the limit", () =>
    Effect.gen(function* () {
      const told = yield* toldClient()
      const large = (size: number) => note("x".repeat(size))
      const around = packFrame({ _tag: "Request", id: "0", tag: "Note", payload: large(100_000), headers: [] }).length - 100_000
      told.send("x".repeat(nodeFrameBytesMax - around))
      yield* until(told.isConnecting)
      told.open()
      yield* told.connected
      yield* until(() => told.sent.length === 1)
      expect(told.sent[0]?.length).toBe(nodeFrameBytesMax)
      const outcome = yield* Effect.flip(call(told.client as never, "Note", large(nodeFrameBytesMax - around + 1)))
      expect(outcome).toMatchObject({
        reason: "refused",
        message: `a call of Note with ${nodeFrameBytesMax + 1} bytes is larger than ${nodeFrameBytesMax}`
      })
      expect(told.sent).toHaveLength(1)
    })
  )
})
