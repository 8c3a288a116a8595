/**
 * What the broker sends is read by mqtt-packet as it was meant, and never larger than the client allows.
 */
import * as fc from "fast-check"
import { generate, type Packet, parser as oracle } from "mqtt-packet"
import { describe, expect, it } from "vitest"
import { encodePuback, encodePubcomp, encodePubrec, encodePubrel } from "../src/codec/Acknowledgement.js"
import { encodeAuth } from "../src/codec/Auth.js"
import { encodeConnack } from "../src/codec/Connack.js"
import { encodeDisconnect } from "../src/codec/Disconnect.js"
import type { Diagnostics, ProtocolVersion } from "../src/codec/Packets.js"
import { packetSizeLimit } from "../src/codec/Packets.js"
import { encodePingresp } from "../src/codec/Ping.js"
import { encodePublish, receivedFrame, type PublishContent } from "../src/codec/PublishEncoder.js"
import { connackReturnCode } from "../src/codec/ReasonCode.js"
import { encodeSuback, encodeUnsuback } from "../src/codec/Suback.js"
import {
  bytes,
  connectBytes,
  maybe,
  packetId,
  record,
  TestOutput,
  text,
  topicName,
  uint16,
  uint32,
  userProperties
} from "./codecArbitraries.js"

/** What mqtt-packet makes of the bytes. */
const read = (out: TestOutput, version: ProtocolVersion): Array<Record<string, unknown>> => {
  const packets: Array<Record<string, unknown>> = []
  const parser = oracle({ protocolVersion: version })
  parser.on("packet", (packet) => void packets.push({ ...packet }))
  parser.on("error", (error) => {
    throw error
  })
  parser.parse(out.bytes())
  return packets
}

/** Drops keys that are undefined, as mqtt-packet never has them. */
const present = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

const asObject = (pairs: ReadonlyArray<readonly [string, string]> | undefined) =>
  pairs === undefined ? undefined : Object.assign(Object.create(null), Object.fromEntries(pairs))

const versions = fc.constantFrom(3 as const, 4 as const, 5 as const)
const qosArbitrary = fc.constantFrom(0 as const, 1 as const, 2 as const)

const content = fc.record({
  topic: fc.oneof(topicName, fc.constant("a".repeat(200))),
  payload: fc.oneof(bytes, fc.constant(Buffer.alloc(3000, 7)), fc.constant(Buffer.alloc(20_000, 7))),
  properties: fc.option(
    maybe({
      payloadFormat: fc.constantFrom(0 as const, 1 as const),
      contentType: text(),
      responseTopic: topicName,
      correlationData: bytes,
      userProperties
    }),
    { nil: undefined }
  )
})

const contentOf = (c: { topic: string; payload: Buffer; properties: PublishContent["properties"] }): PublishContent => ({
  topic: c.topic,
  bytes: Buffer.concat([Buffer.from("before"), c.payload, Buffer.from("behind")]),
  payloadStart: 6,
  payloadEnd: 6 + c.payload.length,
  properties: c.properties,
  cache: undefined
})

const delivery = fc.record({
  version: versions,
  qos: qosArbitrary,
  retain: fc.boolean(),
  dup: fc.boolean(),
  packetId,
  extras: fc.option(
    fc.record({
      topicAlias: uint16,
      topicOmitted: fc.boolean(),
      messageExpirySeconds: fc.option(uint32, { nil: undefined }),
      subscriptionIdentifiers: fc.option(fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 3 }), { nil: undefined })
    }),
    { nil: undefined }
  )
})

type Delivery = typeof delivery extends fc.Arbitrary<infer D> ? D : never

