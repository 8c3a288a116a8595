/**
 * SUBSCRIBE [MQTT5 3.8, MQTT3 3.8]: packet id, [properties], then filter (string) and options (byte), at least once.
 *
 *     options   bits 0-1 QoS, 2 no local, 3 retain as published, 4-5 retain handling, 6-7 reserved; before 5.0 only the QoS
 */
import type { QoS } from "@effectmq/messaging/Message"
import type { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { ProtocolVersion, SubscribeEntry, SubscribePacket } from "./Packets.js"
import { allowed, readProperties } from "./Properties.js"
import { ReasonCode } from "./ReasonCode.js"

/** A topic filter: a string of at least one character [MQTT-4.7.3-1]. */
export const readFilter = (reader: BodyReader): string => {
  const filter = reader.string()
  if (filter.length === 0) throw new MalformedPacket(ReasonCode.protocolError, "a topic filter of no length", "MQTT-4.7.3-1")
  return filter
}

/** One filter more than a packet may have [MQTT5 4.13.1]: it is not read to its end, whatever it asks for. */
export const tooManyFilters = (filtersMax: number): MalformedPacket =>
  new MalformedPacket(ReasonCode.quotaExceeded, `more than ${filtersMax} filters in a packet`)

/** Throws `MalformedPacket`. */
export const decodeSubscribe = (reader: BodyReader, version: ProtocolVersion, filtersMax: number): SubscribePacket => {
  const packetId = reader.packetId()
  const properties = version === 5 ? readProperties(reader, allowed.subscribe) : undefined
  const entries: Array<SubscribeEntry> = []
  do {
    // The first turn fails where there is no entry at all.
    if (reader.remaining === 0) {
      const clause = version === 5 ? "MQTT-3.8.3-2" : "MQTT-3.8.3-3"
      throw new MalformedPacket(ReasonCode.protocolError, "SUBSCRIBE without a filter", clause)
    }
    if (entries.length === filtersMax) throw tooManyFilters(filtersMax)
    entries.push(readEntry(reader, version))
  } while (reader.remaining > 0)
  return {
    type: "subscribe",
    packetId,
    subscriptionIdentifier: properties?.subscriptionIdentifier,
    userProperties: properties?.userProperties,
    entries
  }
}

const readEntry = (reader: BodyReader, version: ProtocolVersion): SubscribeEntry => {
  const filter = readFilter(reader)
  const options = reader.byte()
  const reserved = version === 5 ? 0xc0 : 0xfc
  if ((options & reserved) !== 0) {
    throw new MalformedPacket(
      ReasonCode.malformedPacket,
      "reserved bits of the subscription options are set",
      version === 5 ? "MQTT-3.8.3-5" : "MQTT-3.8.3-4"
    )
  }
  const qos = options & 3
  if (qos === 3) {
    const clause = version === 5 ? "MQTT-3.8.3-5" : "MQTT-3.8.3-4"
    throw new MalformedPacket(version === 5 ? ReasonCode.protocolError : ReasonCode.malformedPacket, "subscription QoS 3", clause)
  }
  const retainHandling = (options >> 4) & 3
  if (retainHandling === 3) throw new MalformedPacket(ReasonCode.protocolError, "retain handling 3")
  const noLocal = (options & 4) !== 0
  if (noLocal && filter.startsWith("$share/")) {
    throw new MalformedPacket(ReasonCode.protocolError, "no local on a shared subscription", "MQTT-3.8.3-4")
  }
  return {
    filter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2
  }
}
