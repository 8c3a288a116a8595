/**
 * The records of persistent sessions in the topic `__sessions`: keys, and values as bytes. The newest record of a key counts;
 * one without a value removes it. Strings are UTF-8; `string` is an unsigned varint of its length and its bytes; the other
 * integers are zigzag varlongs unless a size is given.
 *
 * | key                      | value, version 1; 2 of header and progress                                                 |
 * | ------------------------ | ----------------------------------------------------------------------------------------- |
 * | `h` clientId             | u8 version, u8 protocol level, u8 flags (1 user, 2 will), incarnation, expirySeconds, createdAtMs, disconnectedAtMs (0: connected), [string user], [will], connection |
 * | `f` clientId 0 filter    | u8 version, u8 flags (0-1 QoS, 4 no local, 8 retain as published, 16 has identifier, 32 retained to be sent, 64-128 retain handling), [identifier], count, since of each source, [string filter where it was rewritten] |
 * | `p` clientId             | u8 version, count, position of each source, nextUse, count, inbound uses, count, in-flight, nextHandOut, count, replays |
 * | `w` : origin of a will   | u8 version, will: it is being published                                                    |
 * | `c`                      | u8 version, count, position of each source: origins before it are in progress records      |
 *
 * will: u8 flags (0-1 QoS, 4 retain, 8 expiry, 16 properties), string topic, string payload, delaySeconds, [expirySeconds], [properties].
 * properties: u8 flags (1 format given, 2 format is text, 4 content type, 8 response topic, 16 correlation), [strings in that order], count, pairs of strings.
 * inbound use: packetId, use, u8 received.
 * in-flight: packetId, u8 flags (0-1 QoS, 4 retain, 8 released, 16 identifiers, 32 group), source, offset, [string topic if source is -2], [count, identifiers], [string filter, version 2: handOut].
 * replay: string filter, position, until.
 *
 * A header of version 1 has no connection. Progress of version 1 ends behind what is in flight, and has no numbers of hand-outs.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import type { MessageProperties, QoS } from "@effectmq/messaging/Message"
import type { ProtocolVersion, Will } from "../codec/Packets.js"
import { retainedSource } from "./Delivery.js"
import type { StoredUse } from "./InboundQos2.js"

export interface StoredHeader {
  readonly version: ProtocolVersion
  /** Tells a session from earlier ones of the same client. */
  readonly incarnation: number
  readonly expirySeconds: number
  readonly createdAtMs: number
  /** 0 while connected. */
  readonly disconnectedAtMs: number
  readonly user: string | undefined
  readonly will: Will | undefined
  /** How many connections the session has had: the will is of the last of them. */
  readonly connection: number
}

export interface StoredSubscription {
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionId: number | undefined
  readonly since: ReadonlyArray<number>
  /** Retained messages of it are still to be sent. */
  readonly replay: boolean
  /** The filter in force, without prefix, where it is not the one the client wrote. */
  readonly filter: string | undefined
}

export interface StoredDelivery {
  readonly packetId: number
  readonly qos: 1 | 2
  readonly retain: boolean
  /** PUBREC has come. */
  readonly released: boolean
  /** Of the tenant's log, or `retainedSource`. */
  readonly source: number
  readonly offset: number
  /** Of a retained message, else "". */
  readonly topic: string
  readonly subscriptionIds: ReadonlyArray<number> | undefined
  /** The shared subscription it came through, as the client wrote it. */
  readonly groupFilter: string | undefined
  /** Number among all that shared groups gave at QoS 2; 0 where it is none of them. */
  readonly handOut: number
}

/** Retained messages that a subscription of QoS 2 is still to get: those of `position` to `until` of their shard. */
export interface StoredReplay {
  /** As the client wrote it. */
  readonly filter: string
  readonly position: number
  readonly until: number
}

export interface StoredProgress {
  readonly positions: ReadonlyArray<number>
  readonly nextUse: number
  readonly uses: ReadonlyArray<StoredUse>
  /** Number of the next message that a shared group gives at QoS 2. */
  readonly nextHandOut: number
  /** In the order of their first sending. */
  readonly inflight: ReadonlyArray<StoredDelivery>
  readonly replays: ReadonlyArray<StoredReplay>
}

export type SessionKey =
  | { readonly part: "header"; readonly clientId: string }
  | { readonly part: "subscription"; readonly clientId: string; readonly filter: string }
  | { readonly part: "progress"; readonly clientId: string }
  | { readonly part: "will"; readonly origin: string }
  | { readonly part: "checkpoint" }