const expectedPublish = (message: PublishContent, d: Delivery) => {
  const five = d.version === 5
  const extras = five ? d.extras : undefined
  const ids = extras?.subscriptionIdentifiers
  const carried = five ? message.properties : undefined
  const properties = present({
    topicAlias: extras === undefined || extras.topicAlias === 0 ? undefined : extras.topicAlias,
    messageExpiryInterval: extras?.messageExpirySeconds,
    subscriptionIdentifier: ids === undefined || ids.length === 0 ? undefined : ids.length === 1 ? ids[0] : ids,
    payloadFormatIndicator: carried?.payloadFormat === undefined ? undefined : carried.payloadFormat === 1,
    contentType: carried?.contentType,
    responseTopic: carried?.responseTopic,
    correlationData: carried?.correlationData,
    userProperties: asObject(carried?.userProperties)
  })
  return {
    cmd: "publish",
    topic: extras?.topicOmitted === true ? "" : message.topic,
    payload: message.bytes.toString("hex", message.payloadStart, message.payloadEnd),
    qos: d.qos,
    dup: d.dup && d.qos > 0,
    retain: d.retain,
    ...(d.qos > 0 ? { messageId: d.packetId } : {}),
    ...(Object.keys(properties).length > 0 ? { properties } : {})
  }
}

const comparable = (packet: Record<string, unknown>) => {
  const { length: _, ...rest } = packet
  // Equal as text: element by element is slow.
  return { ...rest, payload: (rest["payload"] as Buffer).toString("hex") }
}

describe("PUBLISH", () => {
  it("is what mqtt-packet reads, for every subscriber of a message in turn", () => {
    fc.assert(
      fc.property(content, fc.array(delivery, { minLength: 1, maxLength: 12 }), (c, deliveries) => {
        const message = contentOf(c)
        for (const d of deliveries) {
          const out = new TestOutput()
          const written = encodePublish(out, d.version, message, d.qos, d.retain, d.dup, d.packetId, d.extras, packetSizeLimit)
          expect(written).toBe(true)
          expect(read(out, d.version).map(comparable)).toEqual([expectedPublish(message, d)])
        }
      }),
      { numRuns: 300 }
    )
  })

  it("is the same where the message brings the frame it came in", () => {
    fc.assert(
      fc.property(
        content,
        versions,
        qosArbitrary,
        fc.array(delivery, { minLength: 1, maxLength: 6 }),
        (c, version, qos, deliveries) => {
          const { parser, seen } = record()
          let message: PublishContent | undefined
          const { handler } = parser as unknown as { handler: { onPublish: unknown } }
          handler.onPublish = (publish: Parameters<typeof receivedFrame>[0]) => {
            const { topic, buffer, payloadStart, payloadEnd, properties } = publish
            message = { topic, bytes: buffer, payloadStart, payloadEnd, properties, cache: receivedFrame(publish, version) }
          }
          parser.push(connectBytes(version))
          expect(seen.length).toBe(1)
          parser.push(
            generate({ cmd: "publish", ...c, properties: {}, qos, dup: false, retain: true, messageId: 9 } as Packet, {
              protocolVersion: version
            })
          )
          for (const d of deliveries) {
            const out = new TestOutput()
            encodePublish(
              out,
              d.version,
              message as PublishContent,
              d.qos,
              d.retain,
              d.dup,
              d.packetId,
              d.extras,
              packetSizeLimit
            )
            expect(read(out, d.version).map(comparable)).toEqual([expectedPublish(message as PublishContent, d)])
          }
        }
      ),
      { numRuns: 200 }
    )
  })

  it("keeps the order of user properties, names repeating [MQTT5-3.3.2-18]", () => {
    const user = [
      ["b", "1"],
      ["a", "2"],
      ["b", "3"]
    ] as const
    const { parser, seen } = record()
    parser.push(connectBytes(5))
    const message = contentOf({ topic: "t", payload: Buffer.alloc(0), properties: { userProperties: user } })
    const out = new TestOutput()
    encodePublish(out, 5, message, 0, false, false, 0, undefined, packetSizeLimit)
    parser.push(out.bytes())
    expect(seen[1]?.["properties"]).toMatchObject({ userProperties: user })
  })

  it("is not written where it is larger than the client allows [MQTT5-3.1.2-24]", () => {
    fc.assert(
      fc.property(content, delivery, (c, d) => {
        const message = contentOf(c)
        const write = (max: number) => {
          const out = new TestOutput()
          const written = encodePublish(out, d.version, message, d.qos, d.retain, d.dup, d.packetId, d.extras, max)
          return { written, size: out.length }
        }
        const { size } = write(packetSizeLimit)
        for (let i = 0; i < 3; i++) {
          expect(write(size)).toEqual({ written: true, size })
          expect(write(size - 1)).toEqual({ written: false, size: 0 })
        }
      }),
      { numRuns: 100 }
    )
  })
})

