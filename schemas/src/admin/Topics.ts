/**
 * `/api/v1/topics`: `GET` lists, `GET`, `PUT` (makes; 409 where it is), `PATCH` and `DELETE /<name>`.
 */
import * as Schema from "effect/Schema"
import { CreateTopic, ConfigureTopic } from "../metadata/MetadataCommand.js"
import { Topic } from "../metadata/Topic.js"

export const TopicList = Schema.Array(Topic)

const { engine, partitions, retentionMs, retentionBytes, cleanup, durability, mqttFilter } = CreateTopic.fields

export const CreateTopicBody = Schema.Struct({ engine, partitions, retentionMs, retentionBytes, cleanup, durability, mqttFilter })
export type CreateTopicBody = typeof CreateTopicBody.Type

/** An absent field stays as it is; null takes a limit or a binding away. */
export const ConfigureTopicBody = Schema.Struct({
  partitions: ConfigureTopic.fields.partitions,
  retentionMs: ConfigureTopic.fields.retentionMs,
  retentionBytes: ConfigureTopic.fields.retentionBytes,
  cleanup: ConfigureTopic.fields.cleanup,
  durability: ConfigureTopic.fields.durability,
  mqttFilter: ConfigureTopic.fields.mqttFilter
})
export type ConfigureTopicBody = typeof ConfigureTopicBody.Type
