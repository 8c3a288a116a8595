/**
 * Runs a server until it is interrupted: builds it, says that it serves, and at the end drains it.
 */
import process from "node:process"
import { setFlagsFromString } from "node:v8"
import * as Log from "@effectmq/metrics/Log"
import type { Resolved } from "@effectmq/schemas/config/Settings"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { bannerLines } from "./Banner.js"
import { NodeState } from "./NodeState.js"
import type { StartError } from "./StartError.js"
import { startErrorOf } from "./StartError.js"
import * as Server from "./Server.js"
import * as ServerSettings from "./ServerSettings.js"

const print = (lines: ReadonlyArray<string>) =>
  Effect.sync(() => {
    process.stdout.write(`${lines.join("\n")}\n`)
  })

/**
 * How much code V8 may inline into one function (its default is 920 bytes of bytecode): the way of a message is a chain of many
 * small ones, and with room for all of it takes a tenth to a fifth less time. Holds for what is compiled from now on.
 */
const inlineMore = Effect.sync(() => setFlagsFromString("--max-inlined-bytecode-size-cumulative=2000"))

/** Serves until it is interrupted; fails where it cannot start. */
export const run = (resolved: Resolved): Effect.Effect<never, StartError> => {
  const { settings } = resolved
  const serverSettings = ServerSettings.make(resolved)
  const level = serverSettings.live.map((now) => now["log.level"])
  return Effect.gen(function* () {
    yield* inlineMore
    // What is stored is for this user only: messages, sessions, password hashes.
    process.umask(0o077)
    const context = yield* Effect.mapError(Layer.build(Server.layer(serverSettings)), startErrorOf)
    const state = Context.get(context, NodeState)
    // Released first: who asks whether the node is ready hears of the drain before it begins.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        state.phase = "draining"
      })
    )
    state.startMs = Math.round(performance.now())
    state.phase = "serving"
    yield* print(bannerLines(settings, state))
    yield* Effect.logInfo("serving").pipe(Effect.annotateLogs({ startMs: state.startMs, authentication: state.authentication() }))
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.onInterrupt(() => Effect.logInfo("stopped")),
    Effect.provide(Log.layer({ level, format: settings["log.format"] }))
  )
}
