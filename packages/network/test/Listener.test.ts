import { describe, expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import { layerMemory } from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import { clientAddress } from "@effectmq/network/core/ClientAddress"
import { TokenBucket } from "@effectmq/network/core/TokenBucket"
import { listen } from "@effectmq/network/Listener"
import { listenErrorOf } from "@effectmq/network/ListenError"
import type { ListenOptions } from "@effectmq/network/ListenOptions"
import * as Memory from "@effectmq/network/MemoryNetwork"
import * as Network from "@effectmq/network/Network"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import fc from "fast-check"
import { RefusalLog } from "../src/internal/RefusalLog.js"
import { tcpClient } from "./support/Clients.js"
import { makePeers } from "./support/Peer.js"
import { until } from "./support/until.js"

const services = Layer.provideMerge(ConnectionLimits.layer(), layerMemory)
const at = { kind: "tcp", host: "127.0.0.1", port: 0 } as const
const { acceptor } = makePeers()

describe("what cannot listen says so", () => {
  const failing = (name: string, options: ListenOptions, reason: string, text: string) =>
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(listen(options, acceptor))
        expect(error._tag).toBe("ListenError")
        expect(error.reason).toBe(reason)
        expect(error.message).toContain(`${options.host}:${options.port}`)
        expect(error.message).toContain(text)
      }).pipe(Effect.provide(services))
    )
  failing("an address of another host", { ...at, host: "192.0.2.1", port: 7 }, "address-not-available", "no such address")
  failing("a rate of nothing", { ...at, rate: { connectionsPerSecond: 0, burst: 1 } }, "invalid-options", "0 per second")
  failing("water marks out of order", { ...at, lowWaterMarkBytes: 9, highWaterMarkBytes: 8 }, "invalid-options", "out of order")

  it.scopedLive("a taken port", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(at, acceptor)
      const error = yield* Effect.flip(listen({ ...at, port }, acceptor))
      expect(error.reason).toBe("address-in-use")
      expect(error.message).toBe(`cannot listen for tcp on 127.0.0.1:${port}: the port is taken (EADDRINUSE)`)
    }).pipe(Effect.provide(services))
  )

  it.scopedLive("a taken port of the memory network", () =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      yield* network.listen({ ...at, port: 1883 }, acceptor)
      expect((yield* Effect.flip(network.listen({ ...at, port: 1883 }, acceptor))).reason).toBe("address-in-use")
      const wrong = { ...at, rate: { connectionsPerSecond: -1, burst: 1 } }
      expect((yield* Effect.flip(network.listen(wrong, acceptor))).reason).toBe("invalid-options")
    }).pipe(Effect.provide(Layer.provideMerge(Memory.layer(), services)))
  )

  it("a port that only the administrator may use", () => {
    const cause = Object.assign(new Error("listen EACCES"), { code: "EACCES" })
    expect(listenErrorOf({ ...at, port: 80 }, cause).reason).toBe("access-denied")
    expect(listenErrorOf({ ...at, port: 80 }, Object.assign(new Error("odd"), { code: "EODD" })).message).toContain("odd")
  })
})

it.scopedLive("a port is free again when the scope has closed", () =>
  Effect.gen(function* () {
    const { port } = yield* Effect.scoped(listen(at, acceptor))
    expect((yield* listen({ ...at, port }, acceptor)).port).toBe(port)
  }).pipe(Effect.provide(services))
)

