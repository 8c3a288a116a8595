/**
 * Random and mutated bytes on the port where a member hears the others, before and after a handshake that is right: the member lives
 * on, no stranger gets a message in, and memory stays bounded. The bytes follow from a seed that a failure names.
 */
import { connect as connectTcp } from "node:net"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { writeMsgpack } from "@effectmq/bytes/Msgpack"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as NodeRpc from "@effectmq/network/NodeRpc"
import { type NodeLink, NodeTransport } from "@effectmq/network/NodeTransport"
import * as SocketNodeTransport from "@effectmq/network/SocketNodeTransport"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { writeRaftMessages } from "@effectmq/schemas/raft/RaftMessageBytes"
import { RaftRpcs, raftChannel } from "@effectmq/schemas/rpc/RaftRpcs"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import { describe, expect, it } from "vitest"
import { RaftTransport } from "../src/RaftTransport.js"
import * as RpcRaftTransport from "../src/RpcRaftTransport.js"

const seed = Number(process.env["EFFECTMQ_FUZZ_SEED"] ?? Date.now() % 1_000_000)
const strangers = 250
const insiders = 250
const growthBytesMax = 256 * 1024 * 1024
const secret = "a secret of the tests"

const messages: ReadonlyArray<RaftMessage> = [
  { _tag: "VoteRequest", from: 2, to: 1, term: 7, preVote: true, lastIndex: 5, lastTerm: 6, transfer: false },
  {
    _tag: "AppendRequest",
    from: 2,
    to: 1,
    term: 8,
    previousIndex: 40,
    previousTerm: 7,
    entries: [{ kind: "command", index: 41, term: 8, data: Buffer.from("text") }],
    commitIndex: 39,
    readRound: 3
  },
  { _tag: "TimeoutNow", from: 2, to: 1, term: 9 }
]

const bytesOf = (write: (writer: ByteWriter) => void): Buffer => {
  const writer = new ByteWriter()
  write(writer)
  return writer.copy()
}

const batch = bytesOf((writer) => writeRaftMessages(writer, 2, 1, messages))

const call = (id: number): Buffer =>
  bytesOf((writer) =>
    writeMsgpack(writer, { _tag: "Request", id: String(id), tag: "Deliver", payload: { messages: batch }, headers: [] })
  )

const hello = bytesOf((writer) => {
  writer.uint32(51)
  writer.utf8("EMQN")
  writer.uint8(1)
  writer.uint32(2)
  writer.uint32(1)
  writer.zeros(32)
  writer.utf8(raftChannel)
})

const started = (nodeId: number) =>
  Layer.build(
    RpcRaftTransport.layer().pipe(
      Layer.provideMerge(
        SocketNodeTransport.layer({ nodeId, secret, listen: { host: "127.0.0.1", port: 0 }, handshakeTimeoutMs: 500 })
      ),
      Layer.provide(PrometheusMeters.layerMemory),
      Layer.provide(Logger.remove(Logger.defaultLogger))
    )
  )

describe(`fuzz of the port between members, seed ${seed}`, () => {
  it("never brings a member down nor a stranger in", () =>
    Effect.gen(function* () {
      const random = new SeededRandom(seed)
      const below = (bound: number): number => Math.floor(random.next() * bound)
      const noise = (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => below(256)))
      const mutated = (bytes: Buffer): Buffer => {
        const at = below(bytes.length)
        const changed = Buffer.from(bytes)
        switch (below(5)) {
          case 0:
            changed[at] = (changed[at] as number) ^ (1 << below(8))
            return changed
          case 1:
            return changed.subarray(0, at)
          case 2:
            return Buffer.concat([changed.subarray(0, at), noise(1 + below(30)), changed.subarray(at)])
          case 3:
            return Buffer.concat([changed.subarray(0, at), Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), changed.subarray(at)])
          default:
            return noise(1 + below(300))
        }
      }
      const context = yield* started(1)
      const member = Context.get(context, NodeTransport)
      let received = 0
      Context.get(context, RaftTransport).onMessage(() => received++)
      const address = `127.0.0.1:${member.port}`
      const before = process.memoryUsage()

      const stranger = Effect.async<void>((resume) => {
        const socket = connectTcp({ port: member.port, host: "127.0.0.1" }, () => {
          socket.write(below(2) === 0 ? mutated(hello) : hello)
          // Behind the hello what only an insider may send.
          for (let at = below(4); at > 0; at--) socket.write(below(2) === 0 ? mutated(call(at)) : noise(below(2_000) + 1))
          if (below(2) === 0) socket.end()
        })
        socket.on("data", () => {})
        socket.on("error", () => {})
        socket.on("close", () => resume(Effect.void))
      })
      yield* Effect.forEach(Array.from({ length: strangers }), () => stranger, { concurrency: 32, discard: true })
      expect(received).toBe(0)

      const insider = Context.get(yield* started(2), NodeTransport)
      const spoken = Effect.async<void>((resume) => {
        const talk = Effect.map(
          insider.connect({ nodeId: 1, address }, raftChannel, () => ({ onFrame: () => {}, onClose: () => resume(Effect.void) })),
          (link: NodeLink) => {
            for (let at = 1 + below(6); at > 0; at--) {
              const frame = below(4) === 0 ? call(at) : mutated(call(at))
              if (frame.length > 0) link.send(frame)
            }
            link.send(Buffer.from([0xc1]))
          }
        )
        // Beside other work a handshake may take longer than it may: it is tried again, or nobody would be told of an end.
        Effect.runFork(Effect.retry(talk, Schedule.spaced(50)))
      })
      yield* Effect.forEach(Array.from({ length: insiders }), () => spoken, { concurrency: 32, discard: true })

      const client = yield* Effect.provideService(
        NodeRpc.client(RaftRpcs, raftChannel, { nodeId: 1, address }),
        NodeTransport,
        insider
      )
      const known = received
      yield* client.Deliver({ messages })
      expect(received).toBe(known + messages.length)
      const after = process.memoryUsage()
      expect(after.rss - before.rss).toBeLessThan(growthBytesMax)
    }).pipe(Effect.scoped, Effect.runPromise))
})
