/** One suite for every kind of network: what `Connection` promises. */
import { describe, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import type { Connection } from "@effectmq/network/Connection"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { expect } from "vitest"
import { type Harness, harnesses } from "./support/Harness.js"
import { echo, makePeers, type Peer } from "./support/Peer.js"
import { until } from "./support/until.js"

/** Bytes that repeat with a period no slab size divides. */
const pattern = (size: number): Buffer => {
  const bytes = Buffer.allocUnsafe(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 8) * 13) & 0xff
  return bytes
}

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

const small = { highWaterMarkBytes: 256 * 1024, lowWaterMarkBytes: 32 * 1024, outputBytesMax: 4 * 1024 * 1024 }

/** Writes until the connection says that the reader is slow: a burst for each turn of the event loop. */
const fill = (connection: Connection, chunk: Buffer) => {
  let written = 0
  return Effect.as(
    until("saturated", () => {
      for (let i = 0; i < 16 && !connection.saturated; i++) {
        connection.write(chunk)
        written += chunk.length
      }
      connection.flush()
      return connection.saturated
    }),
    () => written
  )
}

const metric = (name: string) => Effect.map(Meters, (meters) => meters.snapshot().get(name) ?? 0)

const suite = (harness: Harness) => {
  const provided = harness.layer()
  const live = (
    name: string,
    body: Effect.Effect<void, unknown, Scope.Scope | Effect.Effect.Context<ReturnType<Harness["passTime"]>>>
  ) => it.scopedLive(name, () => Effect.provide(body, provided))

  /** One accepted connection with its peer and its client. */
  const pair = (options: Parameters<Harness["start"]>[0] = {}, prepare: (peer: Peer) => void = () => {}) =>
    Effect.gen(function* () {
      const { acceptor, peers } = makePeers(prepare)
      const { connect, listener } = yield* harness.start(options, acceptor)
      const client = yield* connect
      yield* until("accepted", () => peers.length === 1)
      return { client, listener, connect, peers, peer: peers[0] as Peer }
    })

  live(
    "knows its peer and counts what passes",
    Effect.gen(function* () {
      const { client, listener, peer } = yield* pair({}, echo)
      const { connection } = peer
      expect(connection.transport).toBe(harness.kind)
      expect(connection.remoteAddress).toBe("127.0.0.1")
      expect(connection.remotePort).toBeGreaterThan(0)
      expect(connection.localPort).toBe(listener.port)
      expect(connection.peerCertificate).toBe(undefined)
      expect(listener.connections()).toBe(1)
      client.write(Buffer.from("hello"))
      yield* until("echo", () => client.received().toString() === "hello")
      expect(yield* metric(`effectmq_network_received_bytes_total{transport="${harness.kind}"}`)).toBeGreaterThanOrEqual(5)
      expect(yield* metric("effectmq_connections")).toBeGreaterThanOrEqual(1)
    })
  )

  live(
    "may write before anything was received",
    Effect.gen(function* () {
      const { client } = yield* pair({}, (peer) => peer.connection.write(Buffer.from("greeting")))
      yield* until("greeting", () => client.received().toString() === "greeting")
    })
  )

  live(
    "keeps order and content of small writes, big ones, shared ones and reserved ones",
    Effect.gen(function* () {
      const { client, peer } = yield* pair()
      const { connection } = peer
      const expected: Array<Buffer> = []
      const sizes = [1, 31, 33, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000, 5, 100_000, 3]
      for (let round = 0; round < 3; round++) {
        for (const size of sizes) {
          const bytes = pattern(size)
          expected.push(bytes)
          if (round === 1) connection.writeShared(bytes)
          else if (round === 2) {
            connection.reserve(size)
            bytes.copy(connection.buffer, connection.length)
            connection.length += size
          } else connection.write(bytes)
        }
      }
      const all = Buffer.concat(expected)
      yield* until("all received", () => client.received().length >= all.length)
      expect(digest(client.received())).toBe(digest(all))
      yield* until("nothing buffered", () => connection.bufferedBytes() === 0)
    })
  )

  live(
    "takes a big stream in and sends it back",
    Effect.gen(function* () {
      const { client, peer } = yield* pair({}, echo)
      const bytes = pattern(3_000_000)
      for (let at = 0; at < bytes.length; at += 100_001) client.write(bytes.subarray(at, at + 100_001))
      yield* until("echoed", () => client.received().length >= bytes.length)
      expect(digest(client.received())).toBe(digest(bytes))
      expect(digest(peer.received())).toBe(digest(bytes))
    })
  )

  live(
    "tells of a slow reader and when it has caught up",
    Effect.gen(function* () {
      const { client, peer } = yield* pair({ ...small, outputBytesMax: 64 * 1024 * 1024 })
      const { connection } = peer
      client.pause()
      const written = yield* fill(connection, pattern(16_384))
      expect(connection.bufferedBytes()).toBeGreaterThan(small.highWaterMarkBytes - 65_536)
      expect(peer.drains).toBe(0)
      client.resume()
      yield* until("drained", () => peer.drains === 1)
      expect(connection.saturated).toBe(false)
      expect(connection.bufferedBytes()).toBeLessThanOrEqual(small.lowWaterMarkBytes)
      yield* until("all received", () => client.received().length === written())
      expect(peer.drains).toBe(1)
    })
  )

  live(
    "ends a reader that is too slow, and lets the writer write on",
    Effect.gen(function* () {
      const { client, listener, peer } = yield* pair(small)
      const { connection } = peer
      client.pause()
      const chunk = pattern(16_384)
      yield* until("ended", () => {
        for (let i = 0; i < 16; i++) connection.write(chunk)
        connection.writeShared(pattern(40_000))
        return peer.closes > 0
      })
      expect(peer.closeReason).toBe("output-overflow")
      expect(connection.bufferedBytes()).toBe(0)
      connection.reserve(200_000)
      expect(connection.buffer.length - connection.length).toBeGreaterThanOrEqual(200_000)
      connection.close("closed-by-broker")
      connection.destroy("closed-by-broker")
      expect(peer.closes).toBe(1)
      expect(listener.connections()).toBe(0)
      client.destroy()
    })
  )

  live(
    "pauses while any reason holds",
    Effect.gen(function* () {
      const { client, peer } = yield* pair()
      const { connection } = peer
      connection.pause(1)
      connection.pause(2)
      connection.pause(2)
      const bytes = pattern(8 * 1024 * 1024)
      for (let at = 0; at < bytes.length; at += 1024 * 1024) client.write(bytes.subarray(at, at + 1024 * 1024))
      connection.resume(2)
      // A turn for what the system had read already.
      yield* harness.passTime(1)
      yield* until("flow stopped", () => peer.received().length < bytes.length)
      expect(peer.received().length).toBeLessThan(bytes.length)
      connection.resume(4)
      connection.resume(1)
      yield* until("all received", () => peer.received().length === bytes.length)
      expect(digest(peer.received())).toBe(digest(bytes))
    })
  )

  live(
    "can be paused before it begins",
    Effect.gen(function* () {
      const { client, peer } = yield* pair({}, (peer) => peer.connection.pause(1))
      client.write(Buffer.from("early"))
      peer.connection.write(Buffer.from("x"))
      yield* until("the other way works", () => client.received().length === 1)
      expect(peer.chunks.length).toBe(0)
      peer.connection.resume(1)
      yield* until("received", () => peer.received().toString() === "early")
    })
  )

  live(
    "flushes, then closes, and hears nothing more",
    Effect.gen(function* () {
      const { client, listener, peer } = yield* pair()
      const bytes = pattern(1_000_000)
      peer.onChunk = () => {
        peer.connection.write(bytes)
        peer.connection.close("protocol-error")
        peer.connection.write(Buffer.from("too late"))
        peer.connection.close("closed-by-broker")
        expect(peer.closes).toBe(0)
      }
      client.write(Buffer.from("a"))
      yield* until("closed", () => peer.closes > 0 && client.closed())
      expect(digest(client.received())).toBe(digest(bytes))
      expect(peer.closeReason).toBe("protocol-error")
      expect(peer.closes).toBe(1)
      expect(listener.connections()).toBe(0)
    })
  )

  live(
    "closes while paused",
    Effect.gen(function* () {
      const { client, peer } = yield* pair()
      peer.connection.pause(1)
      client.write(pattern(200_000))
      peer.connection.close("closed-by-broker")
      yield* until("closed", () => peer.closes > 0 && client.closed())
      expect(peer.received().length).toBe(0)
    })
  )

  live(
    "does not wait for ever for a peer that does not read its end",
    Effect.gen(function* () {
      const { client, peer } = yield* pair({ ...small, closeTimeoutMs: 10 })
      client.pause()
      yield* fill(peer.connection, pattern(16_384))
      peer.connection.close("closed-by-broker")
      yield* harness.passTime(1_000)
      yield* until("given up", () => peer.closes === 1)
      expect(peer.closeReason).toBe("closed-by-broker")
      client.destroy()
    })
  )

  live(
    "destroys at once",
    Effect.gen(function* () {
      const { client, peer } = yield* pair()
      peer.connection.write(Buffer.from("never sent"))
      peer.connection.destroy("protocol-error")
      expect(peer.closes).toBe(0)
      peer.connection.destroy("closed-by-broker")
      yield* until("closed", () => peer.closes > 0 && client.closed())
      expect(client.received().length).toBe(0)
      expect(peer.closeReason).toBe("protocol-error")
    })
  )

  live(
    "hears that the peer ended",
    Effect.gen(function* () {
      const { client, peer } = yield* pair()
      client.write(Buffer.from("last words"))
      client.end()
      yield* until("closed", () => peer.closes > 0 && client.closed())
      expect(peer.received().toString()).toBe("last words")
      expect(peer.closeReason).toBe("peer-closed")
    })
  )

  live(
    "hears that the peer broke off",
    Effect.gen(function* () {
      const { client, peer } = yield* pair()
      client.destroy()
      yield* until("closed", () => peer.closes > 0)
      expect(["peer-reset", "peer-closed"]).toContain(peer.closeReason)
      if (harness.kind === "tcp") expect(peer.closeReason).toBe("peer-reset")
    })
  )

  if (harness.halfOpen)
    live(
      "answers a peer that has ended its side",
      Effect.gen(function* () {
        const { client, peer } = yield* pair()
        const bytes = pattern(500_000)
        peer.onChunk = () => peer.connection.write(bytes)
        client.write(Buffer.from("question"))
        client.end()
        yield* until("closed", () => peer.closes > 0 && client.closed())
        expect(digest(client.received())).toBe(digest(bytes))
      })
    )

  live(
    "ends a client that does not become established in time",
    Effect.gen(function* () {
      const { client, peer, connect, peers } = yield* pair({ connectTimeoutMs: 10 })
      client.write(Buffer.from("talks, but says nothing"))
      yield* harness.passTime(1_000)
      yield* until("closed", () => peer.closes > 0 && client.closed())
      expect(peer.closeReason).toBe("connect-timeout")
      yield* connect
      yield* until("accepted", () => peers.length === 2)
      peers[1]?.connection.established()
      yield* harness.passTime(1_000)
      yield* until("scanned again", () => true)
      expect(peers[1]?.closes).toBe(0)
    })
  )

  live(
    "ends a silent client, or tells its handler",
    Effect.gen(function* () {
      const { acceptor, peers } = makePeers((peer) => {
        peer.connection.established()
        if (peers.length === 2)
          peer.onIdle = () => {
            peer.idles += 1
          }
        peer.connection.setIdleTimeout(peers.length === 3 ? 0 : 600)
      })
      const { connect } = yield* harness.start({}, acceptor)
      for (let i = 0; i < 4; i++) {
        yield* connect
        yield* until("accepted", () => peers.length === i + 1)
      }
      const [silent, told, patient, paused] = peers as [Peer, Peer, Peer, Peer]
      paused.connection.pause(1)
      yield* harness.passTime(3_000)
      yield* until("timed out", () => silent.closes > 0 && told.idles >= 2)
      expect(silent.closeReason).toBe("idle-timeout")
      expect([told.closes, patient.closes, paused.closes]).toEqual([0, 0, 0])
    })
  )

  live(
    "stops by telling the handlers, and waits for them",
    Effect.gen(function* () {
      const { acceptor, peers } = makePeers((peer) => {
        peer.whenShutdown = () => {
          peer.connection.write(Buffer.from("goodbye"))
          peer.connection.close("drain")
        }
      })
      const scope = yield* Scope.make()
      const { connect, listener } = yield* Scope.extend(harness.start({}, acceptor), scope)
      const clients = [yield* connect, yield* connect]
      yield* until("accepted", () => peers.length === 2)
      yield* Scope.close(scope, Exit.void)
      expect(peers.map((peer) => [peer.shutdowns, peer.closes, peer.closeReason])).toEqual([
        [1, 1, "drain"],
        [1, 1, "drain"]
      ])
      expect(listener.connections()).toBe(0)
      yield* until("clients closed", () => clients.every((client) => client.closed()))
      expect(clients.map((client) => client.received().toString())).toEqual(["goodbye", "goodbye"])
      const late = yield* Effect.either(connect)
      if (late._tag === "Right") yield* until("late client refused", () => late.right.closed())
    })
  )

  live(
    "stops although a handler does not end",
    Effect.gen(function* () {
      const { acceptor, peers } = makePeers()
      const scope = yield* Scope.make()
      const { connect } = yield* Scope.extend(harness.start({ drainTimeoutMs: 20 }, acceptor), scope)
      yield* connect
      yield* until("accepted", () => peers.length === 1)
      yield* Scope.close(scope, Exit.void)
      expect(peers[0]?.closeReason).toBe("drain")
    })
  )

  const refusedBy = (
    reason: string,
    limits: Parameters<Harness["layer"]>[0],
    options: Parameters<Harness["start"]>[0],
    allowed: number
  ) =>
    it.scopedLive(`refuses by ${reason}`, () =>
      Effect.provide(
        Effect.gen(function* () {
          const { acceptor, peers } = makePeers(echo)
          const { connect } = yield* harness.start(options, acceptor)
          const clients = []
          for (let i = 0; i < allowed; i++) clients.push(yield* connect)
          yield* until("accepted", () => peers.length === allowed)
          // Who is refused makes no room for the next.
          for (const count of [1, 2]) {
            const more = yield* Effect.either(connect)
            if (more._tag === "Right") yield* until("refused", () => more.right.closed())
            expect(peers.length).toBe(allowed)
            expect(yield* metric(`effectmq_connections_refused_total{reason="${reason}"}`)).toBe(count)
          }
          if (reason === "rate-limit") return
          // A place that became free is given again.
          clients[0]?.end()
          yield* until("one less", () => peers[0]?.closes === 1)
          let next = yield* Effect.either(connect)
          yield* until("accepted again", () => peers.length === allowed + 1 || next._tag === "Left" || next.right.closed())
          while (peers.length === allowed) next = yield* Effect.either(connect)
        }),
        harness.layer(limits)
      )
    )

  refusedBy("total-limit", { connectionsMax: 2 }, {}, 2)
  refusedBy("address-limit", { connectionsPerAddressMax: 2 }, {}, 2)
  refusedBy("rate-limit", {}, { rate: { connectionsPerSecond: 0.001, burst: 2 } }, 2)
}

for (const harness of harnesses) describe(harness.name, () => suite(harness))
