/**
 * `effectmq session`: MQTT sessions, connected or not.
 */
import { SessionList, SessionView } from "@effectmq/schemas/admin/Sessions"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { adminOptions, call } from "../AdminClient.js"
import { date, done, json, line, list, record, table } from "../Output.js"

const clientId = Args.text({ name: "client-id" })

const neverExpires = 0xffffffff

const expiryToString = (seconds: number): string => (seconds === neverExpires ? "never" : `${seconds} s`)

const listSessions = Command.make(
  "list",
  {
    limit: Options.integer("limit").pipe(Options.withDescription("how many at most"), Options.withDefault(100)),
    prefix: Options.text("prefix").pipe(Options.withDescription("only client ids that begin so"), Options.optional),
    connected: Options.boolean("connected").pipe(Options.withDescription("only those whose client is connected")),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      const query = {
        limit: options.limit,
        prefix: Option.getOrUndefined(options.prefix),
        connected: options.connected ? "true" : undefined
      }
      const answer = yield* call(options, { path: ["sessions"], query }, SessionList)
      const heads = [
        "client id",
        "user",
        "connected",
        "address",
        "version",
        "expiry",
        "subscriptions",
        "in flight",
        "queued",
        "since"
      ]
      yield* list(options.json, answer.sessions, heads, (session) => [
        session.clientId,
        session.user,
        session.connected,
        session.address,
        session.protocolVersion,
        expiryToString(session.expirySeconds),
        session.subscriptions,
        session.inflight,
        session.queued,
        date(session.sinceMs)
      ])
      if (answer.more && !options.json) yield* line(`There are more: see --limit and --prefix.`)
    })
).pipe(Command.withDescription("list sessions"))

const showSession = Command.make("show", { clientId, ...adminOptions }, (options) =>
  Effect.gen(function* () {
    const session = yield* call(options, { path: ["sessions", options.clientId] }, SessionView)
    if (options.json) return yield* json(session)
    yield* record(false, session, [
      ["client id", session.clientId],
      ["user", session.user],
      ["connected", session.connected],
      ["address", session.address],
      ["MQTT version", session.protocolVersion],
      ["expiry", expiryToString(session.expirySeconds)],
      ["in flight", session.inflight],
      ["queued", session.queued],
      ["since", date(session.sinceMs)]
    ])
    const rows = session.subscriptionList.map((each) => [
      each.filter,
      each.qos,
      each.noLocal,
      each.retainAsPublished,
      each.subscriptionId
    ])
    yield* line(`\n${table(["subscription", "qos", "no local", "retain as published", "id"], rows)}`)
  })
).pipe(Command.withDescription("show one session with its subscriptions"))

const kick = Command.make("kick", { clientId, ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "POST", path: ["sessions", options.clientId, "kick"] }, Schema.Undefined),
    done(options.json, `The connection of ${options.clientId} is ended.`)
  )
).pipe(Command.withDescription("end a client's connection; its session stays"))

const deleteSession = Command.make("delete", { clientId, ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["sessions", options.clientId] }, Schema.Undefined),
    done(options.json, `The session of ${options.clientId} is deleted.`)
  )
).pipe(Command.withDescription("end a client's connection and forget its session"))

export const session = Command.make("session").pipe(
  Command.withDescription("MQTT sessions"),
  Command.withSubcommands([listSessions, showSession, kick, deleteSession])
)
