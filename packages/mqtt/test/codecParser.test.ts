/**
 * The parser's own behaviour: limits, pieces, stopping, reuse; and the topic cache.
 */
import { describe, expect, it } from "vitest"
import { MalformedPacket } from "../src/codec/MalformedPacket.js"
import { PacketLimits } from "../src/codec/PacketLimits.js"
import { PacketParser, type ParsedPublish } from "../src/codec/PacketParser.js"
import { carriable, mayCarry, ReasonCode } from "../src/codec/ReasonCode.js"
import { TopicCache } from "../src/codec/TopicName.js"
import { connectBytes, record } from "./codecArbitraries.js"

const publishBytes = (topic: string, payload: Buffer): Buffer => {
  const name = Buffer.from(topic)
  const body = 2 + name.length + payload.length
  const header = [0x30]
  let rest = body
  while (rest > 127) {
    header.push((rest & 127) | 128)
    rest >>>= 7
  }
  header.push(rest)
  return Buffer.concat([Buffer.from(header), Buffer.of(name.length >> 8, name.length), name, payload])
}

const withPublish = (
  onPublish: (publish: ParsedPublish, parser: PacketParser) => void,
  packetSizeMax = 10_000_000,
  limits = new PacketLimits(1024, 100_000_000, 10_000)
) => {
  const none = () => {}
  const errors: Array<MalformedPacket> = []
  const parser: PacketParser = new PacketParser(
    {
      onPublish: (publish) => onPublish(publish, parser),
      onPuback: none,
      onPubrec: none,
      onPubrel: none,
      onPubcomp: none,
      onPingreq: none,
      onPacket: none,
      onMalformed: (error) => void errors.push(error)
    },
    packetSizeMax,
    limits
  )
  parser.push(connectBytes(4))
  return { parser, errors }
}

describe("PacketParser", () => {
  it("parses a packet in one chunk where it is, and reuses the object it hands over", () => {
    const objects = new Set<ParsedPublish>()
    const buffers = new Set<Buffer>()
    const { parser } = withPublish((publish) => {
      objects.add(publish)
      buffers.add(publish.buffer)
    })
    const chunk = Buffer.concat([publishBytes("a", Buffer.from("x")), publishBytes("b", Buffer.from("y"))])
    parser.push(chunk)
    expect(objects.size).toBe(1)
    expect([...buffers]).toEqual([chunk])
    expect(buffers.has(chunk)).toBe(true)
  })

  it("gathers a large packet from pieces, holding no more than has come, doubled", () => {
    const payload = Buffer.alloc(3_000_000, 0xab)
    const payloads: Array<Buffer> = []
    const { parser } = withPublish((publish) => {
      payloads.push(publish.buffer.subarray(publish.payloadStart, publish.payloadEnd))
    })
    const all = publishBytes("big", payload)
    for (let at = 0; at < all.length; at += 50_000) {
      parser.push(Buffer.from(all.subarray(at, at + 50_000)))
      const { partial } = parser as unknown as { partial: Buffer }
      expect(partial.length).toBeLessThanOrEqual(Math.max(4096, 2 * (at + 50_000)))
    }
    expect(payloads.length).toBe(1)
    expect(payload.equals(payloads[0] as Buffer)).toBe(true)
    expect(parser.heldBytes).toBe(0)
  })

  it("takes memory for unfinished packets from what all parsers share, and gives it back", () => {
    const limits = new PacketLimits(10, 200_000, 10)
    const got: Array<number> = []
    const open = () => withPublish((publish) => void got.push(publish.payloadEnd - publish.payloadStart), undefined, limits)
    const big = publishBytes("big", Buffer.alloc(100_000))
    const first = open()
    const second = open()
    first.parser.push(Buffer.from(big.subarray(0, 60_000)))
    expect(limits.unfinishedBytes).toBe(big.length)
    second.parser.push(Buffer.from(big.subarray(0, 40_000)))
    expect(limits.unfinishedBytes).toBe(big.length + 80_000)
    // It would have to grow, and there is no room.
    second.parser.push(Buffer.from(big.subarray(40_000, 90_000)))
    expect(second.errors).toMatchObject([{ reasonCode: 0x97, isShortage: true }])
    expect(limits).toMatchObject({ unfinishedBytes: big.length, unfinishedRefused: 1 })
    // Small ones find room all the same, and so do those that come whole.
    const third = open()
    limits.unfinishedBytesMax = big.length
    const small = publishBytes("small", Buffer.alloc(4000))
    third.parser.push(Buffer.from(small.subarray(0, 3000)))
    third.parser.push(Buffer.concat([small.subarray(3000), big]))
    expect(third.errors).toEqual([])
    first.parser.push(Buffer.from(big.subarray(60_000)))
    expect(got).toEqual([4000, 100_000, 100_000])
    expect(limits.unfinishedBytes).toBe(0)
    // What a connection leaves behind is free again.
    third.parser.push(Buffer.from(big.subarray(0, 5000)))
    expect(limits.unfinishedBytes).toBe(10_000)
    third.parser.close()
    third.parser.close()
    expect(limits.unfinishedBytes).toBe(0)
  })

  it("stops in the middle of a chunk and goes on in order, also with what came meanwhile", () => {
    const topics: Array<string> = []
    const { parser } = withPublish((publish, parser) => {
      topics.push(publish.topic)
      if (publish.topic === "b") parser.stop()
    })
    const packets = ["a", "b", "c", "d", "e"].map((topic) => publishBytes(topic, Buffer.alloc(0)))
    parser.push(Buffer.concat(packets.slice(0, 3)))
    parser.push(Buffer.concat(packets.slice(3)))
    expect(topics).toEqual(["a", "b"])
    expect(parser.heldBytes).toBe(15)
    parser.resume()
    expect(topics).toEqual(["a", "b", "c", "d", "e"])
    expect(parser.heldBytes).toBe(0)
  })

  it("takes stop and resume inside one call for nothing", () => {
    const topics: Array<string> = []
    const { parser } = withPublish((publish, parser) => {
      topics.push(publish.topic)
      parser.stop()
      parser.resume()
    })
    parser.push(Buffer.concat(["a", "b"].map((topic) => publishBytes(topic, Buffer.alloc(0)))))
    expect(topics).toEqual(["a", "b"])
  })

  it("hands nothing over once closed", () => {
    const topics: Array<string> = []
    const { parser, errors } = withPublish((publish, parser) => {
      topics.push(publish.topic)
      parser.close()
    })
    parser.push(Buffer.concat(["a", "b"].map((topic) => publishBytes(topic, Buffer.alloc(0)))))
    parser.push(Buffer.of(0, 0))
    parser.resume()
    expect(topics).toEqual(["a"])
    expect(errors).toEqual([])
    expect(parser.heldBytes).toBe(0)
  })

  it("treats a MalformedPacket of its handler as its own, and lets other errors through", () => {
    const alias = withPublish(() => {
      throw new MalformedPacket(ReasonCode.topicAliasInvalid, "alias over the maximum", "MQTT-3.3.2-9")
    })
    alias.parser.push(publishBytes("a", Buffer.alloc(0)))
    expect(alias.errors[0]?.reasonCode).toBe(0x94)
    expect(alias.parser.closed).toBe(true)
    const bug = withPublish(() => {
      throw new Error("a bug")
    })
    expect(() => bug.parser.push(publishBytes("a", Buffer.alloc(0)))).toThrow("a bug")
  })

  it("obeys a changed packet size", () => {
    const { parser, errors } = withPublish(() => {}, 20)
    parser.packetSizeMax = 10
    parser.push(publishBytes("a", Buffer.alloc(10)))
    expect(errors[0]?.reasonCode).toBe(0x95)
  })

  it("keeps the packets before a malformed one", () => {
    const { parser, seen, errors } = record()
    parser.push(Buffer.concat([connectBytes(4), publishBytes("a", Buffer.alloc(0)), Buffer.of(0xc1, 0)]))
    expect(seen.map(({ kind }) => kind)).toEqual(["connect", "publish"])
    expect(errors.length).toBe(1)
  })
})

