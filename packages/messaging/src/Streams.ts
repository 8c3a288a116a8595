/**
 * Stored topics that take in MQTT messages: a topic bound to `sensors/#` gets what is published there, by partition of the
 * MQTT topic (key: MQTT topic). Follows the metadata: a binding that is made, changed or removed takes effect at once.
 */
import type { ShardEngines } from "@effectmq/storage/ShardEngines"
import type { StorageError } from "@effectmq/storage/StorageError"
import type { Image } from "@effectmq/metadata/core/Image"
import type { Topic } from "@effectmq/schemas/metadata/Topic"
import type { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import * as Effect from "effect/Effect"
import { topicHash, type RouteTable, type StreamBinding } from "./core/RouteTable.js"
import type { Message } from "./Message.js"
import { appendMessage } from "./MessageRecord.js"
import type { PendingPublish } from "./Publish.js"
import { ShardWriter } from "./ShardWriter.js"
import type { Time } from "./Time.js"

interface Append {
  readonly message: Message
  readonly publish: PendingPublish | undefined
}

interface Bound {
  readonly topic: Topic
  readonly binding: StreamBinding
  readonly partitions: ReadonlyArray<ShardWriter<Append>>
}

export class Streams {
  private readonly boundByTopic = new Map<string, Bound>()
  /** Appends of QoS 0 messages that failed. */
  failedCount = 0

  constructor(
    readonly tenant: string,
    private readonly engines: typeof ShardEngines.Service,
    private readonly routes: RouteTable,
    private readonly time: Time
  ) {}

  /** Appends to the stream's partition for the message's topic; `publish.done` follows where one is given. */
  append(binding: StreamBinding, message: Message, publish: PendingPublish | undefined): void {
    const bound = this.boundByTopic.get(binding.topic)
    if (bound === undefined) {
      publish?.done(undefined)
      return
    }
    const partition = topicHash(message.topic) % bound.partitions.length
    ;(bound.partitions[partition] as ShardWriter<Append>).append({ message, publish })
  }

  /** Makes the bindings what the image says. */
  follow(image: Image): Effect.Effect<void, StorageError> {
    return Effect.gen(this, function* () {
      const wanted = new Map<string, Topic>()
      for (const [, topic] of image.topicsByName) {
        if (topic.tenant === this.tenant && topic.mqttFilter !== undefined) wanted.set(topic.name, topic)
      }
      for (const [name, bound] of this.boundByTopic) {
        if (wanted.get(name) === bound.topic) continue
        this.routes.unbindStream(bound.binding)
        for (const partition of bound.partitions) partition.flush()
        this.boundByTopic.delete(name)
      }
      for (const [name, topic] of wanted) {
        if (!this.boundByTopic.has(name)) yield* this.bind(topic)
      }
    })
  }

  private bind(topic: Topic): Effect.Effect<void, StorageError> {
    return Effect.gen(this, function* () {
      const engine = yield* this.engines.engine(topic.engine)
      const partitions: Array<ShardWriter<Append>> = []
      for (let partition = 0; partition < topic.partitions; partition++) {
        const shard = yield* engine.open({ tenant: topic.tenant, topic: topic.name, partition }, topic)
        partitions.push(
          new ShardWriter<Append>(shard, this.time, encodeAppend, (appends, _baseOffset, error) => this.done(appends, error))
        )
      }
      const binding = { topic: topic.name, filter: topic.mqttFilter as string }
      this.boundByTopic.set(topic.name, { topic, binding, partitions })
      this.routes.bindStream(binding)
    })
  }

  private done(appends: ReadonlyArray<Append>, error: StorageError | undefined): void {
    for (const { publish } of appends) {
      if (publish !== undefined) publish.done(error)
      else if (error !== undefined) this.failedCount++
    }
  }
}

const encodeAppend = (builder: RecordBatchBuilder, append: Append): void => appendMessage(builder, append.message)
