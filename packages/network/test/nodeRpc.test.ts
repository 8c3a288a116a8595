import { describe, expect, it } from "@effect/vitest"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { MemoryNodes } from "../src/MemoryNodeTransport.js"
import * as NodeRpc from "../src/NodeRpc.js"
import { NodeTransport } from "../src/NodeTransport.js"

class Sum extends RpcGroup.make(
  Rpc.make("Add", { payload: { bytes: Schema.Uint8ArrayFromSelf, more: Schema.Int }, success: Schema.Int, error: Schema.String }),
  Rpc.make("Who", { success: Schema.String }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Wait", {})
) {}

const never = Effect.never

const handlers = Sum.toLayer({
  Add: ({ bytes, more }) => (more < 0 ? Effect.fail("negative") : Effect.succeed(bytes.length + more)),
  Who: (_, { headers }) => Effect.succeed(headers[NodeRpc.nodeHeader] ?? "nobody"),
  Count: ({ to }) => Stream.range(1, to),
  Wait: () => never
})

const server = (nodes: MemoryNodes, nodeId: number) =>
  Layer.scopedDiscard(NodeRpc.serve(Sum, "sum/1", { callsMax: 50 })).pipe(
    Layer.provide(handlers),
    Layer.provideMerge(nodes.layer(nodeId))
  )

const clientOf = (nodes: MemoryNodes, nodeId: number, to: number) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(nodes.layer(nodeId))
    const target = { nodeId: to, address: `node-${to}:1` }
    return yield* Effect.provideService(
      NodeRpc.client(Sum, "sum/1", target, { backOffMs: 1, backOffMsMax: 5 }),
      NodeTransport,
      Context.get(context, NodeTransport)
    )
  })

describe("RPC between nodes", () => {
  it.scopedLive("calls, fails as declared, streams, and knows who calls", () =>
    Effect.gen(function* () {
      const nodes = new MemoryNodes()
      yield* Layer.build(server(nodes, 2))
      const client = yield* clientOf(nodes, 1, 2)
      expect(yield* client.Add({ bytes: Buffer.alloc(3_000_000), more: 4 })).toBe(3_000_004)
      expect(yield* Effect.flip(client.Add({ bytes: Buffer.alloc(1), more: -1 }))).toBe("negative")
      expect(yield* client.Who(undefined, { headers: { [NodeRpc.nodeHeader]: "7" } })).toBe("1")
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(client.Count({ to: 300 })))).toHaveLength(300)
      const many = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index) => index),
        (index) => client.Add({ bytes: Buffer.alloc(index), more: 0 }),
        {
          concurrency: "unbounded"
        }
      )
      expect(many).toEqual(Array.from({ length: 40 }, (_, index) => index))
    })
  )

  it.scopedLive("fails the calls of a link that breaks, and connects again", () =>
    Effect.gen(function* () {
      const nodes = new MemoryNodes()
      yield* Layer.build(server(nodes, 2))
      const client = yield* clientOf(nodes, 1, 2)
      const started = yield* Deferred.make<void>()
      const waiting = yield* Effect.fork(Effect.zipRight(Deferred.succeed(started, undefined), Effect.either(client.Wait())))
      yield* Deferred.await(started)
      yield* client.Who()
      nodes.cut(1, 2)
      const outcome = yield* Fiber.join(waiting)
      expect(Either.isLeft(outcome)).toBe(true)
      expect(Either.isLeft(yield* Effect.either(client.Who()))).toBe(true)
      nodes.heal()
      expect(yield* Effect.retry(client.Who(), Schedule.spaced(2))).toBe("1")
    })
  )

  it.scopedLive("ends a link with more calls than are allowed", () =>
    Effect.gen(function* () {
      const nodes = new MemoryNodes()
      yield* Layer.build(server(nodes, 2))
      const client = yield* clientOf(nodes, 1, 2)
      const calls = yield* Effect.forEach(Array.from({ length: 60 }), () => Effect.either(client.Wait()), {
        concurrency: "unbounded"
      })
      expect(calls.every(Either.isLeft)).toBe(true)
    })
  )

  it.scopedLive("refuses frames that are no messages", () =>
    Effect.gen(function* () {
      const nodes = new MemoryNodes()
      yield* Layer.build(server(nodes, 2))
      const transport = Context.get(yield* Layer.build(nodes.layer(1)), NodeTransport)
      const frames = [
        Buffer.from([0xc1]),
        Buffer.from([0x07]),
        Buffer.from([0xde, 0xff, 0xff]),
        Buffer.from("7b7d", "hex"),
        Buffer.from("81a45f746167a552657175657374", "hex")
      ]
      for (const frame of frames) {
        const closed = yield* Deferred.make<string>()
        const link = yield* transport.connect({ nodeId: 2, address: "node-2:1" }, "sum/1", () => ({
          onFrame: () => {},
          onClose: (reason) => Deferred.unsafeDone(closed, Effect.succeed(reason))
        }))
        link.send(frame)
        yield* Deferred.await(closed)
      }
      const client = yield* clientOf(nodes, 3, 2)
      expect(yield* client.Who()).toBe("3")
    })
  )
})
