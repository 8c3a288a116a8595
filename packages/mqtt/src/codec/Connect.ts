/**
 * CONNECT [MQTT5 3.1, MQTT3 3.1]:
 *
 *     protocol name  string    "MQTT", or "MQIsdp" for 3.1
 *     level          byte
 *     flags          byte      username, password, will retain, will QoS (2 bits), will, clean, reserved 0
 *     keep alive     uint16    seconds
 *     properties               5.0 only
 *     client id      string
 *     will           [properties, 5.0 only] topic string, payload binary
 *     username       string
 *     password       binary
 */
import type { MessageProperties, QoS } from "@effectmq/messaging/Message"
import type { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { ConnectPacket, ProtocolVersion, Will } from "./Packets.js"
import { packetSizeLimit } from "./Packets.js"
import type { ReceivedProperties } from "./Properties.js"
import { allowed, readProperties } from "./Properties.js"
import { ReasonCode } from "./ReasonCode.js"

const flag = { reserved: 0x01, clean: 0x02, will: 0x04, willRetain: 0x20, password: 0x40, username: 0x80 } as const

/**
 * Reads protocol name and level. `version` is the one to speak, or to answer in where `supported` is false. Throws where the
 * name is not one of MQTT [MQTT-3.1.2-1]: then nothing is answered.
 */
export const readProtocol = (reader: BodyReader): { readonly version: ProtocolVersion; readonly supported: boolean } => {
  const name = reader.string()
  if (name !== "MQTT" && name !== "MQIsdp") {
    throw new MalformedPacket(ReasonCode.unsupportedProtocolVersion, "a protocol name that is not MQTT's", "MQTT-3.1.2-1")
  }
  const level = reader.byte()
  if (name === "MQIsdp") return level === 3 ? { version: 3, supported: true } : { version: 4, supported: false }
  if (level === 4 || level === 5) return { version: level, supported: true }
  return { version: level > 5 && level < 0x80 ? 5 : 4, supported: false }
}

/** Reads what follows the protocol level. Throws `MalformedPacket`. */
export const decodeConnect = (reader: BodyReader, version: ProtocolVersion): ConnectPacket => {
  const flags = reader.byte()
  checkFlags(flags, version)
  const cleanStart = (flags & flag.clean) !== 0
  const keepAliveSeconds = reader.uint16()
  const properties = version === 5 ? readProperties(reader, allowed.connect) : undefined
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw new MalformedPacket(ReasonCode.protocolError, "authentication data without a method")
  }
  const clientId = reader.string()
  const will = (flags & flag.will) !== 0 ? readWill(reader, flags, version) : undefined
  // 3.1 lets the payload end before a user name or password that the flags announce.
  const may = (bit: number): boolean => (flags & bit) !== 0 && (version > 3 || reader.remaining > 0)
  const username = may(flag.username) ? reader.string() : undefined
  const password = may(flag.password) ? reader.binary() : undefined
  reader.expectEnd()
  if (clientId.length === 0 && (version === 3 || (version === 4 && !cleanStart))) {
    throw new MalformedPacket(ReasonCode.clientIdentifierNotValid, "no client identifier", "MQTT-3.1.3-8")
  }
  return {
    type: "connect",
    version,
    cleanStart,
    keepAliveSeconds,
    clientId,
    username,
    password,
    will,
    sessionExpirySeconds: properties?.sessionExpirySeconds,
    receiveMaximum: properties?.receiveMaximum ?? 65535,
    maximumPacketSize: Math.min(properties?.maximumPacketSize ?? packetSizeLimit, packetSizeLimit),
    topicAliasMaximum: properties?.topicAliasMaximum ?? 0,
    requestResponseInformation: properties?.requestResponseInformation ?? false,
    requestProblemInformation: properties?.requestProblemInformation ?? true,
    authenticationMethod: properties?.authenticationMethod,
    authenticationData: properties?.authenticationData,
    userProperties: properties?.userProperties
  }
}

const checkFlags = (flags: number, version: ProtocolVersion): void => {
  const bad = (message: string, clause: string): never => {
    throw new MalformedPacket(ReasonCode.malformedPacket, message, clause)
  }
  if ((flags & flag.reserved) !== 0) bad("the reserved CONNECT flag is set", "MQTT-3.1.2-3")
  if ((flags & flag.will) === 0) {
    if ((flags & 0x18) !== 0) bad("a will QoS without a will", version === 5 ? "MQTT-3.1.2-11" : "MQTT-3.1.2-13")
    if ((flags & flag.willRetain) !== 0) bad("will retain without a will", version === 5 ? "MQTT-3.1.2-13" : "MQTT-3.1.2-15")
  }
  if ((flags & 0x18) === 0x18) bad("will QoS 3", version === 5 ? "MQTT-3.1.2-12" : "MQTT-3.1.2-14")
  if (version < 5 && (flags & flag.password) !== 0 && (flags & flag.username) === 0) {
    bad("a password without a user name", "MQTT-3.1.2-22")
  }
}

const readWill = (reader: BodyReader, flags: number, version: ProtocolVersion): Will => {
  const properties = version === 5 ? readProperties(reader, allowed.will) : undefined
  const topic = reader.string()
  if (topic.length === 0) throw new MalformedPacket(ReasonCode.topicNameInvalid, "a will topic of no length", "MQTT-4.7.3-1")
  if (topic.includes("+") || topic.includes("#")) {
    throw new MalformedPacket(ReasonCode.topicNameInvalid, "a wildcard in the will topic", "MQTT-4.7.1-1")
  }
  return {
    topic,
    payload: reader.binary(),
    qos: ((flags >> 3) & 3) as QoS,
    retain: (flags & flag.willRetain) !== 0,
    delaySeconds: properties?.willDelaySeconds ?? 0,
    messageExpirySeconds: properties?.messageExpirySeconds,
    properties: properties === undefined ? undefined : messageProperties(properties)
  }
}

/** What of the will's properties travels with the message; undefined where there is nothing. */
const messageProperties = (received: ReceivedProperties): MessageProperties | undefined => {
  const { payloadFormat, contentType, responseTopic, correlationData, userProperties } = received
  const some =
    payloadFormat !== undefined ||
    contentType !== undefined ||
    responseTopic !== undefined ||
    correlationData !== undefined ||
    userProperties !== undefined
  return some ? { payloadFormat, contentType, responseTopic, correlationData, userProperties } : undefined
}
