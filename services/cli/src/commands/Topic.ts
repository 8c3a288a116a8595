/**
 * `effectmq topic`: stored topics.
 */
import { isUtf8 } from "node:buffer"
import { TopicList, TopicPartitionList, type TopicRecord, TopicRecords } from "@effectmq/schemas/admin/Topics"
import { EngineName } from "@effectmq/schemas/Ids"
import { Topic, TopicCleanup, TopicDurability } from "@effectmq/schemas/metadata/Topic"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { adminOptions, call } from "../AdminClient.js"
import { usage } from "../CliFailure.js"
import { date, done, json, line, list, record, table } from "../Output.js"

const name = Args.text({ name: "name" }).pipe(Args.withDescription("name of the topic"))

/** A whole number, or `none` where a limit can be taken away. */
const limit = (option: string, description: string) =>
  Options.text(option).pipe(Options.withDescription(description), Options.optional)

const changeable = {
  partitions: Options.integer("partitions").pipe(
    Options.withDescription("number of partitions; can only grow"),
    Options.optional
  ),
  retentionMs: limit("retention-ms", "oldest age kept, ms; none keeps all"),
  retentionBytes: limit("retention-bytes", "bytes kept per partition; none keeps all"),
  cleanup: Options.choice("cleanup", TopicCleanup.literals).pipe(
    Options.withDescription("delete by age and size, or keep the newest of every key"),
    Options.optional
  ),
  durability: Options.choice("durability", TopicDurability.literals).pipe(
    Options.withDescription("when a write counts as durable"),
    Options.optional
  ),
  mqttFilter: Options.text("mqtt-filter").pipe(
    Options.withDescription("MQTT messages whose topic matches are stored here; none binds nothing"),
    Options.optional
  )
}

interface Changes {
  readonly partitions: Option.Option<number>
  readonly retentionMs: Option.Option<string>
  readonly retentionBytes: Option.Option<string>
  readonly cleanup: Option.Option<string>
  readonly durability: Option.Option<string>
  readonly mqttFilter: Option.Option<string>
}

const limitOf = (option: string, given: Option.Option<string>) =>
  Effect.gen(function* () {
    if (Option.isNone(given)) return undefined
    if (given.value === "none") return null
    if (!/^\d{1,15}$/.test(given.value))
      return yield* Effect.fail(usage(`--${option}: expected a whole number or none, got ${given.value}`))
    return Number(given.value)
  })

/** undefined leaves a field as it is, null takes it away. */
const bodyOf = (changes: Changes) =>
  Effect.gen(function* () {
    const filter = Option.getOrUndefined(changes.mqttFilter)
    return {
      partitions: Option.getOrUndefined(changes.partitions),
      retentionMs: yield* limitOf("retention-ms", changes.retentionMs),
      retentionBytes: yield* limitOf("retention-bytes", changes.retentionBytes),
      cleanup: Option.getOrUndefined(changes.cleanup),
      durability: Option.getOrUndefined(changes.durability),
      mqttFilter: filter === "none" ? null : filter
    }
  })

const withoutNulls = (body: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))

const show = (asJson: boolean, topic: Topic) =>
  record(asJson, topic, [
    ["name", topic.name],
    ["tenant", topic.tenant],
    ["engine", topic.engine],
    ["partitions", topic.partitions],
    ["retention, ms", topic.retentionMs ?? "all"],
    ["retention, bytes", topic.retentionBytes ?? "all"],
    ["cleanup", topic.cleanup],
    ["durability", topic.durability],
    ["MQTT filter", topic.mqttFilter],
    ["created", date(topic.createdAtMs)]
  ])

const create = Command.make(
  "create",
  {
    name,
    engine: Options.choice("engine", EngineName.literals).pipe(Options.withDescription("where it is stored"), Options.optional),
    ...changeable,
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      const body = { engine: Option.getOrUndefined(options.engine), ...withoutNulls(yield* bodyOf(options)) }
      const topic = yield* call(options, { method: "PUT", path: ["topics", options.name], body }, Topic)
      yield* done(
        options.json,
        `Topic ${topic.name} is made: ${topic.partitions} ${topic.partitions === 1 ? "partition" : "partitions"}, engine ${topic.engine}.`,
        topic
      )
    })
).pipe(Command.withDescription("make a topic"))

