import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Will } from "../src/codec/Packets.js"
import {
  decodeCheckpoint,
  decodeHeader,
  decodeProgress,
  decodeSubscription,
  decodeWill,
  encodeCheckpoint,
  encodeHeader,
  encodeProgress,
  encodeSubscription,
  encodeWill,
  headerKey,
  originOf,
  progressKey,
  readOrigin,
  readSessionKey,
  readWillOrigin,
  type StoredDelivery,
  type StoredHeader,
  type StoredProgress,
  type StoredSubscription,
  subscriptionKey,
  UnknownSessionRecord,
  willOriginOf
} from "../src/core/SessionRecords.js"

const golden = (name: string): Buffer => readFileSync(new URL(`../../../schemas/golden/session-${name}.bin`, import.meta.url))

const header: StoredHeader = {
  version: 5,
  incarnation: 1_700_000_000_123,
  expirySeconds: 0xffffffff,
  createdAtMs: 1_700_000_000_000,
  disconnectedAtMs: 1_700_000_005_000,
  user: "ada",
  will: {
    topic: "wills/ada",
    payload: Buffer.from("gone"),
    qos: 2,
    retain: true,
    delaySeconds: 30,
    messageExpirySeconds: 60,
    properties: {
      payloadFormat: 1,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([1, 2, 3]),
      userProperties: [
        ["a", "1"],
        ["a", "2"]
      ]
    }
  },
  connection: 12
}

const subscription: StoredSubscription = {
  qos: 2,
  noLocal: true,
  retainAsPublished: true,
  retainHandling: 1,
  subscriptionId: 268_435_455,
  since: [0, 17, 9_007_199_254_740_991],
  replay: true,
  filter: "rewritten/#"
}

const delivery: StoredDelivery = {
  packetId: 65_535,
  qos: 2,
  retain: true,
  released: true,
  source: -2,
  offset: -1,
  topic: "kept",
  subscriptionIds: [1, 300],
  groupFilter: "$share/g/#",
  handOut: 41
}

const progress: StoredProgress = {
  positions: [5, 0, 123_456_789_012],
  nextUse: 42,
  uses: [
    { packetId: 1, use: 40, received: true },
    { packetId: 7, use: 41, received: false }
  ],
  inflight: [
    delivery,
    {
      packetId: 2,
      qos: 1,
      retain: false,
      released: false,
      source: 3,
      offset: 77,
      topic: "",
      subscriptionIds: undefined,
      groupFilter: undefined,
      handOut: 0
    }
  ],
  nextHandOut: 42,
  replays: [{ filter: "kept/#", position: 7, until: 123_456 }]
}

describe("session records", () => {
  it("have these bytes, for ever", () => {
    expect(encodeHeader(header)).toEqual(golden("header-2"))
    expect(encodeWill(header.will as Will)).toEqual(golden("will-1"))
    expect(encodeSubscription(subscription)).toEqual(golden("subscription-1"))
    expect(encodeProgress(progress)).toEqual(golden("progress-2"))
    expect(encodeCheckpoint([1, 2, 3])).toEqual(golden("checkpoint-1"))
  })

  it("are read back from these bytes", () => {
    expect(decodeHeader(golden("header-2"))).toEqual(header)
    expect(decodeHeader(golden("header-1"))).toEqual({ ...header, connection: 0 })
    expect(decodeWill(golden("will-1"))).toEqual(header.will)
    expect(decodeSubscription(golden("subscription-1"))).toEqual(subscription)
    expect(decodeProgress(golden("progress-2"))).toEqual(progress)
    const inflight = progress.inflight.map((one) => ({ ...one, handOut: 0 }))
    expect(decodeProgress(golden("progress-1"))).toEqual({ ...progress, inflight, nextHandOut: 1, replays: [] })
    expect(decodeCheckpoint(golden("checkpoint-1"))).toEqual([1, 2, 3])
  })

  it("of a later version are refused", () => {
    const later = Buffer.from(golden("header-2"))
    later[0] = 3
    expect(() => decodeHeader(later)).toThrow(UnknownSessionRecord)
    expect(() => readSessionKey("x")).toThrow(UnknownSessionRecord)
  })

  it("read back what was written", () => {
    const position = fc.maxSafeNat()
    const stored: fc.Arbitrary<StoredDelivery> = fc
      .record({
        packetId: fc.integer({ min: 1, max: 65_535 }),
        qos: fc.constantFrom(1 as const, 2 as const),
        retain: fc.boolean(),
        released: fc.boolean(),
        source: fc.integer({ min: -2, max: 63 }),
        offset: fc.integer({ min: -1 }),
        topic: fc.string(),
        subscriptionIds: fc.option(fc.array(fc.integer({ min: 1, max: 268_435_455 })), { nil: undefined }),
        groupFilter: fc.option(fc.string({ unit: "grapheme" }), { nil: undefined }),
        handOut: position
      })
      .map((one) => ({
        ...one,
        topic: one.source === -2 ? one.topic : "",
        handOut: one.groupFilter === undefined ? 0 : one.handOut
      }))
    const arbitrary: fc.Arbitrary<StoredProgress> = fc.record({
      positions: fc.array(position),
      nextUse: position,
      uses: fc.array(fc.record({ packetId: fc.nat(65_535), use: position, received: fc.boolean() })),
      inflight: fc.array(stored),
      nextHandOut: position,
      replays: fc.array(fc.record({ filter: fc.string({ unit: "grapheme" }), position, until: position }))
    })
    fc.assert(
      fc.property(arbitrary, (one) => {
        expect(decodeProgress(encodeProgress(one))).toEqual(one)
      })
    )
  })

  it("have keys that name part, client and filter", () => {
    const text = fc.string({ unit: "grapheme" }).filter((one) => !one.includes("\u0000"))
    fc.assert(
      fc.property(text, text, (clientId, filter) => {
        expect(readSessionKey(headerKey(clientId))).toEqual({ part: "header", clientId })
        expect(readSessionKey(progressKey(clientId))).toEqual({ part: "progress", clientId })
        expect(readSessionKey(subscriptionKey(clientId, filter))).toEqual({ part: "subscription", clientId, filter })
      })
    )
  })

  it("have origins that name one use of one packet identifier", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme" }),
        fc.maxSafeNat(),
        fc.nat(65_535),
        fc.maxSafeNat(),
        (clientId, incarnation, packetId, use) => {
          expect(readOrigin(originOf(clientId, incarnation, packetId, use))).toEqual({ clientId, incarnation, packetId, use })
        }
      )
    )
    expect(readOrigin("d:1:2")).toBeUndefined()
  })

  it("have origins and keys that name the will of one connection", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.maxSafeNat(), fc.maxSafeNat(), (clientId, incarnation, connection) => {
        const origin = willOriginOf(clientId, incarnation, connection)
        expect(readWillOrigin(origin)).toEqual({ clientId, incarnation, connection })
        expect(readSessionKey(origin)).toEqual({ part: "will", origin })
      })
    )
    expect(readWillOrigin("q:1:2:3:a")).toBeUndefined()
  })
})