const layoutVersion = 1
const headerVersion = 2
const progressVersion = 2

/** A record of a later version, or none of ours. */
export class UnknownSessionRecord extends Error {
  readonly _tag = "UnknownSessionRecord"
}

export const headerKey = (clientId: string): string => `h${clientId}`
/** Client ids and filters have no null character [MQTT-1.5.4-2], so the key can be read back. */
export const subscriptionKey = (clientId: string, filter: string): string => `f${clientId}\u0000${filter}`
export const progressKey = (clientId: string): string => `p${clientId}`
export const checkpointKey = "c"

export const readSessionKey = (key: string): SessionKey => {
  switch (key[0]) {
    case "h":
      return { part: "header", clientId: key.slice(1) }
    case "f": {
      const zero = key.indexOf("\u0000")
      return { part: "subscription", clientId: key.slice(1, zero), filter: key.slice(zero + 1) }
    }
    case "p":
      return { part: "progress", clientId: key.slice(1) }
    case "w":
      return { part: "will", origin: key }
    case "c":
      return { part: "checkpoint" }
    default:
      throw new UnknownSessionRecord(`key ${JSON.stringify(key)}`)
  }
}

const begin = (version = layoutVersion): ByteWriter => {
  const writer = new ByteWriter({ sizeBytes: 128 })
  writer.uint8(version)
  return writer
}

const open = (value: Uint8Array): ByteReader => openUpTo(value, layoutVersion).reader

const openUpTo = (value: Uint8Array, newest: number): { readonly reader: ByteReader; readonly layout: number } => {
  const reader = new ByteReader(value)
  const layout = reader.uint8()
  if (layout < 1 || layout > newest) throw new UnknownSessionRecord(`version ${layout}`)
  return { reader, layout }
}

const putBytes = (writer: ByteWriter, bytes: Uint8Array): void => {
  writer.unsignedVarint(bytes.length)
  writer.bytes(bytes)
}
const putString = (writer: ByteWriter, text: string): void => putBytes(writer, Buffer.from(text, "utf8"))
const getBytes = (reader: ByteReader): Buffer => Buffer.from(reader.bytes(reader.unsignedVarint()))
const getString = (reader: ByteReader): string => reader.utf8(reader.unsignedVarint())

const putNumbers = (writer: ByteWriter, numbers: ReadonlyArray<number>): void => {
  writer.unsignedVarint(numbers.length)
  for (const number of numbers) writer.varlong(number)
}
const getNumbers = (reader: ByteReader): Array<number> => {
  const numbers: Array<number> = []
  for (let left = reader.unsignedVarint(); left > 0; left--) numbers.push(reader.varlong())
  return numbers
}

const putProperties = (writer: ByteWriter, properties: MessageProperties): void => {
  const { payloadFormat, contentType, responseTopic, correlationData, userProperties = [] } = properties
  writer.uint8(
    (payloadFormat === undefined ? 0 : 1) |
      (payloadFormat === 1 ? 2 : 0) |
      (contentType === undefined ? 0 : 4) |
      (responseTopic === undefined ? 0 : 8) |
      (correlationData === undefined ? 0 : 16)
  )
  if (contentType !== undefined) putString(writer, contentType)
  if (responseTopic !== undefined) putString(writer, responseTopic)
  if (correlationData !== undefined) putBytes(writer, correlationData)
  writer.unsignedVarint(userProperties.length)
  for (const [name, value] of userProperties) {
    putString(writer, name)
    putString(writer, value)
  }
}

const getProperties = (reader: ByteReader): MessageProperties => {
  const flags = reader.uint8()
  const payloadFormat = (flags & 1) === 0 ? undefined : (flags & 2) === 0 ? 0 : 1
  const contentType = (flags & 4) === 0 ? undefined : getString(reader)
  const responseTopic = (flags & 8) === 0 ? undefined : getString(reader)
  const correlationData = (flags & 16) === 0 ? undefined : getBytes(reader)
  const userProperties: Array<readonly [string, string]> = []
  for (let left = reader.unsignedVarint(); left > 0; left--) userProperties.push([getString(reader), getString(reader)])
  return {
    payloadFormat,
    contentType,
    responseTopic,
    correlationData,
    userProperties: userProperties.length === 0 ? undefined : userProperties
  }
}

