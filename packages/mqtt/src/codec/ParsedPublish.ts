/**
 * PUBLISH as received [MQTT5 3.3, MQTT3 3.3], parsed straight from the bytes of the chunk:
 *
 *     flags          the low four bits of the first byte: dup, QoS (2 bits), retain
 *     topic name     string
 *     packet id      uint16, only QoS 1 and 2
 *     properties     5.0 only
 *     payload        what is left
 */
import type { MessageProperties, QoS } from "@effectmq/messaging/Message"
import { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { PacketLimits } from "./PacketLimits.js"
import type { ProtocolVersion } from "./Packets.js"
import { allowed, readProperties } from "./Properties.js"
import type { TopicCache } from "./TopicName.js"
import { sameAscii } from "./TopicName.js"

const empty = Buffer.alloc(0)

/**
 * One object per parser, overwritten by the next PUBLISH: a handler takes what it needs out of it before it returns.
 * `buffer` and `properties` may be kept: they are not reused.
 */
export class ParsedPublish {
  /** The received chunk, or a buffer of its own where the packet came in pieces. */
  buffer: Buffer = empty
  /** The whole packet: from its first byte, and behind its last. */
  frameStart = 0
  frameEnd = 0
  /** The bytes of the topic name, without their length. */
  topicStart = 0
  topicEnd = 0
  payloadStart = 0
  payloadEnd = 0
  qos: QoS = 0
  dup = false
  retain = false
  /** 0 for QoS 0. */
  packetId = 0
  /** "" only where `topicAlias` stands for it. */
  topic = ""
  /** 0: none. That it is no more than the maximum the broker announced is for the caller to see. */
  topicAlias = 0
  messageExpirySeconds: number | undefined = undefined
  /** True where the packet has any property (alias and expiry included): such a frame cannot be sent on byte for byte. */
  hasProperties = false
  properties: MessageProperties | undefined = undefined

  /** The topic before, and its size where it is ASCII, else -1: most publishers have one topic. */
  private lastTopic = ""
  private lastSize = -1

  constructor(
    private readonly topics: TopicCache,
    private readonly limits: PacketLimits
  ) {}

  /** Takes the packet whose first byte is at `frameStart` and whose body is `buffer[body, frameEnd)`. Throws `MalformedPacket`. */
  decode(buffer: Buffer, frameStart: number, body: number, frameEnd: number, version: ProtocolVersion): void {
    const flags = buffer[frameStart] as number
    const qos = (flags >> 1) & 3
    const dup = (flags & 8) !== 0
    if (qos === 3) throw new MalformedPacket(0x81, "QoS 3", "MQTT-3.3.1-4")
    if (dup && qos === 0 && version > 3) throw new MalformedPacket(0x81, "DUP with QoS 0", "MQTT-3.3.1-2")
    const topicStart = body + 2
    if (topicStart > frameEnd) throw new MalformedPacket(0x81, "PUBLISH without a topic")
    const topicEnd = topicStart + (((buffer[body] as number) << 8) | (buffer[body + 1] as number))
    let position = topicEnd
    let packetId = 0
    if (qos > 0) {
      position += 2
      if (position > frameEnd) throw new MalformedPacket(0x81, "PUBLISH ends before its packet identifier")
      packetId = ((buffer[topicEnd] as number) << 8) | (buffer[topicEnd + 1] as number)
      if (packetId === 0) throw new MalformedPacket(0x82, "packet identifier 0", "MQTT-2.2.1-3")
    } else if (position > frameEnd) {
      throw new MalformedPacket(0x81, "PUBLISH ends inside its topic")
    }
    this.topicAlias = 0
    this.messageExpirySeconds = undefined
    this.properties = undefined
    this.hasProperties = false
    if (version === 5) {
      // No properties is one zero byte.
      if (position < frameEnd && buffer[position] === 0) position++
      else position = this.decodeProperties(buffer, position, frameEnd)
    }
    this.topic =
      topicEnd === topicStart && this.topicAlias !== 0 ? "" : this.topicName(buffer, topicStart, topicEnd, topicEnd - topicStart)
    if (this.buffer !== buffer) this.buffer = buffer
    this.frameStart = frameStart
    this.frameEnd = frameEnd
    this.topicStart = topicStart
    this.topicEnd = topicEnd
    this.payloadStart = position
    this.payloadEnd = frameEnd
    this.qos = qos as QoS
    this.dup = dup
    this.retain = (flags & 1) !== 0
    this.packetId = packetId
  }

  private topicName(buffer: Buffer, start: number, end: number, size: number): string {
    if (size === this.lastSize && sameAscii(this.lastTopic, buffer, start)) return this.lastTopic
    const topic = this.topics.get(buffer, start, end)
    this.lastTopic = topic
    this.lastSize = topic.length === size ? size : -1
    return topic
  }

  /** Gives the position behind the properties. */
  private decodeProperties(buffer: Buffer, start: number, end: number): number {
    // An alias alone, as every packet of a client that uses aliases has it: 3, 0x23, uint16.
    if (start + 4 <= end && buffer[start] === 3 && buffer[start + 1] === 0x23) {
      const alias = ((buffer[start + 2] as number) << 8) | (buffer[start + 3] as number)
      if (alias === 0) throw new MalformedPacket(0x94, "topic alias 0", "MQTT-3.3.2-8")
      this.topicAlias = alias
      this.hasProperties = true
      return start + 4
    }
    const reader = new BodyReader(buffer, start, end, this.limits.userPropertiesMax)
    const received = readProperties(reader, allowed.publish)
    this.hasProperties = true
    this.topicAlias = received.topicAlias ?? 0
    this.messageExpirySeconds = received.messageExpirySeconds
    const { payloadFormat, contentType, responseTopic, correlationData, userProperties } = received
    if (
      payloadFormat !== undefined ||
      contentType !== undefined ||
      responseTopic !== undefined ||
      correlationData !== undefined ||
      userProperties !== undefined
    ) {
      this.properties = { payloadFormat, contentType, responseTopic, correlationData, userProperties }
    }
    return reader.position
  }
}
