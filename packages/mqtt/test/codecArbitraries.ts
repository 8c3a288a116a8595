/**
 * What the codec's property tests share: arbitrary packets in the shape of mqtt-packet, a recording handler, an output.
 */
import * as fc from "fast-check"
import type { MalformedPacket } from "../src/codec/MalformedPacket.js"
import { PacketLimits } from "../src/codec/PacketLimits.js"
import { PacketParser } from "../src/codec/PacketParser.js"
import type { ControlPacket, Output, ProtocolVersion } from "../src/codec/Packets.js"

/** Grows like a connection's slab: `reserve` may replace the buffer. */
export class TestOutput implements Output {
  buffer: Buffer = Buffer.alloc(16)
  length = 0
  reserve(size: number): void {
    if (this.length + size <= this.buffer.length) return
    const grown = Buffer.alloc(2 * (this.length + size), 0xee)
    this.buffer.copy(grown, 0, 0, this.length)
    this.buffer = grown
  }
  writeRange(source: Buffer, start: number, end: number): number {
    this.reserve(end - start)
    const at = this.length
    source.copy(this.buffer, at, start, end)
    this.length += end - start
    return at
  }
  writeShared(bytes: Buffer): void {
    this.writeRange(bytes, 0, bytes.length)
  }
  bytes(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length))
  }
}

/** Everything a parser handed over, as plain values. */
export interface Seen {
  readonly kind: string
  readonly [name: string]: unknown
}

export const record = (packetSizeMax = 1_000_000, limits = new PacketLimits(1024, 100_000_000, 10_000)) => {
  const seen: Array<Seen> = []
  const after = { each: () => {} }
  const add = (item: Seen): void => {
    seen.push(item)
    after.each()
  }
  const errors: Array<MalformedPacket> = []
  const parser: PacketParser = new PacketParser(
    {
      onPublish: (publish) =>
        add({
          kind: "publish",
          topic: publish.topic,
          topicBytes: publish.buffer.toString("utf8", publish.topicStart, publish.topicEnd),
          payload: Buffer.from(publish.buffer.subarray(publish.payloadStart, publish.payloadEnd)),
          frame: Buffer.from(publish.buffer.subarray(publish.frameStart, publish.frameEnd)),
          qos: publish.qos,
          dup: publish.dup,
          retain: publish.retain,
          packetId: publish.packetId,
          topicAlias: publish.topicAlias,
          messageExpirySeconds: publish.messageExpirySeconds,
          hasProperties: publish.hasProperties,
          properties: publish.properties
        }),
      onPuback: (packetId, reasonCode) => add({ kind: "puback", packetId, reasonCode }),
      onPubrec: (packetId, reasonCode) => add({ kind: "pubrec", packetId, reasonCode }),
      onPubrel: (packetId, reasonCode) => add({ kind: "pubrel", packetId, reasonCode }),
      onPubcomp: (packetId, reasonCode) => add({ kind: "pubcomp", packetId, reasonCode }),
      onPingreq: () => add({ kind: "pingreq" }),
      onPacket: (packet: ControlPacket) => add({ kind: packet.type, packet }),
      onMalformed: (error) => void errors.push(error)
    },
    packetSizeMax,
    limits
  )
  return { seen, errors, parser, after }
}

/** A minimal CONNECT. */
export const connectBytes = (version: ProtocolVersion): Buffer =>
  version === 3
    ? Buffer.from("100f00064d514973647003020000000161", "hex")
    : Buffer.from(version === 4 ? "100d00044d51545404020000000161" : "100e00044d5154540502000000000161", "hex")

/** Splits `bytes` at the given places. */
export const chunked = (bytes: Buffer, cuts: ReadonlyArray<number> | "whole" | "single bytes"): Array<Buffer> => {
  if (cuts === "whole") return [bytes]
  const every = cuts === "single bytes" ? Array.from(bytes.keys()) : cuts.map((cut) => cut % (bytes.length + 1))
  const places = [...new Set(every)].sort((a, b) => a - b)
  const chunks: Array<Buffer> = []
  let start = 0
  for (const place of [...places, bytes.length]) {
    // A chunk belongs to the parser: never a view of what another chunk shows.
    if (place > start) chunks.push(Buffer.from(bytes.subarray(start, place)))
    start = place
  }
  return chunks
}

export const text = (minLength = 0) =>
  fc.oneof(
    fc.string({ unit: "grapheme-ascii", minLength, maxLength: 40 }),
    fc.string({ unit: "binary", minLength, maxLength: 20 }).map((s) => s.replaceAll("\u0000", "x"))
  )
export const topicName = text(1).map((s) => s.replaceAll(/[+#]/g, "-"))
export const bytes = fc.uint8Array({ maxLength: 300 }).map((a) => Buffer.from(a))
export const uint16 = fc.integer({ min: 0, max: 65_535 })
export const packetId = fc.integer({ min: 1, max: 65_535 })
export const uint32 = fc.integer({ min: 0, max: 4_294_967_295 })
/** Unique names, because mqtt-packet does not keep the order of repeated ones. "__proto__" is nothing its objects can hold. */
export const userProperties = fc
  .uniqueArray(fc.tuple(text(1), text()), { selector: ([name]) => name, maxLength: 4 })
  .map((pairs) => pairs.filter(([name]) => name !== "__proto__" && !/^\d+$/.test(name)))
  .filter((pairs) => pairs.length > 0)

/** An object in which each key may be missing. */
export const maybe = <T extends Record<string, fc.Arbitrary<unknown>>>(model: T) =>
  fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<{ [K in keyof T]?: T[K] extends fc.Arbitrary<infer V> ? V : never }>
