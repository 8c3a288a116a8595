/**
 * `effectmq ban`: who may not connect.
 */
import { BanList } from "@effectmq/schemas/admin/Bans"
import { Ban, BanKind } from "@effectmq/schemas/metadata/Ban"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { adminOptions, call } from "../AdminClient.js"
import { usage } from "../CliFailure.js"
import { date, done, list } from "../Output.js"

const kind = Args.choice(
  BanKind.literals.map((each) => [each, each] as const) as unknown as [[BanKind, BanKind], ...Array<[BanKind, BanKind]>],
  { name: "user|clientId|address|pattern" }
)
const value = Args.text({ name: "value" }).pipe(
  Args.withDescription("a name, an address or block, or a pattern of client ids with * and ?")
)

const add = Command.make(
  "add",
  {
    kind,
    value,
    reason: Options.text("reason").pipe(Options.withDescription("why, for others who read the list"), Options.withDefault("")),
    seconds: Options.integer("for").pipe(Options.withDescription("for how many seconds; default: for ever"), Options.optional),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      const seconds = Option.getOrElse(options.seconds, () => 1)
      if (seconds < 1) return yield* Effect.fail(usage(`--for ${seconds}: expected 1 or more`))
      const nowMs = yield* Clock.currentTimeMillis
      const untilMs = Option.getOrUndefined(Option.map(options.seconds, (seconds) => nowMs + seconds * 1000))
      const body = { reason: options.reason, untilMs }
      const ban = yield* call(options, { method: "PUT", path: ["bans", options.kind, options.value], body }, Ban)
      yield* done(
        options.json,
        `The ${ban.kind} ${ban.value} is banned${untilMs === undefined ? "" : ` until ${date(untilMs)}`}.`,
        ban
      )
    })
).pipe(Command.withDescription("ban a user, client id, address or pattern of client ids"))

const listBans = Command.make("list", adminOptions, (options) =>
  Effect.gen(function* () {
    const bans = yield* call(options, { path: ["bans"] }, BanList)
    yield* list(options.json, bans, ["kind", "value", "until", "by", "reason"], (ban) => [
      ban.kind,
      ban.value,
      ban.untilMs === undefined ? "for ever" : date(ban.untilMs),
      ban.by,
      ban.reason
    ])
  })
).pipe(Command.withDescription("list bans that hold"))

const deleteBan = Command.make("delete", { kind, value, ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["bans", options.kind, options.value] }, Schema.Undefined),
    done(options.json, `The ${options.kind} ${options.value} is no longer banned.`)
  )
).pipe(Command.withDescription("take a ban away"))

export const ban = Command.make("ban").pipe(
  Command.withDescription("who may not connect"),
  Command.withSubcommands([add, listBans, deleteBan])
)
