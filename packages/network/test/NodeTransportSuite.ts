/**
 * What every `NodeTransport` does, run over all of them.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import type { Scope } from "effect/Scope"
import { until } from "./support/until.js"
import { type NodeLink, NodeTransport, type NodeTransportService, nodeFrameBytesMax } from "../src/NodeTransport.js"

export interface TestNode {
  readonly transport: NodeTransportService
  readonly address: string
}

/** Builds a node; `hears`: whether it has a listener. */
export type MakeNode = (nodeId: number) => Effect.Effect<TestNode, unknown, Scope>

const channel = "test/1"

/** Echoes every frame with the caller's number before it. */
const echo = (node: TestNode) =>
  node.transport.accept(channel, (link) => ({
    onFrame: (frame) => link.send(Buffer.concat([Buffer.from([link.peerNodeId]), frame])),
    onClose: () => {}
  }))

const opened = (node: TestNode, target: { readonly nodeId: number; readonly address: string }, name = channel) =>
  Effect.gen(function* () {
    const frames = yield* Mailbox.make<Buffer>()
    const closed = yield* Deferred.make<string>()
    const link: NodeLink = yield* node.transport.connect(target, name, () => ({
      onFrame: (frame) => void frames.unsafeOffer(Buffer.from(frame)),
      onClose: (reason) => Deferred.unsafeDone(closed, Effect.succeed(reason))
    }))
    return { link, frames, closed }
  })

export const nodeTransportSuite = (name: string, makeNode: MakeNode) =>
  describe(`${name}: node transport`, () => {
    it.scopedLive("carries frames both ways, in order, and says who sends them", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        yield* echo(two)
        const { link, frames } = yield* opened(one, { nodeId: 2, address: two.address })
        expect(link.peerNodeId).toBe(2)
        const sizes = [1, 5, 70_000, 3, 1_000_000, 2]
        for (const size of sizes) link.send(Buffer.alloc(size, size % 251))
        for (const size of sizes) {
          const frame = yield* frames.take
          expect(frame[0]).toBe(1)
          expect(frame.length).toBe(size + 1)
          expect(frame.subarray(1).every((byte) => byte === size % 251)).toBe(true)
        }
        link.close("done")
      })
    )

    it.scopedLive("tells both sides when a link ends", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const ended = yield* Deferred.make<string>()
        yield* two.transport.accept(channel, () => ({
          onFrame: () => {},
          onClose: (reason) => Deferred.unsafeDone(ended, Effect.succeed(reason))
        }))
        const { link, closed } = yield* opened(one, { nodeId: 2, address: two.address })
        link.close("no more to say")
        expect(yield* Deferred.await(closed)).toBe("no more to say")
        expect(yield* Deferred.await(ended)).toBe("the other node closed it")
      })
    )

    it.scopedLive("carries a frame of the largest size, and none that is larger or empty", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const arrived = yield* Deferred.make<number>()
        yield* two.transport.accept(channel, () => ({
          onFrame: (frame) => Deferred.unsafeDone(arrived, Effect.succeed(frame.length)),
          onClose: () => {}
        }))
        const { link } = yield* opened(one, { nodeId: 2, address: two.address })
        link.send(Buffer.alloc(nodeFrameBytesMax))
        expect(yield* Deferred.await(arrived)).toBe(nodeFrameBytesMax)
        expect(() => link.send(Buffer.alloc(nodeFrameBytesMax + 1))).toThrow("cannot be sent")
        expect(() => link.send(Buffer.alloc(0))).toThrow("cannot be sent")
      })
    )

    it.scopedLive("says when it takes no more, and when it does again", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        let arrived = 0
        yield* two.transport.accept(channel, () => ({ onFrame: (frame) => (arrived += frame.length), onClose: () => {} }))
        const drained = yield* Mailbox.make<void>()
        const closed = yield* Deferred.make<string>()
        const link = yield* one.transport.connect({ nodeId: 2, address: two.address }, channel, () => ({
          onFrame: () => {},
          onDrain: () => void drained.unsafeOffer(undefined),
          onClose: (reason) => Deferred.unsafeDone(closed, Effect.succeed(reason))
        }))
        const frame = Buffer.alloc(1024 * 1024, 1)
        let sent = 0
        for (let turn = 0; turn < 3; turn++) {
          expect(link.saturated).toBe(false)
          for (; !link.saturated; sent += frame.length) link.send(frame)
          yield* drained.take
        }
        yield* until("all of it arrived", () => arrived === sent)
        expect(sent).toBeLessThan(3 * 2 * nodeFrameBytesMax)
        expect(yield* Deferred.isDone(closed)).toBe(false)
      })
    )

    it.scopedLive("ends the links of a channel that is not taken any more, and takes it again", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        const target = { nodeId: 2, address: two.address }
        const links = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* echo(two)
            return [yield* opened(one, target), yield* opened(one, target)]
          })
        )
        for (const { closed } of links) expect(yield* Deferred.await(closed)).toBe("the other node closed it")
        expect(Either.isLeft(yield* Effect.either(opened(one, target)))).toBe(true)
        yield* echo(two)
        const { frames, link } = yield* opened(one, target)
        link.send(Buffer.from([7]))
        expect((yield* frames.take).toString("hex")).toBe("0107")
      })
    )

    it.scopedLive("ends all links of a node that stops, and only those", () =>
      Effect.gen(function* () {
        const [one, three] = [yield* makeNode(1), yield* makeNode(3)]
        yield* echo(one)
        yield* echo(three)
        const kept = yield* opened(one, { nodeId: 3, address: three.address })
        const [from, to] = yield* Effect.scoped(
          Effect.gen(function* () {
            const two = yield* makeNode(2)
            yield* echo(two)
            const target = { nodeId: 2, address: two.address }
            return [yield* opened(two, { nodeId: 1, address: one.address }), yield* opened(one, target)]
          })
        )
        expect(yield* Deferred.await(from.closed)).toBe("the node stops")
        expect(yield* Deferred.await(to.closed)).toBe("the other node closed it")
        kept.link.send(Buffer.from([1]))
        expect((yield* kept.frames.take).length).toBe(2)
      })
    )

    it.scopedLive("does not reach a node that is not there, has another number, or does not speak the channel", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* makeNode(1), yield* makeNode(2)]
        yield* echo(two)
        const attempts = [
          opened(one, { nodeId: 3, address: two.address }),
          opened(one, { nodeId: 2, address: "127.0.0.1:1" }),
          opened(one, { nodeId: 2, address: two.address }, "other/1")
        ]
        for (const attempt of attempts) expect(Either.isLeft(yield* Effect.either(attempt))).toBe(true)
      })
    )
  })

export const nodeOf = (layer: Layer.Layer<NodeTransport, unknown>, addressOf: (transport: NodeTransportService) => string) =>
  Effect.map(Layer.build(layer), (context): TestNode => {
    const transport = Context.get(context, NodeTransport)
    return { transport, address: addressOf(transport) }
  })
