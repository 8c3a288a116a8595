/**
 * `effectmq config`: what the broker would run with, from file, environment and flags; or what a running one runs with.
 */
import type { ConfigEntry } from "@effectmq/schemas/admin/Config"
import { ConfigList } from "@effectmq/schemas/admin/Config"
import { environmentNameOf } from "@effectmq/schemas/config/Settings"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { adminOptions, call, json } from "../AdminClient.js"
import { done, json as printJson, line, table } from "../Output.js"
import { loadSettings, settingsOptions } from "../SettingsOptions.js"

const print = (asJson: boolean, entries: ReadonlyArray<ConfigEntry>) => {
  if (asJson) return printJson(entries.map((entry) => ({ ...entry, environment: environmentNameOf(entry.key) })))
  const rows = entries.map((entry) => [
    entry.key,
    entry.value === null ? "-" : typeof entry.value === "string" ? entry.value : JSON.stringify(entry.value),
    entry.unit,
    entry.source,
    entry.doc
  ])
  return line(table(["key", "value", "unit", "source", "what it is"], rows))
}

const show = Command.make(
  "show",
  {
    ...settingsOptions,
    running: Options.boolean("running").pipe(Options.withDescription("ask the running broker instead")),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      if (options.running) return yield* print(options.json, yield* call(options, { path: ["config"] }, ConfigList))
      const { configEntries } = yield* Effect.promise(() => import("@effectmq/server/ConfigEntries"))
      yield* print(options.json, configEntries(yield* loadSettings(options)))
    })
).pipe(Command.withDescription("print every key with its value and where it came from"))

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
  Command.withSubcommands([show, validate, document])
)
