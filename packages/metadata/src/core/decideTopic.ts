/**
 * Commands on topics. Filters bound to topics may overlap: a message then goes to every topic it matches.
 */
import { InvalidTopic, LimitReached, TopicExists, UnknownTenant, UnknownTopic } from "@effectmq/schemas/errors/MetadataError"
import type { TopicConfig } from "@effectmq/schemas/metadata/Topic"
import * as Either from "effect/Either"
import { topicOf } from "./Image.js"
import { limits } from "./limits.js"
import { type DecideOne, defined, done, refuse } from "./Outcome.js"
import { checkFilter, checkInt, checkTopicName } from "./validate.js"

const checkConfig = (config: TopicConfig) =>
  checkInt("partitions", config.partitions, 1, limits.partitionsPerTopicMax) ??
  checkInt("retentionMs", config.retentionMs, 1) ??
  checkInt("retentionBytes", config.retentionBytes, 1) ??
  checkFilter("mqttFilter", config.mqttFilter)

/** The topic's id is the sequence of the event that makes it. */
export const createTopic: DecideOne<"CreateTopic"> = (image, command) => {
  const { tenant, name } = command
  const config = defined({
    partitions: command.partitions ?? 1,
    retentionMs: command.retentionMs,
    retentionBytes: command.retentionBytes,
    cleanup: command.cleanup ?? "delete",
    durability: command.durability ?? "fsync",
    mqttFilter: command.mqttFilter
  })
  const wrong = checkTopicName(name) ?? checkConfig(config)
  if (wrong !== undefined) return refuse(wrong)
  if (!image.tenantsById.has(tenant)) return refuse(new UnknownTenant({ tenant }))
  if (topicOf(image, tenant, name) !== undefined) return refuse(new TopicExists({ tenant, name }))
  if (image.topicsByName.size >= limits.topicsMax) return refuse(new LimitReached({ what: "topics", max: limits.topicsMax }))
  const topicId = image.version + 1
  const engine = command.engine ?? "file"
  return Either.right({
    events: [{ _tag: "TopicCreated", tenant, name, topicId, engine, ...config, createdAtMs: command.atMs }],
    reply: { topicId }
  })
}

/** null takes away, undefined leaves. */
const patched = <A>(wish: A | null | undefined, now: A | undefined): A | undefined =>
  wish === undefined ? now : (wish ?? undefined)

export const configureTopic: DecideOne<"ConfigureTopic"> = (image, command) => {
  const { tenant, name } = command
  const topic = topicOf(image, tenant, name)
  if (topic === undefined) return refuse(new UnknownTopic({ tenant, name }))
  const config = defined({
    partitions: command.partitions ?? topic.partitions,
    retentionMs: patched(command.retentionMs, topic.retentionMs),
    retentionBytes: patched(command.retentionBytes, topic.retentionBytes),
    cleanup: command.cleanup ?? topic.cleanup,
    durability: command.durability ?? topic.durability,
    mqttFilter: patched(command.mqttFilter, topic.mqttFilter)
  })
  const wrong = checkConfig(config)
  if (wrong !== undefined) return refuse(wrong)
  if (config.partitions < topic.partitions) {
    return refuse(
      new InvalidTopic({ name, reason: `it has ${topic.partitions} partitions, and partitions are never taken away` })
    )
  }
  return done({ _tag: "TopicConfigured", tenant, name, ...config })
}

export const deleteTopic: DecideOne<"DeleteTopic"> = (image, { tenant, name }) =>
  topicOf(image, tenant, name) === undefined
    ? refuse(new UnknownTopic({ tenant, name }))
    : done({ _tag: "TopicDeleted", tenant, name })
