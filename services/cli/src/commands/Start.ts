/**
 * `effectmq start`: runs a broker in this process until it is told to stop.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { failed } from "../CliFailure.js"
import { loadSettings, settingsOptions } from "../SettingsOptions.js"

export const start = Command.make("start", settingsOptions, (options) =>
  Effect.gen(function* () {
    const settings = yield* loadSettings(options)
    const { run } = yield* Effect.promise(() => import("@effectmq/server/Main"))
    yield* Effect.mapError(run(settings), (error) => failed(error.message))
  })
).pipe(Command.withDescription("run a broker"))