const alter = Command.make("alter", { name, ...changeable, ...adminOptions }, (options) =>
  Effect.gen(function* () {
    const body = yield* bodyOf(options)
    yield* show(options.json, yield* call(options, { method: "PATCH", path: ["topics", options.name], body }, Topic))
  })
).pipe(Command.withDescription("change a topic"))

const listTopics = Command.make("list", adminOptions, (options) =>
  Effect.gen(function* () {
    const topics = yield* call(options, { path: ["topics"] }, TopicList)
    yield* list(options.json, topics, ["name", "engine", "partitions", "cleanup", "durability", "mqtt filter"], (topic) => [
      topic.name,
      topic.engine,
      topic.partitions,
      topic.cleanup,
      topic.durability,
      topic.mqttFilter
    ])
  })
).pipe(Command.withDescription("list topics"))

const showTopic = Command.make("show", { name, ...adminOptions }, (options) =>
  Effect.gen(function* () {
    const topic = yield* call(options, { path: ["topics", options.name] }, Topic)
    const partitions = yield* call(options, { path: ["topics", options.name, "partitions"] }, TopicPartitionList)
    if (options.json) return yield* json({ ...topic, partitionList: partitions })
    yield* show(false, topic)
    const rows = partitions.map((each) => [each.partition, each.startOffset, each.endOffset, each.sizeBytes])
    yield* line(`\n${table(["partition", "start offset", "end offset", "bytes"], rows)}`)
  })
).pipe(Command.withDescription("show one topic, and what each of its partitions holds"))

/** Text where the payload is text, else Base64. */
const payloadOf = ({ payloadBase64 }: TopicRecord) => {
  if (payloadBase64 === null) return { payload: null, encoding: "none" }
  const bytes = Buffer.from(payloadBase64, "base64")
  return isUtf8(bytes) ? { payload: bytes.toString("utf8"), encoding: "utf8" } : { payload: payloadBase64, encoding: "base64" }
}

const wholeNumber = (option: string, value: number, least: number) =>
  value >= least ? Effect.void : Effect.fail(usage(`--${option} ${value}: expected ${least} or more`))

const readTopic = Command.make(
  "read",
  {
    name,
    partition: Options.integer("partition").pipe(
      Options.withDescription("only this one; else all, one after another"),
      Options.optional
    ),
    from: Options.integer("from").pipe(Options.withDescription("offset to begin at, in each partition"), Options.withDefault(0)),
    count: Options.integer("count").pipe(
      Options.withAlias("C"),
      Options.withDescription("messages at most, from each partition"),
      Options.withDefault(100)
    ),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      yield* wholeNumber("from", options.from, 0)
      yield* wholeNumber("count", options.count, 1)
      const topic = yield* call(options, { path: ["topics", options.name] }, Topic)
      const all = Array.from({ length: topic.partitions }, (_, index) => index)
      const records: Array<{ readonly partition: number } & TopicRecord & ReturnType<typeof payloadOf>> = []
      for (const partition of Option.match(options.partition, { onNone: () => all, onSome: (one) => [one] })) {
        let from = options.from
        let wanted = options.count
        while (wanted > 0) {
          const query = { partition, from, limit: Math.min(wanted, 1000) }
          const answer = yield* call(options, { path: ["topics", options.name, "records"], query }, TopicRecords)
          for (const each of answer.records) records.push({ partition, ...each, ...payloadOf(each) })
          wanted -= answer.records.length
          if (answer.nextOffset >= answer.endOffset || answer.nextOffset <= from) break
          from = answer.nextOffset
        }
      }
      const bare = records.map(({ payloadBase64: _, ...rest }) => rest)
      yield* list(options.json, bare, ["partition", "offset", "time", "key", "payload"], (each) => [
        each.partition,
        each.offset,
        date(each.timestampMs),
        each.key,
        each.encoding === "base64" ? `base64:${each.payload}` : each.payload
      ])
    })
).pipe(Command.withDescription("print what a topic holds"))

const deleteTopic = Command.make("delete", { name, ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["topics", options.name] }, Schema.Undefined),
    done(options.json, `Topic ${options.name} is deleted.`)
  )
).pipe(Command.withDescription("delete a topic and what it holds"))

export const topic = Command.make("topic").pipe(
  Command.withDescription("stored topics"),
  Command.withSubcommands([create, listTopics, showTopic, readTopic, alter, deleteTopic])
)
