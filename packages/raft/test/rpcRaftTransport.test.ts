import { describe, expect, it } from "@effect/vitest"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { NodeTransport } from "@effectmq/network/NodeTransport"
import * as SocketNodeTransport from "@effectmq/network/SocketNodeTransport"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { RaftTransport } from "../src/RaftTransport.js"
import * as RpcRaftTransport from "../src/RpcRaftTransport.js"
import { PeerQueue } from "../src/internal/PeerQueue.js"

const parts = PrometheusMeters.layer()

const start = (nodeId: number, port = 0) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      RpcRaftTransport.layer({ callTimeoutMs: 500 }).pipe(
        Layer.provideMerge(SocketNodeTransport.layer({ nodeId, secret: "s", listen: { host: "127.0.0.1", port } })),
        Layer.provide(parts)
      )
    )
    const transport = Context.get(context, RaftTransport)
    const received: Array<RaftMessage> = []
    transport.onMessage((message) => received.push(message))
    const { port: bound } = Context.get(context, NodeTransport)
    return { transport, received, member: { nodeId, address: `127.0.0.1:${bound}` }, port: bound }
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

const entriesOf = (message: RaftMessage) => (message._tag === "AppendRequest" ? message.entries : [])

const until = (done: () => boolean) =>
  Effect.retry(
    Effect.suspend(() => (done() ? Effect.void : Effect.fail("not yet"))),
    Schedule.spaced(5)
  )

describe("Raft messages over RPC", () => {
  it.scopedLive("arrive as they were, from whom they say", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* start(1), yield* start(2)]
      for (const node of [one, two]) node.transport.setMembers([one.member, two.member])
      const messages = [vote(1, 2, 1), append(1, 2, 1_000_000), vote(1, 2, 4)]
      for (const message of messages) one.transport.send(message)
      one.transport.send(vote(7, 2, 9))
      two.transport.send(vote(2, 1, 2))
      yield* until(() => two.received.length === 3 && one.received.length === 1)
      const bytesOf = (message: RaftMessage | undefined) =>
        message?._tag === "AppendRequest" && message.entries[0]?.kind === "command"
          ? Buffer.from(message.entries[0].data)
          : undefined
      const big = two.received.find((message) => message._tag === "AppendRequest")
      expect(bytesOf(big)?.equals(Buffer.alloc(1_000_000, 7))).toBe(true)
      expect(big?._tag === "AppendRequest" && big.entries.slice(1)).toEqual(entriesOf(append(1, 2, 0)).slice(1))
      expect(two.received.some((message) => message.from === 7)).toBe(false)
    })
  )

  it.scopedLive("go on after the other was away, and at another address", () =>
    Effect.gen(function* () {
      const one = yield* start(1)
      const port = yield* Effect.scoped(
        Effect.gen(function* () {
          const two = yield* start(2)
          one.transport.setMembers([one.member, two.member])
          one.transport.send(vote(1, 2, 1))
          yield* until(() => two.received.length === 1)
          return two.port
        })
      )
      const again = yield* start(2, port)
      const sendUntil = (there: { readonly received: ReadonlyArray<RaftMessage> }) =>
        Effect.retry(
          Effect.suspend(() => {
            one.transport.send(vote(1, 2, 2))
            return there.received.length > 0 ? Effect.void : Effect.fail("not yet")
          }),
          Schedule.spaced(10)
        )
      yield* sendUntil(again)
      const elsewhere = yield* Effect.scoped(start(3))
      expect(elsewhere.port).toBeGreaterThan(0)
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