const putWill = (writer: ByteWriter, will: Will): void => {
  writer.uint8(
    will.qos |
      (will.retain ? 4 : 0) |
      (will.messageExpirySeconds === undefined ? 0 : 8) |
      (will.properties === undefined ? 0 : 16)
  )
  putString(writer, will.topic)
  putBytes(writer, will.payload)
  writer.varlong(will.delaySeconds)
  if (will.messageExpirySeconds !== undefined) writer.varlong(will.messageExpirySeconds)
  if (will.properties !== undefined) putProperties(writer, will.properties)
}

const getWill = (reader: ByteReader): Will => {
  const flags = reader.uint8()
  return {
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    topic: getString(reader),
    payload: getBytes(reader),
    delaySeconds: reader.varlong(),
    messageExpirySeconds: (flags & 8) === 0 ? undefined : reader.varlong(),
    properties: (flags & 16) === 0 ? undefined : getProperties(reader)
  }
}

export const encodeHeader = (header: StoredHeader): Buffer => {
  const writer = begin(headerVersion)
  writer.uint8(header.version)
  writer.uint8((header.user === undefined ? 0 : 1) | (header.will === undefined ? 0 : 2))
  writer.varlong(header.incarnation)
  writer.varlong(header.expirySeconds)
  writer.varlong(header.createdAtMs)
  writer.varlong(header.disconnectedAtMs)
  if (header.user !== undefined) putString(writer, header.user)
  if (header.will !== undefined) putWill(writer, header.will)
  writer.varlong(header.connection)
  return writer.copy()
}

export const decodeHeader = (value: Uint8Array): StoredHeader => {
  const { reader, layout } = openUpTo(value, headerVersion)
  const version = reader.uint8() as ProtocolVersion
  const flags = reader.uint8()
  return {
    version,
    incarnation: reader.varlong(),
    expirySeconds: reader.varlong(),
    createdAtMs: reader.varlong(),
    disconnectedAtMs: reader.varlong(),
    user: (flags & 1) === 0 ? undefined : getString(reader),
    will: (flags & 2) === 0 ? undefined : getWill(reader),
    connection: layout < 2 ? 0 : reader.varlong()
  }
}

export const encodeWill = (will: Will): Buffer => {
  const writer = begin()
  putWill(writer, will)
  return writer.copy()
}

export const decodeWill = (value: Uint8Array): Will => getWill(open(value))

export const encodeSubscription = (subscription: StoredSubscription): Buffer => {
  const writer = begin()
  writer.uint8(
    subscription.qos |
      (subscription.noLocal ? 4 : 0) |
      (subscription.retainAsPublished ? 8 : 0) |
      (subscription.subscriptionId === undefined ? 0 : 16) |
      (subscription.replay ? 32 : 0) |
      (subscription.retainHandling << 6)
  )
  if (subscription.subscriptionId !== undefined) writer.varlong(subscription.subscriptionId)
  putNumbers(writer, subscription.since)
  if (subscription.filter !== undefined) putString(writer, subscription.filter)
  return writer.copy()
}

export const decodeSubscription = (value: Uint8Array): StoredSubscription => {
  const reader = open(value)
  const flags = reader.uint8()
  return {
    qos: (flags & 3) as QoS,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    replay: (flags & 32) !== 0,
    retainHandling: (flags >> 6) as 0 | 1 | 2,
    subscriptionId: (flags & 16) === 0 ? undefined : reader.varlong(),
    since: getNumbers(reader),
    filter: reader.remaining === 0 ? undefined : getString(reader)
  }
}

const putDelivery = (writer: ByteWriter, delivery: StoredDelivery): void => {
  writer.varlong(delivery.packetId)
  writer.uint8(
    delivery.qos |
      (delivery.retain ? 4 : 0) |
      (delivery.released ? 8 : 0) |
      (delivery.subscriptionIds === undefined ? 0 : 16) |
      (delivery.groupFilter === undefined ? 0 : 32)
  )
  writer.varlong(delivery.source)
  writer.varlong(delivery.offset)
  if (delivery.source === retainedSource) putString(writer, delivery.topic)
  if (delivery.subscriptionIds !== undefined) putNumbers(writer, delivery.subscriptionIds)
  if (delivery.groupFilter !== undefined) {
    putString(writer, delivery.groupFilter)
    writer.varlong(delivery.handOut)
  }
}

