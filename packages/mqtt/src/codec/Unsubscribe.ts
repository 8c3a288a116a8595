/**
 * UNSUBSCRIBE [MQTT5 3.10, MQTT3 3.10]: packet id, [properties], then filters (strings), at least one.
 */
import type { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { ProtocolVersion, UnsubscribePacket } from "./Packets.js"
import { allowed, readProperties } from "./Properties.js"
import { ReasonCode } from "./ReasonCode.js"
import { readFilter, tooManyFilters } from "./Subscribe.js"

/** Throws `MalformedPacket`. */
export const decodeUnsubscribe = (reader: BodyReader, version: ProtocolVersion, filtersMax: number): UnsubscribePacket => {
  const packetId = reader.packetId()
  const properties = version === 5 ? readProperties(reader, allowed.unsubscribe) : undefined
  const filters: Array<string> = []
  if (reader.remaining === 0) throw new MalformedPacket(ReasonCode.protocolError, "UNSUBSCRIBE without a filter", "MQTT-3.10.3-2")
  while (reader.remaining > 0) {
    if (filters.length === filtersMax) throw tooManyFilters(filtersMax)
    filters.push(readFilter(reader))
  }
  return { type: "unsubscribe", packetId, userProperties: properties?.userProperties, filters }
}
