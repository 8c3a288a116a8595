/**
 * CONNACK [MQTT5 3.2, MQTT3 3.2]: flags (bit 0: session present), return or reason code, in 5.0 properties.
 */
import type { ConnackFields, Output, ProtocolVersion } from "./Packets.js"
import { packetSizeLimit } from "./Packets.js"
import { PropertyId as id } from "./Properties.js"
import { PropertyWriter, writePropertiesPacket } from "./PropertyWriter.js"
import { carriable, connackReturnCode } from "./ReasonCode.js"

/**
 * False, with nothing written, where the version has no code for the reason (the connection is then closed without a word
 * [MQTT-3.2.2-6]), or where even without diagnostics the packet is larger than `packetSizeMax`.
 */
export const encodeConnack = (
  out: Output,
  version: ProtocolVersion,
  fields: ConnackFields,
  packetSizeMax = packetSizeLimit
): boolean => {
  // No session is present in a refusal [MQTT-3.2.2-4 of 3.1.1, -6 of 5.0]; 3.1 has no such flag.
  const present = fields.sessionPresent && fields.reasonCode === 0 && version > 3 ? 1 : 0
  if (version < 5) {
    const code = connackReturnCode(fields.reasonCode)
    if (code === undefined) return false
    out.reserve(4)
    const { buffer, length: at } = out
    buffer[at] = 0x20
    buffer[at + 1] = 2
    buffer[at + 2] = present
    buffer[at + 3] = code
    out.length = at + 4
    return true
  }
  const properties = new PropertyWriter()
  properties.uint32(id.sessionExpiryInterval, fields.sessionExpirySeconds)
  properties.uint16(id.receiveMaximum, fields.receiveMaximum)
  properties.byte(id.maximumQos, fields.maximumQos)
  properties.bit(id.retainAvailable, fields.retainAvailable)
  properties.uint32(id.maximumPacketSize, fields.maximumPacketSize)
  properties.string(id.assignedClientIdentifier, fields.assignedClientId)
  properties.uint16(id.topicAliasMaximum, fields.topicAliasMaximum)
  properties.bit(id.wildcardSubscriptionAvailable, fields.wildcardSubscriptionAvailable)
  properties.bit(id.subscriptionIdentifierAvailable, fields.subscriptionIdentifiersAvailable)
  properties.bit(id.sharedSubscriptionAvailable, fields.sharedSubscriptionAvailable)
  properties.uint16(id.serverKeepAlive, fields.serverKeepAliveSeconds)
  properties.string(id.responseInformation, fields.responseInformation)
  properties.string(id.serverReference, fields.serverReference)
  properties.string(id.authenticationMethod, fields.authenticationMethod)
  properties.binary(id.authenticationData, fields.authenticationData)
  return writePropertiesPacket(
    out,
    0x20,
    [present, carriable("connack", fields.reasonCode)],
    properties,
    [],
    fields,
    packetSizeMax
  )
}
