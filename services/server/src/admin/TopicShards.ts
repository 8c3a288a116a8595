/**
 * What a topic holds: its shards, found, read and removed.
 */
import type { TopicPartition, TopicRecord, TopicRecords } from "@effectmq/schemas/admin/Topics"
import type { Topic } from "@effectmq/schemas/metadata/Topic"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import { headerName } from "@effectmq/schemas/record/Headers"
import type { Shard } from "@effectmq/storage/Shard"
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import { AdminError, badRequest } from "./AdminRequest.js"

const readBytesMax = 256 * 1024
/** Of one answer; a record that is larger comes alone. */
const answerBytesMax = 4 * 1024 * 1024

const refused = (error: StorageError) => new AdminError({ status: 503, error: error._tag, message: error.message })

const trimmed = (offset: number) =>
  new AdminError({ status: 409, error: "OffsetOutOfRange", message: `offset ${offset} was removed meanwhile` })

/** The partitions that something was stored in, or that are open; none where this deployment has no such engine. */
const stored = (topic: Pick<Topic, "tenant" | "name" | "engine">) =>
  Effect.gen(function* () {
    const { all } = yield* ShardEngines
    const engine = all.find(({ name }) => name === topic.engine)
    if (engine === undefined) return []
    const ids = yield* engine.list
    return ids.filter((id) => id.tenant === topic.tenant && id.topic === topic.name).map((id) => ({ engine, id }))
  })

/** undefined for a partition that nothing was stored in yet: looking must not make it. */
const shardOf = (topic: Topic, partition: number): Effect.Effect<Shard | undefined, StorageError, ShardEngines> =>
  Effect.flatMap(stored(topic), (found) => {
    const one = found.find(({ id }) => id.partition === partition)
    return one === undefined ? Effect.succeed(undefined) : one.engine.open(one.id, topic)
  })

export const partitions = (topic: Topic): Effect.Effect<ReadonlyArray<TopicPartition>, AdminError, ShardEngines> =>
  Effect.forEach(
    Array.from({ length: topic.partitions }, (_, partition) => partition),
    (partition) =>
      Effect.map(shardOf(topic, partition), (shard) => ({
        partition,
        startOffset: shard?.startOffset() ?? 0,
        endOffset: shard?.committedOffset() ?? 0,
        sizeBytes: shard?.sizeBytes() ?? 0
      }))
  ).pipe(Effect.mapError(refused))

const recordOf = (cursor: RecordCursor): TopicRecord => ({
  offset: cursor.offset,
  timestampMs: cursor.timestampMs,
  key: cursor.bytes.toString("utf8", cursor.keyStart, Math.max(cursor.keyStart, cursor.keyEnd)),
  publisher:
    cursor
      .headers()
      .find(({ name }) => name === headerName.publisher)
      ?.value?.toString("utf8") ?? "",
  payloadBase64:
    cursor.valueEnd < cursor.valueStart ? null : cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd).toString("base64")
})

/** Up to `limit` records from an offset on; an offset before the first that is kept means that one. */
export const read = (
  topic: Topic,
  from: { readonly partition: number; readonly offset: number; readonly limit: number }
): Effect.Effect<TopicRecords, AdminError, ShardEngines> =>
  Effect.gen(function* () {
    if (from.partition >= topic.partitions) {
      return yield* Effect.fail(
        badRequest(`topic ${topic.name} has partitions 0 to ${topic.partitions - 1}, not ${from.partition}`)
      )
    }
    const shard = yield* Effect.mapError(shardOf(topic, from.partition), refused)
    const endOffset = shard?.committedOffset() ?? 0
    const records: Array<TopicRecord> = []
    let nextOffset = Math.max(from.offset, shard?.startOffset() ?? 0)
    let bytes = 0
    while (shard !== undefined && nextOffset < endOffset && records.length < from.limit && bytes < answerBytesMax) {
      const result = yield* shard.read(nextOffset, { bytesMax: readBytesMax }).pipe(
        Effect.catchTags({
          StorageError: (error) => Effect.fail(refused(error)),
          OffsetOutOfRange: ({ offset }) => Effect.fail(trimmed(offset))
        })
      )
      const wanted = nextOffset
      nextOffset = Math.max(result.nextOffset, nextOffset)
      if (result.batches.length === 0 && result.nextOffset <= wanted) break
      reading: for (const batch of result.batches) {
        const cursor = new RecordCursor(batch)
        while (cursor.next()) {
          if (cursor.offset < wanted) continue
          if (records.length >= from.limit || bytes >= answerBytesMax || cursor.offset >= endOffset) {
            nextOffset = cursor.offset
            break reading
          }
          const record = recordOf(cursor)
          bytes += record.key.length + (record.payloadBase64?.length ?? 0)
          records.push(record)
        }
      }
    }
    return { records, nextOffset, endOffset }
  })

/** Removes all that is stored under the name of the topic. */
export const remove = (topic: Pick<Topic, "tenant" | "name" | "engine">): Effect.Effect<void, AdminError, ShardEngines> =>
  Effect.flatMap(stored(topic), (found) => Effect.forEach(found, ({ engine, id }) => engine.remove(id), { discard: true })).pipe(
    Effect.mapError(refused)
  )
