/**
 * `effectmq topic`: stored topics.
 */
import { TopicList } from "@effectmq/schemas/admin/Topics"
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
import { date, done, list, record } from "../Output.js"

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
      yield* done(options.json, `Topic ${topic.name} is made: ${topic.partitions} partitions, engine ${topic.engine}.`, topic)
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
  Effect.flatMap(call(options, { path: ["topics", options.name] }, Topic), (topic) => show(options.json, topic))
).pipe(Command.withDescription("show one topic"))

const deleteTopic = Command.make("delete", { name, ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["topics", options.name] }, Schema.Undefined),
    done(options.json, `Topic ${options.name} is deleted.`)
  )
).pipe(Command.withDescription("delete a topic and what it holds"))

export const topic = Command.make("topic").pipe(
  Command.withDescription("stored topics"),
  Command.withSubcommands([create, listTopics, showTopic, alter, deleteTopic])
)
