/**
 * MQTT control packets as values: what the decoders give and the encoders take.
 *
 * One shape serves 3.1, 3.1.1 and 5.0: what a version cannot say has the value that means the same thing in it (receive
 * maximum 65535, no properties, ...). PUBLISH and its acknowledgements are not here: see PacketParser and Publish.
 */
import type { MessageProperties, QoS } from "@effectmq/messaging/Message"

/** The protocol level in CONNECT: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5

/** In the order of the packet, names may repeat. */
export type UserProperties = ReadonlyArray<readonly [name: string, value: string]>

/** The largest packet the protocol can express: five bytes of fixed header and 268,435,455 more. */
export const packetSizeLimit = 268_435_460

/** Where an encoder writes. A `Connection` is one; after `reserve(n)`, `buffer` has n free bytes from `length` on. */
export interface Output {
  buffer: Buffer
  length: number
  reserve(size: number): void
  /** Appends `source[start, end)` and gives where in `buffer` it begins. */
  writeRange(source: Buffer, start: number, end: number): number
  /** Appends bytes that nobody will ever change: not copied when large. `length` and `buffer` are others afterwards. */
  writeShared(bytes: Buffer): void
}

export interface Will {
  readonly topic: string
  /** A copy: it outlives the chunk it came in. */
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  /** 0 where none was given. */
  readonly delaySeconds: number
  readonly messageExpirySeconds: number | undefined
  readonly properties: MessageProperties | undefined
}

export interface ConnectPacket {
  readonly type: "connect"
  readonly version: ProtocolVersion
  /** Clean Session in 3.1 and 3.1.1. */
  readonly cleanStart: boolean
  /** 0: none. */
  readonly keepAliveSeconds: number
  /** "" where the server is to assign one; that is refused by the decoder where the version does not allow it. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly will: Will | undefined
  /** As sent; undefined in 3.1 and 3.1.1, where Clean Session alone decides. 0xFFFFFFFF: never. */
  readonly sessionExpirySeconds: number | undefined
  /** 1 to 65535. */
  readonly receiveMaximum: number
  /** `packetSizeLimit` where none was given. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly authenticationMethod: string | undefined
  readonly authenticationData: Buffer | undefined
  readonly userProperties: UserProperties | undefined
}

export interface SubscribeEntry {
  /** As sent, with a `$share/<group>/` or other prefix. Valid UTF-8 and not empty; its wildcards are not judged here. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: send retained messages; 1: only if the subscription is new; 2: never. */
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  readonly type: "subscribe"
  readonly packetId: number
  readonly subscriptionIdentifier: number | undefined
  readonly userProperties: UserProperties | undefined
  /** At least one. */
  readonly entries: ReadonlyArray<SubscribeEntry>
}

export interface UnsubscribePacket {
  readonly type: "unsubscribe"
  readonly packetId: number
  readonly userProperties: UserProperties | undefined
  /** At least one. */
  readonly filters: ReadonlyArray<string>
}

export interface DisconnectPacket {
  readonly type: "disconnect"
  /** 0 in 3.1 and 3.1.1. */
  readonly reasonCode: number
  readonly sessionExpirySeconds: number | undefined
  readonly reasonString: string | undefined
  readonly userProperties: UserProperties | undefined
}

export interface AuthPacket {
  readonly type: "auth"
  /** 0x18 continue or 0x19 re-authenticate. */
  readonly reasonCode: number
  readonly authenticationMethod: string
  readonly authenticationData: Buffer | undefined
  readonly reasonString: string | undefined
  readonly userProperties: UserProperties | undefined
}

/** What `PacketHandler.onPacket` gets. */
export type ControlPacket = ConnectPacket | SubscribePacket | UnsubscribePacket | DisconnectPacket | AuthPacket

/** Diagnostics that the broker leaves out where the packet would grow past the client's Maximum Packet Size. */
export interface Diagnostics {
  readonly reasonString?: string | undefined
  readonly userProperties?: UserProperties | undefined
}

/** What `encodeConnack` takes. In 3.1 and 3.1.1 only the first two count, the code mapped by `connackReturnCode`. */
export interface ConnackFields extends Diagnostics {
  readonly sessionPresent: boolean
  /** A code of MQTT 5, also for older clients. */
  readonly reasonCode: number
  readonly sessionExpirySeconds?: number | undefined
  readonly receiveMaximum?: number | undefined
  readonly maximumQos?: 0 | 1 | undefined
  readonly retainAvailable?: boolean | undefined
  readonly maximumPacketSize?: number | undefined
  readonly assignedClientId?: string | undefined
  readonly topicAliasMaximum?: number | undefined
  readonly wildcardSubscriptionAvailable?: boolean | undefined
  readonly subscriptionIdentifiersAvailable?: boolean | undefined
  readonly sharedSubscriptionAvailable?: boolean | undefined
  readonly serverKeepAliveSeconds?: number | undefined
  readonly responseInformation?: string | undefined
  readonly serverReference?: string | undefined
  readonly authenticationMethod?: string | undefined
  readonly authenticationData?: Uint8Array | undefined
}

export interface DisconnectFields extends Diagnostics {
  readonly reasonCode: number
  readonly serverReference?: string | undefined
}

export interface AuthFields extends Diagnostics {
  readonly reasonCode: number
  readonly authenticationMethod: string
  readonly authenticationData?: Uint8Array | undefined
}
