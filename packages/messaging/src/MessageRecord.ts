/**
 * A message as a record and back: key = topic (or a key of the caller's), value = payload, the rest as headers of the
 * vocabulary in `@effectmq/schemas/record/Headers`.
 */
import { headerName, userHeaderFromStored, userHeaderToStored } from "@effectmq/schemas/record/Headers"
import type { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import { type EncodedHeaders, encodeHeaders, type RecordHeader } from "@effectmq/schemas/record/RecordHeaders"
import { Message, type MessageProperties, type QoS } from "./Message.js"

const qosHeaders: ReadonlyArray<RecordHeader> = ["0", "1", "2"].map((value) => ({ name: headerName.qos, value }))
const retainHeader: RecordHeader = { name: headerName.retain, value: "1" }
const textHeader: RecordHeader = { name: headerName.payloadFormat, value: "1" }

/** Of a message that has only its publisher and QoS to tell: the headers of the last one, which its successor mostly shares. */
const plain: { publisher: string; qos: QoS; headers: EncodedHeaders } = { publisher: "", qos: 0, headers: encodeHeaders([]) }

const plainHeaders = (message: Message): EncodedHeaders => {
  const { publisher, qos } = message
  if (plain.publisher !== publisher || plain.qos !== qos) {
    plain.headers = encodeHeaders(headersOf(message, false))
    plain.publisher = publisher
    plain.qos = qos
  }
  return plain.headers
}

const isPlain = ({ publisher, retain, expiresAtMs, origin, properties }: Message): boolean =>
  publisher !== "" && !retain && expiresAtMs === 0 && origin === undefined && properties === undefined

const headersOf = (message: Message, topicApart: boolean): ReadonlyArray<RecordHeader> => {
  const headers = [qosHeaders[message.qos] as RecordHeader]
  if (message.retain) headers.push(retainHeader)
  if (message.publisher !== "") headers.push({ name: headerName.publisher, value: message.publisher })
  if (message.expiresAtMs !== 0) headers.push({ name: headerName.expiry, value: String(message.expiresAtMs) })
  if (message.origin !== undefined) headers.push({ name: headerName.origin, value: message.origin })
  if (topicApart) headers.push({ name: headerName.topic, value: message.topic })
  const { properties } = message
  if (properties !== undefined) {
    if (properties.payloadFormat === 1) headers.push(textHeader)
    if (properties.contentType !== undefined) headers.push({ name: headerName.contentType, value: properties.contentType })
    if (properties.responseTopic !== undefined) headers.push({ name: headerName.replyTo, value: properties.responseTopic })
    if (properties.correlationData !== undefined) {
      headers.push({ name: headerName.correlationId, value: properties.correlationData })
    }
    for (const [name, value] of properties.userProperties ?? []) headers.push({ name: userHeaderToStored(name), value })
  }
  return headers
}

/** Adds the message as a record. With a `key` of the caller's the topic goes into a header. */
export const appendMessage = (builder: RecordBatchBuilder, message: Message, key?: string, timestampMs?: number): void => {
  builder.appendRange(
    timestampMs ?? message.publishedAtMs,
    key ?? message.topic,
    message.bytes,
    message.payloadStart,
    message.payloadEnd,
    key === undefined && isPlain(message) ? plainHeaders(message) : headersOf(message, key !== undefined)
  )
}

/** Adds a record without a value: compaction forgets the key. */
export const appendRemoval = (builder: RecordBatchBuilder, key: string, timestampMs = 0): void => {
  builder.append(timestampMs, key, undefined)
}

/** A record's key as the topic it names. */
export const keyToTopic = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("utf8")

/**
 * Reads the messages of one batch, in order; payloads are ranges of `batch`. `wants` passes over records by key before they
 * are decoded; `removed` is told the keys of records without a value.
 */
export const readMessages = (
  batch: Uint8Array,
  wants: ((key: string) => boolean) | undefined,
  visit: (message: Message, offset: number, key: string) => void,
  removed?: (key: string) => void
): void => {
  const cursor = new RecordCursor(batch)
  while (cursor.next()) {
    const key = cursor.bytes.toString("utf8", cursor.keyStart, Math.max(cursor.keyStart, cursor.keyEnd))
    if (wants !== undefined && !wants(key)) continue
    if (cursor.valueEnd < cursor.valueStart) removed?.(key)
    else visit(messageAt(cursor, key), cursor.offset, key)
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const messageAt = (cursor: RecordCursor, key: string): Message => {
  let topic = key
  let qos: QoS = 0
  let retain = false
  let expiresAtMs = 0
  let publisher = ""
  let origin: string | undefined
  const properties: Mutable<MessageProperties> = {}
  let hasProperties = false
  let userProperties: Array<readonly [string, string]> | undefined
  for (const { name, value } of cursor.headers()) {
    switch (name) {
      case headerName.qos:
        qos = (((value?.[0] ?? 0x30) - 0x30) % 3) as QoS
        continue
      case headerName.retain:
        retain = true
        continue
      case headerName.publisher:
        publisher = value?.toString("utf8") ?? ""
        continue
      case headerName.expiry:
        expiresAtMs = Number(value?.toString("latin1") ?? 0)
        continue
      case headerName.origin:
        origin = value?.toString("utf8")
        continue
      case headerName.topic:
        topic = value?.toString("utf8") ?? key
        continue
      case headerName.payloadFormat:
        properties.payloadFormat = 1
        break
      case headerName.contentType:
        properties.contentType = value?.toString("utf8")
        break
      case headerName.replyTo:
        properties.responseTopic = value?.toString("utf8")
        break
      case headerName.correlationId:
        properties.correlationData = value
        break
      default: {
        const userName = userHeaderFromStored(name)
        if (userName === undefined) continue
        userProperties ??= []
        userProperties.push([userName, value?.toString("utf8") ?? ""])
      }
    }
    hasProperties = true
  }
  if (userProperties !== undefined) properties.userProperties = userProperties
  return new Message(
    topic,
    cursor.bytes,
    cursor.valueStart,
    cursor.valueEnd,
    qos,
    retain,
    hasProperties ? properties : undefined,
    cursor.timestampMs,
    expiresAtMs,
    publisher,
    origin
  )
}