const getDelivery = (reader: ByteReader, layout: number): StoredDelivery => {
  const packetId = reader.varlong()
  const flags = reader.uint8()
  const source = reader.varlong()
  return {
    packetId,
    qos: (flags & 3) as 1 | 2,
    retain: (flags & 4) !== 0,
    released: (flags & 8) !== 0,
    source,
    offset: reader.varlong(),
    topic: source === retainedSource ? getString(reader) : "",
    subscriptionIds: (flags & 16) === 0 ? undefined : getNumbers(reader),
    groupFilter: (flags & 32) === 0 ? undefined : getString(reader),
    handOut: (flags & 32) === 0 || layout < 2 ? 0 : reader.varlong()
  }
}

export const encodeProgress = (progress: StoredProgress): Buffer => {
  const writer = begin(progressVersion)
  putNumbers(writer, progress.positions)
  writer.varlong(progress.nextUse)
  writer.unsignedVarint(progress.uses.length)
  for (const { packetId, use, received } of progress.uses) {
    writer.varlong(packetId)
    writer.varlong(use)
    writer.uint8(received ? 1 : 0)
  }
  writer.unsignedVarint(progress.inflight.length)
  for (const delivery of progress.inflight) putDelivery(writer, delivery)
  writer.varlong(progress.nextHandOut)
  writer.unsignedVarint(progress.replays.length)
  for (const { filter, position, until } of progress.replays) {
    putString(writer, filter)
    writer.varlong(position)
    writer.varlong(until)
  }
  return writer.copy()
}

export const decodeProgress = (value: Uint8Array): StoredProgress => {
  const { reader, layout } = openUpTo(value, progressVersion)
  const positions = getNumbers(reader)
  const nextUse = reader.varlong()
  const uses: Array<StoredUse> = []
  for (let left = reader.unsignedVarint(); left > 0; left--) {
    uses.push({ packetId: reader.varlong(), use: reader.varlong(), received: reader.uint8() === 1 })
  }
  const inflight: Array<StoredDelivery> = []
  for (let left = reader.unsignedVarint(); left > 0; left--) inflight.push(getDelivery(reader, layout))
  if (layout < 2) return { positions, nextUse, uses, nextHandOut: 1, inflight, replays: [] }
  const nextHandOut = reader.varlong()
  const replays: Array<StoredReplay> = []
  for (let left = reader.unsignedVarint(); left > 0; left--) {
    replays.push({ filter: getString(reader), position: reader.varlong(), until: reader.varlong() })
  }
  return { positions, nextUse, uses, nextHandOut, inflight, replays }
}

export const encodeCheckpoint = (positions: ReadonlyArray<number>): Buffer => {
  const writer = begin()
  putNumbers(writer, positions)
  return writer.copy()
}

export const decodeCheckpoint = (value: Uint8Array): Array<number> => getNumbers(open(value))

/** What tags a QoS 2 message of a persistent session in the log: unique to one use of one packet identifier. */
export const originOf = (clientId: string, incarnation: number, packetId: number, use: number): string =>
  `q:${incarnation.toString(36)}:${packetId.toString(36)}:${use.toString(36)}:${clientId}`

/** The same for the will of one connection of a session. */
export const willOriginOf = (clientId: string, incarnation: number, connection: number): string =>
  `w:${incarnation.toString(36)}:${connection.toString(36)}:${clientId}`

export interface Origin {
  readonly clientId: string
  readonly incarnation: number
  readonly packetId: number
  readonly use: number
}

export interface WillOrigin {
  readonly clientId: string
  readonly incarnation: number
  readonly connection: number
}

/** undefined where the origin is not of a session's packet identifier. */
export const readOrigin = (origin: string): Origin | undefined => {
  const parts = /^q:([0-9a-z]+):([0-9a-z]+):([0-9a-z]+):(.*)$/s.exec(origin)
  if (parts === null) return undefined
  const [, incarnation, packetId, use, clientId] = parts as unknown as [string, string, string, string, string]
  return {
    clientId,
    incarnation: Number.parseInt(incarnation, 36),
    packetId: Number.parseInt(packetId, 36),
    use: Number.parseInt(use, 36)
  }
}

/** undefined where the origin is not of a will. */
export const readWillOrigin = (origin: string): WillOrigin | undefined => {
  const parts = /^w:([0-9a-z]+):([0-9a-z]+):(.*)$/s.exec(origin)
  if (parts === null) return undefined
  const [, incarnation, connection, clientId] = parts as unknown as [string, string, string, string]
  return { clientId, incarnation: Number.parseInt(incarnation, 36), connection: Number.parseInt(connection, 36) }
}