describe("a token bucket", () => {
  it("gives a burst, then at its rate", () => {
    const bucket = new TokenBucket(10, 3)
    const taken = (nowMs: number, wanted: number) =>
      Array.from({ length: wanted }, () => bucket.take(nowMs)).filter(Boolean).length
    expect(taken(1000, 5)).toBe(3)
    expect(taken(1099, 1)).toBe(0)
    expect(taken(1100, 2)).toBe(1)
    expect(taken(500, 2)).toBe(0)
    expect(taken(100_000, 9)).toBe(3)
  })

  it("never gives more than burst and rate allow", () => {
    const steps = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 })
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 10 }), (waits, perSecond, burst) => {
        const bucket = new TokenBucket(perSecond, burst)
        let nowMs = 0
        let given = 0
        for (const wait of waits) {
          nowMs += wait
          if (bucket.take(nowMs)) given += 1
        }
        expect(given).toBeLessThanOrEqual(burst + (nowMs / 1000) * perSecond + 1e-6)
      })
    )
  })
})

it("one client has one address", () => {
  expect(clientAddress("::ffff:192.0.2.1")).toBe("192.0.2.1")
  expect(clientAddress("::FFFF:192.0.2.1")).toBe("192.0.2.1")
  expect(clientAddress("fe80::1%eth0")).toBe("fe80::1")
  expect(clientAddress("2001:DB8::1")).toBe("2001:db8::1")
  expect(clientAddress(undefined)).toBe("")
})

describe("limits", () => {
  it.effect("are shared and given back", () =>
    Effect.gen(function* () {
      const limits = yield* ConnectionLimits.ConnectionLimits
      expect([limits.acquire(), limits.acquire(), limits.acquire()]).toEqual([true, true, false])
      expect([limits.acquireAddress("a"), limits.acquireAddress("a"), limits.acquireAddress("b")]).toEqual([true, false, true])
      limits.release()
      limits.releaseAddress("a")
      expect([limits.acquire(), limits.acquireAddress("a")]).toEqual([true, true])
      expect(limits.connections()).toBe(2)
    }).pipe(
      Effect.provide(Layer.provideMerge(ConnectionLimits.layer({ connectionsMax: 2, connectionsPerAddressMax: 1 }), layerMemory))
    )
  )

  it.effect("count every refusal, and log few of them", () =>
    Effect.gen(function* () {
      const limits = yield* ConnectionLimits.ConnectionLimits
      const lines: Array<readonly [string, Record<string, string | number>]> = []
      const log = new RefusalLog(limits, (level, _message, annotations) => lines.push([level, annotations]), "tcp:here:1")
      for (let i = 0; i < 1000; i++) log.refused("total-limit", "192.0.2.1", 5_000 + i)
      log.refused("tls-handshake", "192.0.2.2", 5_500, "odd bytes")
      expect(lines).toEqual([
        ["warning", { listener: "tcp:here:1", reason: "total-limit", address: "192.0.2.1", count: 1 }],
        ["debug", { listener: "tcp:here:1", reason: "tls-handshake", address: "192.0.2.2", count: 1, detail: "odd bytes" }]
      ])
      log.refused("total-limit", "192.0.2.3", 15_000)
      expect(lines[2]?.[1]["count"]).toBe(1000)
      const meters = yield* Meters
      expect(meters.snapshot().get('effectmq_connections_refused_total{reason="total-limit"}')).toBe(1001)
    }).pipe(Effect.provide(services))
  )
})

describe("a handler that throws", () => {
  it.scopedLive("costs its own connection and nobody else's", () =>
    Effect.gen(function* () {
      const reasons: Array<string> = []
      const { port } = yield* listen(at, (connection) => ({
        onData: (chunk) => {
          if (chunk.toString() === "bad") throw new Error("as the test says")
          connection.write(chunk)
        },
        onDrain: () => {},
        onClose: (reason) => void reasons.push(reason),
        onShutdown: () => connection.close("drain")
      }))
      const good = yield* Effect.promise(() => tcpClient(port))
      const bad = yield* Effect.promise(() => tcpClient(port))
      bad.write(Buffer.from("bad"))
      yield* until("the connection ends", () => reasons.length === 1)
      expect(reasons).toEqual(["handler-fault"])
      good.write(Buffer.from("still here"))
      yield* until("the echo", () => good.received().toString() === "still here")
    }).pipe(Effect.provide(services))
  )
})
