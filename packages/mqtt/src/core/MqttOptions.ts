/**
 * What a server may decide within the protocol, as plain data. The configuration keys `mqtt.*` and `limits.*` map to it.
 */
import type { QoS } from "@effectmq/messaging/Message"
import { defaultPacketLimits } from "../codec/PacketLimits.js"
import type { QueueDrop } from "./SessionPorts.js"

/** Rewrites topics of publishes or filters of subscriptions; the last rule whose source matches decides. */
export interface RewriteRule {
  readonly action: "publish" | "subscribe" | "all"
  /** Filter that the topic must match. */
  readonly source: string
  /** Regular expression that it must match as well. */
  readonly regex: string
  /** `$1` and so on are groups, `%c` the client id, `%u` the user. */
  readonly dest: string
}

/** A subscription that every client gets as it connects. */
export interface AutomaticSubscription {
  /** `%c` is the client id, `%u` the user. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

/** A rate per second; 0 is no limit. */
export interface Rate {
  readonly messagesPerSecond: number
  readonly bytesPerSecond: number
}

export interface MqttOptions {
  /** As in `$SYS/brokers/<name>/...`. */
  readonly nodeName: string
  /** Of the software, as `$SYS` tells it. */
  readonly softwareVersion: string
  /** Tenant of the clients of these listeners. */
  readonly tenant: string
  /** Bytes; larger packets end the connection with 0x95. */
  readonly packetSizeMax: number
  /** User properties of one packet; more end the connection with 0x97. */
  readonly userPropertiesMax: number
  /** Memory for packets of which a part has come, of all connections together; past it such a connection ends with 0x97. */
  readonly unfinishedPacketsBytesMax: number
  /** QoS 1 and 2 publishes of a client that may be unacknowledged. */
  readonly receiveMaximum: number
  readonly maximumQos: QoS
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  /** Topic aliases per connection and direction. */
  readonly topicAliasMaximum: number
  /** 4294967295: for ever. */
  readonly sessionExpirySecondsMax: number
  /** Persistent sessions of a tenant, connected or not; a client that would have one more is refused. */
  readonly persistentSessionsMax: number
  readonly keepAliveSecondsMax: number
  readonly inflightMax: number
  /** Payload bytes in flight to one client past which nothing more is sent to it. */
  readonly inflightBytesMax: number
  readonly queueMax: number
  /** Payload bytes that wait in memory for one session. */
  readonly queueBytesMax: number
  readonly queueDrop: QueueDrop
  readonly topicLevelsMax: number
  /** Characters. */
  readonly topicLengthMax: number
  readonly clientIdLengthMax: number
  readonly subscriptionsPerClientMax: number
  /** Filters of one SUBSCRIBE or UNSUBSCRIBE; more end the connection with 0x97. */
  readonly filtersPerPacketMax: number
  /** Refuses client ids of 3.1 that are longer than 23 characters, as its text says [MQTT-3.1.3-5]. */
  readonly strictClientIds: boolean
  /** What a client gets as Response Information when it asks [MQTT5 3.2.2.3.15]; `%c` is its client id. undefined: nothing. */
  readonly responseInformation: string | undefined
  /** Bytes a connection may hold back while its CONNECT is judged. */
  readonly heldBytesMax: number
  readonly exclusiveEnabled: boolean
  readonly delayedEnabled: boolean
  readonly delayedSecondsMax: number
  readonly rewrite: ReadonlyArray<RewriteRule>
  readonly automaticSubscriptions: ReadonlyArray<AutomaticSubscription>
  readonly clientRate: Rate
  readonly tenantRate: Rate
  /** How often progress that nothing waits for is written. */
  readonly progressIntervalMs: number
  /** How often $SYS statistics are published; 0: never. */
  readonly sysIntervalMs: number
  readonly slowSubscribers: {
    readonly enabled: boolean
    readonly thresholdMs: number
    readonly countMax: number
    readonly windowSeconds: number
  }
}

export const defaultMqttOptions: MqttOptions = {
  nodeName: "effectmq",
  softwareVersion: "0.2.0",
  tenant: "default",
  packetSizeMax: 1024 * 1024,
  userPropertiesMax: defaultPacketLimits.userPropertiesMax,
  unfinishedPacketsBytesMax: defaultPacketLimits.unfinishedBytesMax,
  receiveMaximum: 1024,
  maximumQos: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  sharedSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  topicAliasMaximum: 64,
  sessionExpirySecondsMax: 7 * 86_400,
  persistentSessionsMax: 1_000_000,
  keepAliveSecondsMax: 65_535,
  inflightMax: 1024,
  inflightBytesMax: 16 * 1024 * 1024,
  queueMax: 10_000,
  queueBytesMax: 16 * 1024 * 1024,
  queueDrop: "oldest",
  topicLevelsMax: 128,
  topicLengthMax: 4096,
  clientIdLengthMax: 1024,
  subscriptionsPerClientMax: 10_000,
  filtersPerPacketMax: defaultPacketLimits.filtersMax,
  strictClientIds: false,
  responseInformation: undefined,
  heldBytesMax: 1024 * 1024,
  exclusiveEnabled: true,
  delayedEnabled: true,
  delayedSecondsMax: 42_949_670,
  rewrite: [],
  automaticSubscriptions: [],
  clientRate: { messagesPerSecond: 0, bytesPerSecond: 0 },
  tenantRate: { messagesPerSecond: 0, bytesPerSecond: 0 },
  progressIntervalMs: 1000,
  sysIntervalMs: 10_000,
  slowSubscribers: { enabled: true, thresholdMs: 500, countMax: 10, windowSeconds: 300 }
}