describe("a large PUBLISH", () => {
  class SharingOutput extends TestOutput {
    readonly shared: Array<Buffer> = []
    override writeShared(bytes: Buffer): void {
      this.shared.push(bytes)
      super.writeShared(bytes)
    }
  }

  it.each([
    { bytes: 32 * 1024 - 1, isShared: false },
    { bytes: 32 * 1024, isShared: true },
    { bytes: 700_000, isShared: true }
  ])("of $bytes bytes to many: the payload is shared: $isShared", ({ bytes, isShared }) => {
    const payload = Buffer.alloc(bytes, 7)
    const message = contentOf({ topic: "big", payload, properties: undefined })
    const extras = { topicAlias: 0, topicOmitted: false, messageExpirySeconds: 5, subscriptionIdentifiers: [1] }
    for (const version of [4, 5, 4, 5] as const) {
      for (const given of [undefined, extras]) {
        const out = new SharingOutput()
        expect(encodePublish(out, version, message, 1, false, false, 77, given, packetSizeLimit)).toBe(true)
        expect(out.shared.map(({ buffer, length }) => [buffer === message.bytes.buffer, length])).toEqual(
          isShared ? [[true, bytes]] : []
        )
        const [packet] = read(out, version)
        expect(packet).toMatchObject({ cmd: "publish", topic: "big", qos: 1, messageId: 77 })
        expect(payload.equals(packet?.["payload"] as Buffer)).toBe(true)
      }
    }
  })
})

const diagnostics = maybe({ reasonString: text(), userProperties })