describe("TopicCache", () => {
  const get = (cache: TopicCache, topic: string) => {
    const bytes = Buffer.from(`--${topic}--`)
    return cache.get(bytes, 2, bytes.length - 2)
  }

  it("gives each topic, however few its slots", () => {
    for (const slots of [1, 2, 64]) {
      const cache = new TopicCache(slots)
      const topics = ["a", "b", "a/b", "\u00e4", "a\u0301", "\u{1f600}", "x".repeat(300), "aa", "bb"]
      for (let round = 0; round < 3; round++) for (const topic of topics) expect(get(cache, topic)).toBe(topic)
    }
  })

  it("judges a topic each time it is not known", () => {
    const cache = new TopicCache(1)
    for (let round = 0; round < 2; round++) {
      expect(() => get(cache, "a/+")).toThrow(MalformedPacket)
      expect(() => get(cache, "")).toThrow(MalformedPacket)
      expect(get(cache, "a/b")).toBe("a/b")
    }
  })
})

describe("ReasonCode", () => {
  it("knows which packet carries which", () => {
    expect(mayCarry("puback", ReasonCode.noMatchingSubscribers)).toBe(true)
    expect(mayCarry("pubrel", ReasonCode.noMatchingSubscribers)).toBe(false)
    expect(mayCarry("disconnect", ReasonCode.sessionTakenOver)).toBe(true)
    expect(mayCarry("connack", ReasonCode.banned)).toBe(true)
    expect(mayCarry("suback", ReasonCode.banned)).toBe(false)
    expect(carriable("disconnect", ReasonCode.badUserNameOrPassword)).toBe(ReasonCode.notAuthorized)
    expect(carriable("disconnect", ReasonCode.sessionTakenOver)).toBe(ReasonCode.sessionTakenOver)
    expect(carriable("connack", ReasonCode.sessionTakenOver)).toBe(ReasonCode.unspecifiedError)
  })
})
