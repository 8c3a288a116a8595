/**
 * Writes PUBLISH to subscribers [MQTT5 3.3, MQTT3 3.3].
 *
 * What most subscribers of a message get differs in the first byte and the packet id alone. So a message remembers its encoded
 * forms (`PublishFrames`, kept in `Message.cache`): the first subscriber of a kind has it encoded, the others have it copied
 * and two places patched. A message that came in from an MQTT client remembers the frame it came in (`receivedFrame`), where
 * it has no properties: then it is never encoded at all. A large payload is not copied: all subscribers share it. What only one
 * subscriber has (`PublishExtras`) is encoded for it alone.
 */
import { copyBytes } from "@effectmq/bytes/CopyBytes"
import { utf8SizeBytes, writeUtf8 } from "@effectmq/bytes/Utf8"
import type { MessageProperties, QoS } from "@effectmq/messaging/Message"
import type { Output, ProtocolVersion } from "./Packets.js"
import type { ParsedPublish } from "./ParsedPublish.js"
import { PropertyId as id } from "./Properties.js"
import { PropertyWriter, variableByteIntegerSize, writeVariableByteInteger } from "./PropertyWriter.js"

/** What is sent. A `Message` is one. */
export interface PublishContent {
  readonly topic: string
  readonly bytes: Buffer
  readonly payloadStart: number
  readonly payloadEnd: number
  readonly properties: MessageProperties | undefined
  /** The encoder's own: `receivedFrame` or undefined at first, then `PublishFrames`. */
  cache: unknown
}

/** What one subscriber of version 5 gets besides; ignored for others. May be reused and changed after the call. */
export interface PublishExtras {
  /** 0: none. */
  topicAlias: number
  /** True where the alias stands for the topic, which the client has learned before [MQTT-3.3.2-12]. */
  topicOmitted: boolean
  /** What is left of the message's life [MQTT-3.3.2-6]. */
  messageExpirySeconds: number | undefined
  /** Of all subscriptions that matched and have one [MQTT-3.3.4-3, -4]. */
  subscriptionIdentifiers: ReadonlyArray<number> | undefined
}

/** Larger frames are encoded each time: there the copy of the payload is what costs. */
const frameSizeMax = 2048

/** Payloads from this size on are not copied: all subscribers share the bytes that came in. */
const sharedPayloadMin = 32 * 1024

/** By version (before 5, 5) and whether a packet id is in it; `carried`: only the properties that travel with the message. */
type Kind = 0 | 1 | 2 | 3 | typeof carried
const carried = 4

const kindOf = (version: ProtocolVersion, qos: number): Kind => (version === 5 ? (qos === 0 ? 2 : 3) : qos === 0 ? 0 : 1)

/** An encoded form of a message, and the next one. */
export class PublishFrames {
  constructor(
    readonly kind: Kind,
    /** undefined: encoded once so far; a second time makes a frame. */
    public buffer: Buffer | undefined,
    public start: number,
    public end: number,
    /** The packet id's offset in the frame; 0: there is none. */
    public packetIdAt: number,
    readonly next: PublishFrames | undefined
  ) {}
}

const framesOf = (content: PublishContent): PublishFrames | undefined => {
  const { cache, bytes, payloadEnd } = content
  if (typeof cache !== "number") return cache as PublishFrames | undefined
  const kind = (cache & 3) as Kind
  return new PublishFrames(kind, bytes, cache >> 2, payloadEnd, receivedIdOffset(content, kind, cache >> 2), undefined)
}

const find = (content: PublishContent, kind: Kind): PublishFrames | undefined => {
  let frame = framesOf(content)
  while (frame !== undefined && frame.kind !== kind) frame = frame.next
  return frame
}

/** Puts a form without bytes in front. */
const add = (content: PublishContent, kind: Kind): PublishFrames => {
  const frame = new PublishFrames(kind, undefined, 0, 0, 0, framesOf(content))
  content.cache = frame
  return frame
}

/**
 * The frame that a message came in, for `Message.cache`: where in the message's bytes it begins, and its kind, in one number. Its
 * end is the payload's. Undefined where it cannot be sent on as it is (properties, aliases). Not to be used where the broker
 * changes topic or payload on the way.
 */
export const receivedFrame = (publish: ParsedPublish, version: ProtocolVersion): number | undefined =>
  publish.hasProperties ? undefined : (publish.frameStart << 2) | kindOf(version, publish.qos)

/** Between packet id and payload there is nothing, or in version 5 the length of no properties. */
const receivedIdOffset = (content: PublishContent, kind: Kind, start: number): number =>
  (kind & 1) === 0 ? 0 : content.payloadStart - (kind === 3 ? 3 : 2) - start

/**
 * Writes one PUBLISH. `dup` is for a repeated QoS 1 or 2 delivery; `packetId` is ignored for QoS 0. False, with nothing written,
 * where the packet is larger than the client's Maximum Packet Size: it is then dropped as if delivered [MQTT-3.1.2-25].
 */
