/**
 * `/api/v1/topics`: `GET` lists, `GET`, `PUT` (makes; 409 where it is), `PATCH` and `DELETE /<name>`;
 * `GET /<name>/partitions` tells what each holds, `GET /<name>/records` (`partition`, `from`, `limit`) reads one.
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

export const TopicPartition = Schema.Struct({
  partition: Schema.Int,
  /** First offset that can be read. */
  startOffset: Schema.Int,
  /** One past the last that can be read. */
  endOffset: Schema.Int,
  /** About. */
  sizeBytes: Schema.Int
})
export type TopicPartition = typeof TopicPartition.Type

export const TopicPartitionList = Schema.Array(TopicPartition)

export const TopicRecord = Schema.Struct({
  offset: Schema.Int,
  timestampMs: Schema.Number,
  /** The MQTT topic, where it came by MQTT. */
  key: Schema.String,
  publisher: Schema.String,
  /** null: the record has no value. */
  payloadBase64: Schema.NullOr(Schema.String)
})
export type TopicRecord = typeof TopicRecord.Type

/** In offset order; reading goes on at `nextOffset` until that is the end offset. */
export const TopicRecords = Schema.Struct({ records: Schema.Array(TopicRecord), nextOffset: Schema.Int, endOffset: Schema.Int })
export type TopicRecords = typeof TopicRecords.Type