describe("control packets", () => {
  it("PUBACK, PUBREC, PUBREL and PUBCOMP are what mqtt-packet reads, and stay within the client's limit [MQTT5-3.4.2-2] [MQTT5-3.4.2-3] [MQTT5-3.5.2-2] [MQTT5-3.5.2-3] [MQTT5-3.6.2-2] [MQTT5-3.6.2-3] [MQTT5-3.7.2-2] [MQTT5-3.7.2-3]", () => {
    const encoders = { puback: encodePuback, pubrec: encodePubrec, pubrel: encodePubrel, pubcomp: encodePubcomp } as const
    fc.assert(
      fc.property(
        versions,
        fc.constantFrom("puback" as const, "pubrec" as const, "pubrel" as const, "pubcomp" as const),
        packetId,
        fc.boolean(),
        fc.option(diagnostics, { nil: undefined }),
        fc.integer({ min: 8, max: 200 }),
        (version, kind, id, bad, extra, max) => {
          const code = bad ? (kind === "puback" || kind === "pubrec" ? 0x97 : 0x92) : 0
          const out = new TestOutput()
          encoders[kind](out, version, id, code, extra, max)
          expect(out.length).toBeLessThanOrEqual(max)
          const [packet, ...more] = read(out, version)
          expect(more).toEqual([])
          expect(packet).toMatchObject({ cmd: kind, messageId: id, ...(version === 5 ? { reasonCode: code } : {}) })
          if (out.length === 4) return
          const { reasonString, userProperties: user } = (packet?.["properties"] ?? {}) as Record<string, unknown>
          expect([undefined, extra?.reasonString]).toContain(reasonString)
          if (user !== undefined) expect(user).toEqual(asObject(extra?.userProperties))
        }
      )
    )
    const short = new TestOutput()
    encodePuback(short, 5, 0x1234, 0)
    expect(short.bytes().toString("hex")).toBe("40021234")
    const long = new TestOutput()
    encodePubrel(long, 5, 0x1234, 0x92)
    expect(long.bytes().toString("hex")).toBe("6203123492")
  })

  it("CONNACK is what mqtt-packet reads", () => {
    const fields = maybe({
      sessionExpirySeconds: uint32,
      receiveMaximum: packetId,
      maximumQos: fc.constantFrom(0 as const, 1 as const),
      retainAvailable: fc.boolean(),
      maximumPacketSize: uint32,
      assignedClientId: text(1),
      topicAliasMaximum: uint16,
      wildcardSubscriptionAvailable: fc.boolean(),
      subscriptionIdentifiersAvailable: fc.boolean(),
      sharedSubscriptionAvailable: fc.boolean(),
      serverKeepAliveSeconds: uint16,
      responseInformation: text(),
      serverReference: text(),
      authenticationMethod: text(),
      authenticationData: bytes,
      reasonString: text(),
      userProperties
    })
    fc.assert(
      fc.property(
        versions,
        fc.boolean(),
        fc.constantFrom(0, 0x84, 0x85, 0x87, 0x89),
        fields,
        (version, sessionPresent, reasonCode, f) => {
          const out = new TestOutput()
          expect(encodeConnack(out, version, { sessionPresent, reasonCode, ...f })).toBe(true)
          const [packet] = read(out, version)
          expect(packet?.["sessionPresent"]).toBe(sessionPresent && reasonCode === 0 && version > 3)
          if (version < 5) {
            expect(packet?.["returnCode"]).toBe(connackReturnCode(reasonCode))
            return
          }
          expect(packet?.["reasonCode"]).toBe(reasonCode)
          const { sessionExpirySeconds, assignedClientId, maximumQos, serverKeepAliveSeconds, userProperties: user, ...same } = f
          expect(packet?.["properties"] ?? {}).toEqual(
            present({
              ...same,
              sessionExpiryInterval: sessionExpirySeconds,
              assignedClientIdentifier: assignedClientId,
              maximumQoS: maximumQos,
              serverKeepAlive: serverKeepAliveSeconds,
              userProperties: asObject(user)
            })
          )
        }
      )
    )
  })

  it("CONNACK leaves diagnostics out before it grows too large, and is not written where the rest is [MQTT5-3.2.2-19] [MQTT5-3.2.2-20]", () => {
    const fields = {
      sessionPresent: false,
      reasonCode: 0x87,
      reasonString: "no such luck",
      userProperties: [["a", "b"]] as const
    }
    const size = (max: number) => {
      const out = new TestOutput()
      return encodeConnack(out, 5, fields, max) ? out.length : 0
    }
    expect(size(100)).toBe(5 + 15 + 7)
    expect(size(26)).toBe(5 + 15)
    expect(size(19)).toBe(5 + 7)
    expect(size(11)).toBe(5)
    expect(size(4)).toBe(0)
  })

  it("an old client hears nothing where there is no return code for the reason [MQTT3-3.2.2-6]", () => {
    const out = new TestOutput()
    expect(encodeConnack(out, 4, { sessionPresent: false, reasonCode: 0x81 })).toBe(false)
    expect(out.length).toBe(0)
  })

  it("SUBACK and UNSUBACK are what mqtt-packet reads", () => {
    const codes = fc.array(fc.constantFrom(0, 1, 2, 0x80, 0x87, 0x8f), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(versions, packetId, codes, diagnostics, (version, id, reasonCodes, extra) => {
        const out = new TestOutput()
        expect(encodeSuback(out, version, id, reasonCodes, extra)).toBe(true)
        const five = version === 5
        const granted = five ? reasonCodes : reasonCodes.map((code) => (code > 2 ? 0x80 : code))
        const properties = present({ reasonString: extra.reasonString, userProperties: asObject(extra.userProperties) })
        const some = five && Object.keys(properties).length > 0
        const [packet] = read(out, version)
        expect(packet).toMatchObject({ cmd: "suback", messageId: id, granted, ...(some ? { properties } : {}) })
        const un = new TestOutput()
        const unCodes = reasonCodes.map((code) => (code === 1 || code === 2 ? 0x11 : code))
        expect(encodeUnsuback(un, version, id, unCodes, extra)).toBe(true)
        expect(read(un, version)[0]).toMatchObject({
          cmd: "unsuback",
          messageId: id,
          ...(five ? { granted: unCodes } : {}),
          ...(some ? { properties } : {})
        })
      })
    )
  })

  it("DISCONNECT, AUTH and PINGRESP are what mqtt-packet reads", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0x81, 0x8e, 0x9c),
        diagnostics,
        fc.option(text(1), { nil: undefined }),
        (reasonCode, extra, reference) => {
          const out = new TestOutput()
          expect(encodeDisconnect(out, { reasonCode, serverReference: reference, ...extra })).toBe(true)
          encodePingresp(out)
          expect(
            encodeAuth(out, {
              reasonCode: 0x18,
              authenticationMethod: "SCRAM-SHA-256",
              authenticationData: Buffer.from("x"),
              ...extra
            })
          ).toBe(true)
          const properties = present({ reasonString: extra.reasonString, userProperties: asObject(extra.userProperties) })
          const packets: Array<Record<string, unknown>> = []
          const parser = oracle({ protocolVersion: 5 })
          parser.on("packet", (packet) => void packets.push({ ...packet }))
          // mqtt-packet reads a DISCONNECT without properties beyond its end where more follows: one at a time.
          const all = out.bytes()
          for (let at = 0; at < all.length; ) {
            let size = 0
            let i = at + 1
            for (let shift = 0; ; shift += 7) {
              const byte = all[i++] as number
              size |= (byte & 127) << shift
              if (byte < 128) break
            }
            parser.parse(all.subarray(at, i + size))
            at = i + size
          }
          const [disconnect, ping, auth] = packets
          const expected = present({ ...properties, serverReference: reference })
          expect(disconnect).toMatchObject({ cmd: "disconnect", reasonCode })
          expect(disconnect?.["properties"] ?? {}).toEqual(expected)
          expect(ping).toMatchObject({ cmd: "pingresp" })
          expect(auth).toMatchObject({ cmd: "auth", reasonCode: 0x18 })
          expect(auth?.["properties"]).toEqual({
            ...properties,
            authenticationMethod: "SCRAM-SHA-256",
            authenticationData: Buffer.from("x")
          })
        }
      )
    )
  })

  it("SUBACK, UNSUBACK, DISCONNECT and AUTH stay within the client's limit [MQTT5-3.9.2-1] [MQTT5-3.9.2-2] [MQTT5-3.11.2-1] [MQTT5-3.11.2-2] [MQTT5-3.14.2-3] [MQTT5-3.14.2-4] [MQTT5-3.15.2-2] [MQTT5-3.15.2-3]", () => {
    const encoders: ReadonlyArray<(out: TestOutput, extra: Diagnostics, max: number) => boolean> = [
      (out, extra, max) => encodeSuback(out, 5, 1, [0, 0x87], extra, max),
      (out, extra, max) => encodeUnsuback(out, 5, 1, [0, 0x11], extra, max),
      (out, extra, max) => encodeDisconnect(out, { reasonCode: 0x81, ...extra }, max),
      (out, extra, max) => encodeAuth(out, { reasonCode: 0x18, authenticationMethod: "m", ...extra }, max)
    ]
    fc.assert(
      fc.property(fc.constantFrom(...encoders), diagnostics, fc.integer({ min: 1, max: 120 }), (encode, extra, max) => {
        const bare = new TestOutput()
        encode(bare, {}, packetSizeLimit)
        const out = new TestOutput()
        expect(encode(out, extra, max)).toBe(bare.length <= max)
        expect(out.length).toBeLessThanOrEqual(max)
        if (bare.length <= max) expect(out.length).toBeGreaterThanOrEqual(bare.length)
      })
    )
  })
})
