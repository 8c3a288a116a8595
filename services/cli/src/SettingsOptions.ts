/**
 * Options of the commands that read the configuration, and how they read it.
 */
import process from "node:process"
import type { Resolved } from "@effectmq/schemas/config/Settings"
import * as Options from "@effect/cli/Options"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CliFailure } from "./CliFailure.js"
import { usage } from "./CliFailure.js"

export const settingsOptions = {
  config: Options.text("config").pipe(
    Options.withAlias("c"),
    Options.withDescription("configuration file, YAML or JSON (or EFFECTMQ_CONFIG)"),
    Options.optional
  ),
  dataDir: Options.text("data-dir").pipe(
    Options.withDescription("directory of everything durable; short for --set data.dir=DIR"),
    Options.optional
  ),
  set: Options.text("set").pipe(Options.withDescription("key=value (repeatable); see effectmq config show"), Options.repeated)
}

export interface SettingsChoice {
  readonly config: Option.Option<string>
  readonly dataDir: Option.Option<string>
  readonly set: ReadonlyArray<string>
}

export const loadSettings = (choice: SettingsChoice): Effect.Effect<Resolved, CliFailure, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const { load } = yield* Effect.promise(() => import("@effectmq/server/ConfigFile"))
    const path = Option.getOrUndefined(choice.config) ?? process.env["EFFECTMQ_CONFIG"]
    const flags = [...Option.match(choice.dataDir, { onNone: () => [], onSome: (dir) => [`data.dir=${dir}`] }), ...choice.set]
    return yield* Effect.mapError(load({ path, environment: process.env, flags }), (error) => usage(error.message))
  })
