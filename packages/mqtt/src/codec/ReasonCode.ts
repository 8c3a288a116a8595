/**
 * The reason codes of MQTT 5 (section 2.4), which packet may carry which, and their nearest meaning in 3.1 and 3.1.1.
 *
 * Everything inside the broker speaks these codes; only the encoders turn them into the return codes of older clients.
 */
export const ReasonCode = {
  success: 0x00,
  normalDisconnection: 0x00,
  grantedQos0: 0x00,
  grantedQos1: 0x01,
  grantedQos2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reAuthenticate: 0x19,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecificError: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2
} as const

export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode]

/** The packets that carry reason codes. */
export type ReasonPacket = "connack" | "puback" | "pubrec" | "pubrel" | "pubcomp" | "suback" | "unsuback" | "disconnect" | "auth"

const publishAnswer = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const release = [0x00, 0x92]

const codesByPacket: Readonly<Record<ReasonPacket, ReadonlySet<number>>> = {
  // [MQTT-3.2.2-8]
  connack: new Set([
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d,
    0x9f
  ]),
  // [MQTT-3.4.2-1]
  puback: new Set(publishAnswer),
  // [MQTT-3.5.2-1]
  pubrec: new Set(publishAnswer),
  // [MQTT-3.6.2-1]
  pubrel: new Set(release),
  // [MQTT-3.7.2-1]
  pubcomp: new Set(release),
  // [MQTT-3.9.3-2]
  suback: new Set([0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]),
  // [MQTT-3.11.3-2]
  unsuback: new Set([0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]),
  // [MQTT-3.14.2-1]
  disconnect: new Set([
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2
  ]),
  // [MQTT-3.15.2-1]
  auth: new Set([0x00, 0x18, 0x19])
}

/** Whether MQTT 5 lets `packet` carry `code`. */
export const mayCarry = (packet: ReasonPacket, code: number): boolean => codesByPacket[packet].has(code)

/** `code`, or the nearest that `packet` may carry: refusals for who a client is become 0x87, others 0x80. */
export const carriable = (packet: "connack" | "disconnect", code: number): number => {
  if (mayCarry(packet, code)) return code
  const identity = [
    ReasonCode.badUserNameOrPassword,
    ReasonCode.banned,
    ReasonCode.badAuthenticationMethod
  ] as ReadonlyArray<number>
  return identity.includes(code) ? ReasonCode.notAuthorized : ReasonCode.unspecifiedError
}

/**
 * The CONNACK return code of 3.1 and 3.1.1 for a reason code; undefined where there is none, so that the connection is
 * closed without a CONNACK [MQTT-3.2.2-6].
 */
export const connackReturnCode = (code: number): 0 | 1 | 2 | 3 | 4 | 5 | undefined => {
  switch (code) {
    case ReasonCode.success:
      return 0
    case ReasonCode.unsupportedProtocolVersion:
      return 1
    case ReasonCode.clientIdentifierNotValid:
      return 2
    case ReasonCode.serverUnavailable:
    case ReasonCode.serverBusy:
    case ReasonCode.quotaExceeded:
    case ReasonCode.useAnotherServer:
    case ReasonCode.serverMoved:
    case ReasonCode.connectionRateExceeded:
      return 3
    case ReasonCode.badUserNameOrPassword:
    case ReasonCode.badAuthenticationMethod:
      return 4
    case ReasonCode.notAuthorized:
    case ReasonCode.banned:
      return 5
    default:
      return undefined
  }
}

/** The SUBACK return code of 3.1.1 for a reason code: the granted QoS, or 0x80 failure [MQTT-3.9.3-2]. */
export const subackReturnCode = (code: number): 0 | 1 | 2 | 0x80 => (code === 0 || code === 1 || code === 2 ? code : 0x80)
