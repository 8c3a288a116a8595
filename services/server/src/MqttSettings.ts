/**
 * The settings as options of MQTT and of messaging.
 */
import type { MessagingOptions } from "@effectmq/messaging/Messaging"
import { defaultMessagingOptions } from "@effectmq/messaging/Messaging"
import type { MqttOptions } from "@effectmq/mqtt/core/MqttOptions"
import { defaultMqttOptions } from "@effectmq/mqtt/core/MqttOptions"
import type { SessionStoreOptions } from "@effectmq/mqtt/SessionStore"
import type { Settings } from "@effectmq/schemas/config/Settings"
import { version } from "./Version.js"

/** 0 is no limit. */
const unlessZero = (value: number): number | undefined => (value === 0 ? undefined : value)

export const messagingOptions = (settings: Settings): MessagingOptions => {
  const retentionSeconds = unlessZero(settings["mqtt.log.retentionSeconds"])
  return {
    ...defaultMessagingOptions,
    engine: settings["mqtt.log.engine"],
    durability: settings["mqtt.log.durability"],
    logShards: settings["mqtt.log.shards"],
    logRetentionMs: retentionSeconds === undefined ? undefined : retentionSeconds * 1000,
    logRetentionBytes: unlessZero(settings["mqtt.log.retentionBytes"]),
    retained: {
      messagesMax: settings["mqtt.retained.messagesMax"],
      bytesMax: settings["mqtt.retained.bytesMax"],
      payloadBytesMax: settings["mqtt.retained.payloadBytesMax"]
    },
    delayed: { countMax: settings["mqtt.delayed.countMax"], bytesMax: settings["mqtt.delayed.bytesMax"] },
    sharedStrategy: settings["mqtt.sharedSubscription.strategy"],
    offlineMax: settings["mqtt.session.offlineMax"]
  }
}

export const sessionStoreOptions = (settings: Settings): SessionStoreOptions => ({
  engine: settings["mqtt.log.engine"],
  durability: settings["mqtt.log.durability"],
  shards: settings["mqtt.log.shards"]
})

export const mqttOptions = (settings: Settings): MqttOptions => ({
  ...defaultMqttOptions,
  nodeName: settings["node.name"],
  softwareVersion: version,
  tenant: settings["mqtt.tenant"],
  packetSizeMax: settings["mqtt.maxPacketSizeBytes"],
  userPropertiesMax: settings["mqtt.userPropertiesMax"],
  unfinishedPacketsBytesMax: settings["mqtt.unfinishedPackets.bytesMax"],
  receiveMaximum: settings["mqtt.receiveMaximum"],
  maximumQos: settings["mqtt.maximumQos"],
  retainAvailable: settings["mqtt.retainAvailable"],
  wildcardSubscriptionAvailable: settings["mqtt.wildcardSubscriptionAvailable"],
  sharedSubscriptionAvailable: settings["mqtt.sharedSubscription.enabled"],
  subscriptionIdentifiersAvailable: settings["mqtt.subscriptionIdentifiersAvailable"],
  topicAliasMaximum: settings["mqtt.topicAliasMax"],
  sessionExpirySecondsMax: settings["mqtt.session.expirySecondsMax"],
  persistentSessionsMax: settings["mqtt.session.persistentMax"],
  keepAliveSecondsMax: settings["mqtt.keepAliveSecondsMax"],
  inflightMax: settings["mqtt.session.inflightMax"],
  queueMax: settings["mqtt.session.queueMax"],
  queueDrop: settings["mqtt.session.queueDrop"],
  topicLevelsMax: settings["mqtt.topicLevelsMax"],
  topicLengthMax: settings["mqtt.topicLengthMax"],
  clientIdLengthMax: settings["mqtt.clientIdLengthMax"],
  subscriptionsPerClientMax: settings["mqtt.subscriptionsPerClientMax"],
  filtersPerPacketMax: settings["mqtt.filtersPerPacketMax"],
  strictClientIds: settings["mqtt.strictClientIds"],
  responseInformation: settings["mqtt.responseInformation"],
  exclusiveEnabled: settings["mqtt.exclusive.enabled"],
  delayedEnabled: settings["mqtt.delayed.enabled"],
  delayedSecondsMax: settings["mqtt.delayed.secondsMax"],
  rewrite: settings["mqtt.rewrite"],
  automaticSubscriptions: settings["mqtt.automaticSubscriptions"],
  clientRate: {
    messagesPerSecond: settings["limits.client.messagesPerSecond"],
    bytesPerSecond: settings["limits.client.bytesPerSecond"]
  },
  tenantRate: {
    messagesPerSecond: settings["limits.tenant.messagesPerSecond"],
    bytesPerSecond: settings["limits.tenant.bytesPerSecond"]
  },
  progressIntervalMs: settings["mqtt.session.progressIntervalMs"],
  sysIntervalMs: settings["sys.intervalSeconds"] * 1000,
  slowSubscribers: {
    enabled: settings["mqtt.slowSubscribers.enabled"],
    thresholdMs: settings["mqtt.slowSubscribers.thresholdMs"],
    countMax: settings["mqtt.slowSubscribers.countMax"],
    windowSeconds: settings["mqtt.slowSubscribers.windowSeconds"]
  }
})
