/**
 * Random and mutated bytes: the parser ends in packets or in one MalformedPacket, never in another error or without end, and
 * what it makes of bytes does not depend on how they were cut.
 */
import * as fc from "fast-check"
import { generate, type Packet } from "mqtt-packet"
import { describe, expect, it } from "vitest"
import { MalformedPacket } from "../src/codec/MalformedPacket.js"
import type { ProtocolVersion } from "../src/codec/Packets.js"
import { chunked, connectBytes, record } from "./codecArbitraries.js"

const outcome = (version: ProtocolVersion | 0, chunks: ReadonlyArray<Buffer>) => {
  const { parser, seen, errors } = record(5000)
  if (version !== 0) parser.push(connectBytes(version))
  for (const chunk of chunks) parser.push(chunk)
  for (const error of errors) expect(error).toBeInstanceOf(MalformedPacket)
  expect(errors.length).toBe(parser.closed ? 1 : 0)
  return { seen, error: errors[0]?.reasonCode, clause: errors[0]?.clause, closed: parser.closed }
}

const samples = (version: 3 | 4 | 5): ReadonlyArray<Buffer> => {
  const five = version === 5
  const packets = [
    { cmd: "publish", topic: "a/b", payload: "hello", qos: 1, messageId: 3, dup: false, retain: false },
    { cmd: "publish", topic: "a/\u00e4\u{1f600}", payload: "hello", qos: 0, dup: false, retain: true },
    { cmd: "puback", messageId: 3 },
    { cmd: "pubrel", messageId: 3 },
    {
      cmd: "subscribe",
      messageId: 4,
      subscriptions: [
        { topic: "a/#", qos: 1 },
        { topic: "$share/g/b", qos: 2 }
      ]
    },
    { cmd: "unsubscribe", messageId: 4, unsubscriptions: ["a/#", "b"] },
    { cmd: "pingreq" },
    { cmd: "disconnect" },
    ...(five
      ? [
          {
            cmd: "publish",
            topic: "t",
            payload: "x",
            qos: 2,
            messageId: 8,
            dup: true,
            retain: false,
            properties: { topicAlias: 4, messageExpiryInterval: 9, userProperties: { a: "b" }, contentType: "c" }
          },
          { cmd: "pubrec", messageId: 3, reasonCode: 0x97, properties: { reasonString: "no" } },
          { cmd: "auth", reasonCode: 0x18, properties: { authenticationMethod: "m", authenticationData: Buffer.from("d") } }
        ]
      : [])
  ] as ReadonlyArray<Packet>
  return packets.map((packet) => generate(packet, { protocolVersion: version }))
}

const connects = [
  ...([3, 4, 5] as const).map(connectBytes),
  generate({
    cmd: "connect",
    protocolVersion: 5,
    clientId: "c",
    clean: false,
    keepalive: 60,
    username: "u",
    password: Buffer.from("p"),
    will: { topic: "w", payload: "gone", qos: 1, retain: true, properties: { willDelayInterval: 5, contentType: "t" } },
    properties: { sessionExpiryInterval: 60, receiveMaximum: 5, authenticationMethod: "m" }
  } as Packet)
]

const mutation = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom("set", "insert", "remove", "flip"),
  value: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }))
})

const mutate = (bytes: Buffer, mutations: ReadonlyArray<{ at: number; kind: string; value: number }>): Buffer => {
  const all = [...bytes]
  for (const { at, kind, value } of mutations) {
    const place = at % (all.length + 1)
    if (kind === "insert") all.splice(place, 0, value)
    else if (kind === "remove") all.splice(place, 1)
    else if (place < all.length) all[place] = kind === "set" ? value : (all[place] as number) ^ (1 << (value & 7))
  }
  return Buffer.from(all)
}

const versions = fc.constantFrom(0 as const, 3 as const, 4 as const, 5 as const)

describe("fuzz", () => {
  it("random bytes", () => {
    fc.assert(
      fc.property(
        versions,
        fc.uint8Array({ minLength: 1, maxLength: 400 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (version, raw, cuts) => {
          const bytes = Buffer.from(raw)
          expect(outcome(version, chunked(bytes, cuts))).toEqual(outcome(version, [bytes]))
        }
      ),
      { numRuns: 3000 }
    )
  })

  it("mutated packets", () => {
    const stream = fc.oneof(
      ...([3, 4, 5] as const).map((version) =>
        fc
          .array(fc.constantFrom(...samples(version)), { minLength: 1, maxLength: 4 })
          .map((packets) => ({ version: version as ProtocolVersion | 0, bytes: Buffer.concat(packets) }))
      ),
      fc.constantFrom(...connects).map((bytes) => ({ version: 0 as const, bytes }))
    )
    fc.assert(
      fc.property(
        stream,
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        fc.oneof(fc.constant("single bytes" as const), fc.array(fc.nat(), { maxLength: 5 })),
        ({ version, bytes }, mutations, cuts) => {
          const mutated = mutate(bytes, mutations)
          expect(outcome(version, chunked(mutated, cuts))).toEqual(outcome(version, [Buffer.from(mutated)]))
        }
      ),
      { numRuns: 5000 }
    )
  })
})
