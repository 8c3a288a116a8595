/**
 * `effectmq config`: what the broker would run with, from file, environment and flags; what a running one runs with; and changes
 * of that for the whole cluster.
 */
import { ConfigEntry, ConfigList } from "@effectmq/schemas/admin/Config"
import { valueOfText } from "@effectmq/schemas/config/Key"
import { environmentNameOf, keyNamed } from "@effectmq/schemas/config/Settings"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { adminOptions, call, json, nodeOptions } from "../AdminClient.js"
import { usage } from "../CliFailure.js"
import { done, json as printJson, line, record, table } from "../Output.js"
import { loadSettings, settingsOptions } from "../SettingsOptions.js"

const withEnvironment = (entry: ConfigEntry) => ({ ...entry, environment: environmentNameOf(entry.key) })

const valueToString = (value: unknown): string =>
  value === null ? "-" : typeof value === "string" ? value : JSON.stringify(value)

const print = (asJson: boolean, entries: ReadonlyArray<ConfigEntry>) => {
  if (asJson) return printJson(entries.map(withEnvironment))
  const rows = entries.map((entry) => [
    entry.key,
    valueToString(entry.value),
    entry.unit,
    entry.problem === undefined ? entry.source : `${entry.source}, left aside`,
    entry.dynamic ? "dynamic" : "at start",
    entry.doc
  ])
  return line(table(["key", "value", "unit", "source", "changes", "what it is"], rows))
}

/** One key with all there is to know of it. */
const printOne = (asJson: boolean, entry: ConfigEntry) =>
  record(asJson, withEnvironment(entry), [
    ["key", entry.key],
    ["value", valueToString(entry.value)],
    ["unit", entry.unit === "" ? undefined : entry.unit],
    ["source", entry.source],
    ["started with", entry.hidden && `${valueToString(entry.hidden.value)} (${entry.hidden.source})`],
    ["left aside", entry.problem],
    ["changes", entry.dynamic ? "dynamic" : "at start"],
    ["environment", environmentNameOf(entry.key)],
    ["what it is", entry.doc]
  ])

const key = Args.text({ name: "key" }).pipe(Args.withDescription("for instance log.level"))

const show = Command.make(
  "show",
  {
    key: Args.optional(key),
    ...settingsOptions,
    running: Options.boolean("running").pipe(Options.withDescription("ask the running broker instead")),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      const name = Option.getOrUndefined(options.key)
      if (options.running) {
        if (name === undefined) return yield* print(options.json, yield* call(options, { path: ["config"] }, ConfigList))
        return yield* printOne(options.json, yield* call(options, { path: ["config", name] }, ConfigEntry))
      }
      const { configEntries } = yield* Effect.promise(() => import("@effectmq/server/ConfigEntries"))
      const entries = configEntries(yield* loadSettings(options))
      if (name === undefined) return yield* print(options.json, entries)
      const entry = entries.find((each) => each.key === name)
      if (entry === undefined) return yield* Effect.fail(usage(`there is no configuration key ${name}`))
      yield* printOne(options.json, entry)
    })
).pipe(Command.withDescription("print every key, or one, with its value and where it came from"))

const value = Args.text({ name: "value" }).pipe(Args.withDescription("lists and objects as JSON"))

const set = Command.make("set", { key, value, ...nodeOptions }, (options) =>
  Effect.gen(function* () {
    const definition = keyNamed(options.key)
    const wished = definition === undefined ? options.value : valueOfText(definition, options.value)
    const entry = yield* call(options, { method: "PUT", path: ["config", options.key], body: { value: wished } }, ConfigEntry)
    yield* done(options.json, `${entry.key} is ${valueToString(entry.value)} in the whole cluster.`, withEnvironment(entry))
  })
).pipe(Command.withDescription("change a dynamic key in the running cluster, for all nodes and for good"))

const unset = Command.make("unset", { key, ...nodeOptions }, (options) =>
  Effect.gen(function* () {
    const path = ["config", options.key]
    const entry = yield* call(options, { method: "DELETE", path }, Schema.NullOr(ConfigEntry))
    const now = entry === null ? "" : ` On the node that was asked it is ${valueToString(entry.value)} (${entry.source}).`
    yield* done(options.json, `${options.key} is no longer set in the cluster.${now}`, entry && withEnvironment(entry))
  })
).pipe(Command.withDescription("give the nodes back what they were started with"))

const validate = Command.make("validate", { ...settingsOptions, json }, (options) =>
  Effect.zipRight(loadSettings(options), done(options.json, "The configuration is right.", { valid: true }))
).pipe(Command.withDescription("check file, environment and flags"))

const document = Command.make("document", {}, () =>
  Effect.gen(function* () {
    const { documentation } = yield* Effect.promise(() => import("@effectmq/schemas/config/Document"))
    yield* line(documentation().replace(/\n$/, ""))
  })
).pipe(Command.withDescription("print the page docs/operations/configuration.md"))

export const config = Command.make("config").pipe(
  Command.withDescription("the configuration"),
  Command.withSubcommands([show, set, unset, validate, document])
)
