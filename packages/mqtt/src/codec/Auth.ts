/**
 * AUTH [MQTT5 3.15]: reason code, properties with the authentication method; nothing at all means success.
 */
import type { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { AuthFields, AuthPacket, Output } from "./Packets.js"
import { packetSizeLimit } from "./Packets.js"
import { allowed, readProperties } from "./Properties.js"
import { PropertyWriter, writeReasonPacket } from "./PropertyWriter.js"
import { ReasonCode } from "./ReasonCode.js"

/** Throws `MalformedPacket`; also where a client sends success, which only a server may [MQTT-3.15.2-1]. */
export const decodeAuth = (reader: BodyReader): AuthPacket => {
  const reasonCode = reader.remaining > 0 ? reader.byte() : 0
  if (reasonCode !== ReasonCode.continueAuthentication && reasonCode !== ReasonCode.reAuthenticate) {
    throw new MalformedPacket(ReasonCode.protocolError, `AUTH with 0x${reasonCode.toString(16)}`, "MQTT-3.15.2-1")
  }
  const properties = readProperties(reader, allowed.auth)
  reader.expectEnd()
  if (properties.authenticationMethod === undefined) {
    throw new MalformedPacket(ReasonCode.protocolError, "AUTH without a method")
  }
  return {
    type: "auth",
    reasonCode,
    authenticationMethod: properties.authenticationMethod,
    authenticationData: properties.authenticationData,
    reasonString: properties.reasonString,
    userProperties: properties.userProperties
  }
}

/** False, with nothing written, where even without diagnostics it is larger than `packetSizeMax`. */
export const encodeAuth = (out: Output, fields: AuthFields, packetSizeMax = packetSizeLimit): boolean => {
  const properties = new PropertyWriter()
  properties.string(0x15, fields.authenticationMethod)
  properties.binary(0x16, fields.authenticationData)
  return writeReasonPacket(out, 0xf0, fields.reasonCode, properties, fields, packetSizeMax)
}