export const encodePublish = (
  out: Output,
  version: ProtocolVersion,
  content: PublishContent,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  extras: PublishExtras | undefined,
  packetSizeMax: number
): boolean => {
  // DUP is 0 for QoS 0 [MQTT-3.3.1-2].
  const first = 0x30 | (dup && qos > 0 ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
  if ((extras !== undefined && version === 5) || content.payloadEnd - content.payloadStart >= sharedPayloadMin) {
    return encodeWhole(out, first, version, content, packetId, version === 5 ? extras : undefined, packetSizeMax) > 0
  }
  const kind = kindOf(version, qos)
  const { cache } = content
  if (typeof cache === "number" && (cache & 3) === kind) {
    const start = cache >> 2
    const idOffset = receivedIdOffset(content, kind, start)
    return copyFrame(out, first, content.bytes, start, content.payloadEnd, idOffset, packetId, packetSizeMax)
  }
  const frame = find(content, kind)
  if (frame?.buffer !== undefined) {
    const { buffer, start, end, packetIdAt } = frame
    return copyFrame(out, first, buffer, start, end, packetIdAt, packetId, packetSizeMax)
  }
  const size = encodeWhole(out, first, version, content, packetId, undefined, packetSizeMax)
  if (size === 0) return false
  if (frame === undefined) add(content, kind)
  else if (size <= frameSizeMax) {
    // What was written ends at `out.length`, wherever `reserve` has put it.
    frame.buffer = Buffer.from(out.buffer.subarray(out.length - size, out.length))
    frame.end = size
    frame.packetIdAt = qos === 0 ? 0 : packetIdOffset(frame.buffer)
  }
  return true
}

/** Where the packet id is in a whole frame: behind the topic. */
const packetIdOffset = (frame: Buffer): number => {
  let at = 1
  while ((frame[at++] as number) > 127);
  return at + 2 + frame.readUInt16BE(at)
}

const copyFrame = (
  out: Output,
  first: number,
  source: Buffer,
  start: number,
  end: number,
  packetIdAt: number,
  packetId: number,
  packetSizeMax: number
): boolean => {
  if (end - start > packetSizeMax) return false
  const at = out.writeRange(source, start, end)
  const { buffer } = out
  buffer[at] = first
  if (packetIdAt !== 0) {
    buffer[at + packetIdAt] = packetId >> 8
    buffer[at + packetIdAt + 1] = packetId
  }
  return true
}

/** Gives the packet's size; 0 where it is too large, and nothing written. */
const encodeWhole = (
  out: Output,
  first: number,
  version: ProtocolVersion,
  content: PublishContent,
  packetId: number,
  extras: PublishExtras | undefined,
  packetSizeMax: number
): number => {
  const { bytes, payloadStart, payloadEnd } = content
  const idSize = (first & 6) === 0 ? 0 : 2
  const topic = extras?.topicOmitted === true ? "" : content.topic
  const topicSize = utf8SizeBytes(topic)
  let body = 2 + topicSize + idSize + payloadEnd - payloadStart
  let properties: Buffer = none
  let propertiesSize = 0
  if (version === 5) {
    if (content.properties !== undefined) properties = carriedProperties(content, content.properties)
    propertiesSize = properties.length + (extras === undefined ? 0 : extrasSize(extras))
    body += variableByteIntegerSize(propertiesSize) + propertiesSize
  }
  const size = 1 + variableByteIntegerSize(body) + body
  if (size > packetSizeMax) return 0
  const payloadSize = payloadEnd - payloadStart
  const isShared = payloadSize >= sharedPayloadMin
  const copied = isShared ? size - payloadSize : size
  out.reserve(copied)
  const buffer = out.buffer
  let at = out.length
  buffer[at] = first
  at = writeVariableByteInteger(buffer, at + 1, body)
  buffer[at] = topicSize >> 8
  buffer[at + 1] = topicSize
  at = writeUtf8(buffer, at + 2, topic, topicSize)
  if (idSize > 0) {
    buffer[at] = packetId >> 8
    buffer[at + 1] = packetId
    at += 2
  }
  if (version === 5) {
    at = writeVariableByteInteger(buffer, at, propertiesSize)
    if (extras !== undefined) at = writeExtras(buffer, at, extras)
    if (properties.length > 0) at += properties.copy(buffer, at)
  }
  if (!isShared) copyBytes(buffer, at, bytes, payloadStart, payloadEnd)
  out.length += copied
  if (isShared) out.writeShared(bytes.subarray(payloadStart, payloadEnd))
  return size
}

const none = Buffer.alloc(0)

/** Encoded once per message. */
const carriedProperties = (content: PublishContent, properties: MessageProperties): Buffer => {
  const known = find(content, carried)?.buffer
  if (known !== undefined) return known
  const writer = new PropertyWriter()
  writer.byte(id.payloadFormatIndicator, properties.payloadFormat)
  writer.string(id.contentType, properties.contentType)
  writer.string(id.responseTopic, properties.responseTopic)
  writer.binary(id.correlationData, properties.correlationData)
  for (const [name, value] of properties.userProperties ?? []) writer.pair(id.userProperty, name, value)
  const buffer = Buffer.allocUnsafe(writer.size)
  writer.writeTo(buffer, 0)
  add(content, carried).buffer = buffer
  return buffer
}

const extrasSize = (extras: PublishExtras): number => {
  let size = (extras.topicAlias === 0 ? 0 : 3) + (extras.messageExpirySeconds === undefined ? 0 : 5)
  const { subscriptionIdentifiers } = extras
  if (subscriptionIdentifiers !== undefined) {
    for (const identifier of subscriptionIdentifiers) size += 1 + variableByteIntegerSize(identifier)
  }
  return size
}

const writeExtras = (buffer: Buffer, position: number, extras: PublishExtras): number => {
  let at = position
  if (extras.topicAlias !== 0) {
    buffer[at] = id.topicAlias
    buffer[at + 1] = extras.topicAlias >> 8
    buffer[at + 2] = extras.topicAlias
    at += 3
  }
  if (extras.messageExpirySeconds !== undefined) {
    buffer[at] = id.messageExpiryInterval
    at = buffer.writeUInt32BE(extras.messageExpirySeconds, at + 1)
  }
  if (extras.subscriptionIdentifiers !== undefined) {
    for (const identifier of extras.subscriptionIdentifiers) {
      buffer[at] = id.subscriptionIdentifier
      at = writeVariableByteInteger(buffer, at + 1, identifier)
    }
  }
  return at
}
