/**
 * A topic: a named set of partitions with the engine and the promises of their shards.
 */
import * as Schema from "effect/Schema"
import { EngineName } from "../Ids.js"

/** The words of `@effectmq/storage/Shard`: when an append counts as durable. */
export const TopicDurability = Schema.Literal("fsync", "interval", "os")
export type TopicDurability = typeof TopicDurability.Type

export const TopicCleanup = Schema.Literal("delete", "compact")
export type TopicCleanup = typeof TopicCleanup.Type

/** What can be changed later, save that partitions only grow. */
export const topicConfigFields = {
  partitions: Schema.Int,
  /** Oldest age kept, ms; absent keeps all. */
  retentionMs: Schema.optional(Schema.Int),
  /** Bytes kept per partition; absent keeps all. */
  retentionBytes: Schema.optional(Schema.Int),
  cleanup: TopicCleanup,
  durability: TopicDurability,
  /** MQTT messages whose topic matches this filter are appended here; absent binds nothing. Filters of topics may overlap. */
  mqttFilter: Schema.optional(Schema.String)
}

export const TopicConfig = Schema.Struct(topicConfigFields)
export type TopicConfig = typeof TopicConfig.Type

export const Topic = Schema.Struct({
  tenant: Schema.String,
  name: Schema.String,
  /** Never given twice: a topic deleted and made again under its name has another. */
  topicId: Schema.Int,
  engine: EngineName,
  ...topicConfigFields,
  createdAtMs: Schema.Int
})
export type Topic = typeof Topic.Type
