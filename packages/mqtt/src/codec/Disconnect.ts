/**
 * DISCONNECT [MQTT5 3.14, MQTT3 3.14]: empty before 5.0; in 5.0 [reason code, [properties]].
 */
import type { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { DisconnectFields, DisconnectPacket, Output, ProtocolVersion } from "./Packets.js"
import { packetSizeLimit } from "./Packets.js"
import { allowed, readProperties } from "./Properties.js"
import { PropertyWriter, writeReasonPacket } from "./PropertyWriter.js"
import { carriable, mayCarry, ReasonCode } from "./ReasonCode.js"

/** Throws `MalformedPacket`. */
export const decodeDisconnect = (reader: BodyReader, version: ProtocolVersion): DisconnectPacket => {
  let reasonCode = 0
  let properties: ReturnType<typeof readProperties> | undefined
  if (version === 5 && reader.remaining > 0) {
    reasonCode = reader.byte()
    if (!mayCarry("disconnect", reasonCode)) {
      throw new MalformedPacket(ReasonCode.protocolError, `DISCONNECT with 0x${reasonCode.toString(16)}`, "MQTT-3.14.2-1")
    }
    if (reader.remaining > 0) properties = readProperties(reader, allowed.disconnect)
  }
  reader.expectEnd()
  return {
    type: "disconnect",
    reasonCode,
    sessionExpirySeconds: properties?.sessionExpirySeconds,
    reasonString: properties?.reasonString,
    userProperties: properties?.userProperties
  }
}

/**
 * Only for version 5: before it, a server says nothing and closes. A code that is none of DISCONNECT's becomes one
 * [MQTT-3.14.2-1]. False, with nothing written, where even without diagnostics it is larger than `packetSizeMax`.
 */
export const encodeDisconnect = (out: Output, fields: DisconnectFields, packetSizeMax = packetSizeLimit): boolean => {
  const properties = new PropertyWriter()
  properties.string(0x1c, fields.serverReference)
  return writeReasonPacket(out, 0xe0, carriable("disconnect", fields.reasonCode), properties, fields, packetSizeMax)
}
