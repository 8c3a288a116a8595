/**
 * The properties of MQTT 5 (section 2.2.2): a length, then (identifier, value) pairs.
 *
 * `readProperties` fills one flat record whatever the packet; which identifiers a packet may have is given as a set. A
 * property that comes twice, where it must not, or with a value out of its range is a protocol error. More user properties than
 * there may be are answered with 0x97.
 */
import type { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { UserProperties } from "./Packets.js"
import { ReasonCode } from "./ReasonCode.js"

/** Identifiers, by the names of the specification. */
export const PropertyId = {
  payloadFormatIndicator: 0x01,
  messageExpiryInterval: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiryInterval: 0x11,
  assignedClientIdentifier: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelayInterval: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardSubscriptionAvailable: 0x28,
  subscriptionIdentifierAvailable: 0x29,
  sharedSubscriptionAvailable: 0x2a
} as const

/** What a client may send, in any packet; undefined where it did not. */
export interface ReceivedProperties {
  payloadFormat: 0 | 1 | undefined
  messageExpirySeconds: number | undefined
  contentType: string | undefined
  responseTopic: string | undefined
  correlationData: Buffer | undefined
  subscriptionIdentifier: number | undefined
  sessionExpirySeconds: number | undefined
  authenticationMethod: string | undefined
  authenticationData: Buffer | undefined
  requestProblemInformation: boolean | undefined
  willDelaySeconds: number | undefined
  requestResponseInformation: boolean | undefined
  reasonString: string | undefined
  receiveMaximum: number | undefined
  topicAliasMaximum: number | undefined
  topicAlias: number | undefined
  maximumPacketSize: number | undefined
  userProperties: UserProperties | undefined
}

export type PropertySet = ReadonlySet<number>

const id = PropertyId

/** Which properties each packet of a client may have. */
export const allowed = {
  connect: new Set<number>([
    id.sessionExpiryInterval,
    id.receiveMaximum,
    id.maximumPacketSize,
    id.topicAliasMaximum,
    id.requestResponseInformation,
    id.requestProblemInformation,
    id.userProperty,
    id.authenticationMethod,
    id.authenticationData
  ]),
  will: new Set<number>([
    id.willDelayInterval,
    id.payloadFormatIndicator,
    id.messageExpiryInterval,
    id.contentType,
    id.responseTopic,
    id.correlationData,
    id.userProperty
  ]),
  // No subscription identifier: it is the server that adds one [MQTT-3.3.4-6].
  publish: new Set<number>([
    id.payloadFormatIndicator,
    id.messageExpiryInterval,
    id.topicAlias,
    id.responseTopic,
    id.correlationData,
    id.userProperty,
    id.contentType
  ]),
  acknowledgement: new Set<number>([id.reasonString, id.userProperty]),
  subscribe: new Set<number>([id.subscriptionIdentifier, id.userProperty]),
  unsubscribe: new Set<number>([id.userProperty]),
  // No server reference: it is the server that sends one.
  disconnect: new Set<number>([id.sessionExpiryInterval, id.reasonString, id.userProperty]),
  auth: new Set<number>([id.authenticationMethod, id.authenticationData, id.reasonString, id.userProperty])
} satisfies Record<string, PropertySet>

const none = (): ReceivedProperties => ({
  payloadFormat: undefined,
  messageExpirySeconds: undefined,
  contentType: undefined,
  responseTopic: undefined,
  correlationData: undefined,
  subscriptionIdentifier: undefined,
  sessionExpirySeconds: undefined,
  authenticationMethod: undefined,
  authenticationData: undefined,
  requestProblemInformation: undefined,
  willDelaySeconds: undefined,
  requestResponseInformation: undefined,
  reasonString: undefined,
  receiveMaximum: undefined,
  topicAliasMaximum: undefined,
  topicAlias: undefined,
  maximumPacketSize: undefined,
  userProperties: undefined
})

const wrong = (message: string, clause = "MQTT-2.2.2"): never => {
  throw new MalformedPacket(0x82, message, clause)
}

/** A byte that may only be 0 or 1. */
const bit = (reader: BodyReader): 0 | 1 => {
  const value = reader.byte()
  return value === 0 || value === 1 ? value : wrong("a property that is 0 or 1 has another value")
}

/** A number that must not be 0. */
const positive = (value: number, what: string): number => (value === 0 ? wrong(`${what} of 0`) : value)

/** Reads the property length and the properties. Never called for 3.1 and 3.1.1, which have none. */
export const readProperties = (reader: BodyReader, set: PropertySet): ReceivedProperties => {
  const properties = none()
  const size = reader.variableByteInteger()
  const end = reader.position + size
  if (end > reader.end) throw new MalformedPacket(0x81, "properties longer than their packet")
  const user: Array<readonly [string, string]> = []
  let seenLow = 0
  let seenHigh = 0
  while (reader.position < end) {
    const identifier = reader.variableByteInteger()
    if (!set.has(identifier)) {
      const known = identifier > 0 && identifier <= 0x2a
      throw new MalformedPacket(known ? 0x82 : 0x81, `property 0x${identifier.toString(16)} where it may not be`, "MQTT-2.2.2")
    }
    if (identifier === id.userProperty) {
      if (user.length === reader.userPropertiesMax) {
        throw new MalformedPacket(ReasonCode.quotaExceeded, `more than ${user.length} user properties`)
      }
      user.push([reader.string(), reader.string()])
      continue
    }
    // Every identifier in a set is below 43: two words of bits remember which were there.
    const seen = identifier < 32 ? seenLow : seenHigh
    const mask = 1 << (identifier & 31)
    if ((seen & mask) !== 0) wrong(`property 0x${identifier.toString(16)} twice`)
    if (identifier < 32) seenLow |= mask
    else seenHigh |= mask
    readOne(reader, identifier, properties)
  }
  if (reader.position !== end) throw new MalformedPacket(0x81, "a property crosses the end of the properties")
  if (user.length > 0) properties.userProperties = user
  return properties
}

const readOne = (reader: BodyReader, identifier: number, properties: ReceivedProperties): void => {
  switch (identifier) {
    case id.payloadFormatIndicator:
      properties.payloadFormat = bit(reader)
      return
    case id.messageExpiryInterval:
      properties.messageExpirySeconds = reader.uint32()
      return
    case id.contentType:
      properties.contentType = reader.string()
      return
    case id.responseTopic:
      properties.responseTopic = responseTopic(reader.string())
      return
    case id.correlationData:
      properties.correlationData = reader.binary()
      return
    case id.subscriptionIdentifier:
      properties.subscriptionIdentifier = positive(reader.variableByteInteger(), "subscription identifier")
      return
    case id.sessionExpiryInterval:
      properties.sessionExpirySeconds = reader.uint32()
      return
    case id.authenticationMethod:
      properties.authenticationMethod = reader.string()
      return
    case id.authenticationData:
      properties.authenticationData = reader.binary()
      return
    case id.requestProblemInformation:
      properties.requestProblemInformation = bit(reader) === 1
      return
    case id.willDelayInterval:
      properties.willDelaySeconds = reader.uint32()
      return
    case id.requestResponseInformation:
      properties.requestResponseInformation = bit(reader) === 1
      return
    case id.reasonString:
      properties.reasonString = reader.string()
      return
    case id.receiveMaximum:
      properties.receiveMaximum = positive(reader.uint16(), "receive maximum")
      return
    case id.topicAliasMaximum:
      properties.topicAliasMaximum = reader.uint16()
      return
    case id.topicAlias: {
      // [MQTT-3.3.2-8]
      const alias = reader.uint16()
      if (alias === 0) throw new MalformedPacket(0x94, "topic alias 0", "MQTT-3.3.2-8")
      properties.topicAlias = alias
      return
    }
    case id.maximumPacketSize:
      properties.maximumPacketSize = positive(reader.uint32(), "maximum packet size")
      return
    default:
      throw new Error(`property 0x${identifier.toString(16)} is in a set and not read`)
  }
}

const responseTopic = (topic: string): string => {
  // [MQTT-3.3.2-13], [MQTT-3.3.2-14]
  if (topic.length === 0 || topic.includes("+") || topic.includes("#")) {
    throw new MalformedPacket(0x82, "a response topic with wildcards or of no length", "MQTT-3.3.2-14")
  }
  return topic
}
