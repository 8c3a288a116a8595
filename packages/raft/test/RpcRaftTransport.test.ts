/** Raft messages over RPC and sockets: as they were, from whom they say, bounded, and again when the other is back. */
import { describe, expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as NodeRpc from "@effectmq/network/NodeRpc"
import { NodeTransport } from "@effectmq/network/NodeTransport"
import * as SocketNodeTransport from "@effectmq/network/SocketNodeTransport"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { RaftRpcs, raftChannel } from "@effectmq/schemas/rpc/RaftRpcs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { PeerQueue } from "../src/internal/PeerQueue.js"
import { RaftTransport } from "../src/RaftTransport.js"
import * as RpcRaftTransport from "../src/RpcRaftTransport.js"
import { Wire } from "./support/Wire.js"

const start = (nodeId: number, options: RpcRaftTransport.RpcRaftTransportOptions = {}, port = 0) =>
  Effect.gen(function* () {
    const sockets = SocketNodeTransport.layer({ nodeId, secret: "s", listen: { host: "127.0.0.1", port } })
    const layer = RpcRaftTransport.layer({ callTimeoutMs: 500, ...options }).pipe(
      Layer.provideMerge(sockets),
      Layer.provideMerge(PrometheusMeters.layerMemory)
    )
    const context = yield* Layer.build(layer)
    const transport = Context.get(context, RaftTransport)
    const node = Context.get(context, NodeTransport)
    const received: Array<RaftMessage> = []
    transport.onMessage((message) => received.push(message))
    const counted = (what: string) => Context.get(context, Meters).snapshot().get(`effectmq_raft_messages_${what}_total`) ?? 0
    return { transport, node, received, counted, member: { nodeId, address: `127.0.0.1:${node.port}` } }
  })

const vote = (from: number, to: number, term: number): RaftMessage => ({
  _tag: "VoteReply",
  from,
  to,
  term,
  preVote: false,
  granted: true
})

const append = (from: number, to: number, bytes: number): RaftMessage => ({
  _tag: "AppendRequest",
  from,
  to,
  term: 3,
  previousIndex: 0,
  previousTerm: 0,
  entries: [
    { kind: "command", index: 1, term: 3, data: Buffer.alloc(bytes, 7) },
    { kind: "noop", index: 2, term: 3 },
    {
      kind: "membership",
      index: 3,
      term: 3,
      membership: { voters: [1], outgoingVoters: [], learners: [], members: [{ nodeId: 1, address: "a:1" }] }
    }
  ],
  commitIndex: 0,
  readRound: 0
})

const until = (done: () => boolean) =>
  Effect.retry(
    Effect.suspend(() => (done() ? Effect.void : Effect.fail("not yet"))),
    Schedule.spaced(5)
  )

describe("Raft messages over RPC", () => {
  it.scopedLive("arrive as they were, in order, from whom they say", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* start(1), yield* start(2)]
      for (const node of [one, two]) node.transport.setMembers([one.member, two.member])
      const messages = [vote(1, 2, 1), append(1, 2, 50_000), vote(1, 2, 4)]
      for (const message of messages) one.transport.send(message)
      two.transport.send(vote(2, 1, 2))
      yield* until(() => two.received.length === 3 && one.received.length === 1)
      expect(two.received).toEqual(messages)
      expect(one.received).toEqual([vote(2, 1, 2)])
      // Of others, or for others, none is sent.
      one.transport.send(vote(7, 2, 9))
      one.transport.send(vote(1, 8, 9))
      expect(one.counted("dropped")).toBe(2)
    })
  )

  it.scopedLive("count for nothing where another node sends them than they name", () =>
    Effect.gen(function* () {
      const [one, two, three] = [yield* start(1), yield* start(2), yield* start(3)]
      const client = yield* Effect.provideService(NodeRpc.client(RaftRpcs, raftChannel, one.member), NodeTransport, three.node)
      yield* client.Deliver({ messages: [vote(2, 1, 9)] })
      yield* client.Deliver({ messages: [vote(3, 2, 9)] })
      yield* client.Deliver({ messages: [vote(3, 1, 9)] })
      expect(one.received).toEqual([vote(3, 1, 9)])
      expect(one.counted("refused")).toBe(2)
      expect(two.received).toEqual([])
    })
  )

  it.scopedLive("go on after the other was away, and at another address", () =>
    Effect.gen(function* () {
      const one = yield* start(1)
      const sendUntilReceived = (there: { readonly received: ReadonlyArray<RaftMessage> }) =>
        Effect.retry(
          Effect.suspend(() => {
            one.transport.send(vote(1, 2, 2))
            return there.received.length > 0 ? Effect.void : Effect.fail("not yet")
          }),
          Schedule.spaced(10)
        )
      const first = yield* Effect.scoped(
        Effect.tap(start(2), (two) => {
          one.transport.setMembers([one.member, two.member])
          return sendUntilReceived(two)
        })
      )
      yield* until(() => {
        one.transport.send(vote(1, 2, 2))
        return one.counted("dropped") > 0
      })
      yield* Effect.scoped(Effect.flatMap(start(2, {}, first.node.port), sendUntilReceived))
      const moved = yield* start(2)
      one.transport.setMembers([moved.member, one.member])
      yield* sendUntilReceived(moved)
    })
  )

  it.scopedLive("answer whoever sent some, where it says that it is: no member, or one that the log says is elsewhere", () =>
    Effect.gen(function* () {
      const here = yield* start(2)
      const send = (there: Effect.Effect.Success<ReturnType<typeof start>>, term: number) =>
        Effect.gen(function* () {
          there.transport.setMembers([here.member])
          there.transport.send(vote(1, 2, term))
          yield* until(() => here.received.some((message) => message.term === term))
          here.transport.send(vote(2, 1, term))
          yield* until(() => there.received.some((message) => message.term === term))
        })
      const startAt = (wire: Wire) =>
        Effect.tap(start(1, { address: wire.address }), ({ node }) =>
          Effect.sync(() => {
            wire.target = node.port
          })
        )
      const wire = Effect.acquireRelease(
        Effect.promise(() => Wire.open()),
        (open) => Effect.sync(() => open.close())
      )
      const [first, second] = [yield* wire, yield* wire]
      // No member at all.
      yield* Effect.scoped(Effect.flatMap(startAt(first), (one) => send(one, 1)))
      // The log knows it at another place, where nobody is.
      here.transport.setMembers([{ nodeId: 1, address: "127.0.0.1:1" }])
      yield* Effect.scoped(Effect.flatMap(startAt(first), (one) => send(one, 2)))
      yield* Effect.scoped(Effect.flatMap(startAt(second), (one) => send(one, 3)))
      // What the log says anew is newer than what was said.
      const third = yield* start(1)
      here.transport.setMembers([third.member])
      yield* until(() => {
        here.transport.send(vote(2, 1, 4))
        return third.received.length > 0
      })
    })
  )

  for (const [what, limits] of [
    ["messages", { queueMessagesMax: 10 }],
    ["bytes", { queueBytesMax: 1_000 }]
  ] as const)
    it.scopedLive(`that cannot be taken are dropped, the oldest first: those beyond so many ${what}`, () =>
      Effect.gen(function* () {
        const one = yield* start(1, { ...limits, callsMax: 1 })
        const two = yield* start(2)
        one.transport.setMembers([two.member])
        for (let term = 1; term <= 100; term++) one.transport.send(vote(1, 2, term))
        yield* until(() => two.received.length === 10)
        expect(two.received.map(({ term }) => term)).toEqual(Array.from({ length: 10 }, (_, at) => 91 + at))
        expect(one.counted("dropped")).toBe(90)
      })
    )

  it.scopedLive("wait while as many calls are under way as may be, and then go out, in order", () =>
    Effect.gen(function* () {
      const one = yield* start(1, { callsMax: 1, callBytesMax: 100 })
      const two = yield* start(2)
      one.transport.setMembers([two.member])
      for (let term = 1; term <= 20; term++) one.transport.send(vote(1, 2, term))
      yield* until(() => two.received.length + one.counted("dropped") >= 20)
      expect(two.received.map(({ term }) => term)).toEqual(Array.from({ length: 20 }, (_, at) => 1 + at))
    })
  )

  it.scopedLive("reach nobody who is no member any more", () =>
    Effect.gen(function* () {
      const one = yield* start(1)
      const two = yield* start(2)
      one.transport.setMembers([two.member])
      one.transport.send(vote(1, 2, 1))
      yield* until(() => two.received.length === 1)
      one.transport.setMembers([one.member])
      one.transport.send(vote(1, 2, 2))
      expect(one.counted("dropped")).toBe(1)
    })
  )
})

describe("what waits for a member", () => {
  it("is bounded in messages and bytes, and goes out in bounded calls", () => {
    let dropped = 0
    const queue = new PeerQueue({ messagesMax: 5, bytesMax: 1000, batchMessagesMax: 3, batchBytesMax: 500 }, (count) => {
      dropped += count
    })
    for (let term = 1; term <= 8; term++) queue.offer(vote(1, 2, term), 100)
    expect(dropped).toBe(3)
    expect(queue.takeBatch().map(({ term }) => term)).toEqual([4, 5, 6])
    queue.offer(vote(1, 2, 9), 900)
    expect(dropped).toBe(4)
    expect(queue.takeBatch().map(({ term }) => term)).toEqual([8])
    expect(queue.takeBatch().map(({ term }) => term)).toEqual([9])
    queue.offer(vote(1, 2, 10), 5000)
    expect(queue.takeBatch().map(({ term }) => term)).toEqual([10])
    expect(queue.takeBatch()).toEqual([])
  })
})
