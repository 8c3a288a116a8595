/**
 * `effectmq sub`: subscribes over MQTT and prints what comes, until it is ended or has what it was asked for.
 */
import process from "node:process"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { IPublishPacket } from "mqtt"
import type { CliFailure } from "../CliFailure.js"
import { failed, unreachable, usage } from "../CliFailure.js"
import { connect, mqttOptions, rejected } from "../MqttClient.js"

const printed = (
  topic: string,
  payload: Buffer,
  packet: IPublishPacket,
  form: { readonly json: boolean; readonly verbose: boolean }
): string => {
  if (!form.json) return form.verbose ? `${topic} ${payload.toString("utf8")}` : payload.toString("utf8")
  const asText = payload.toString("utf8")
  const isText = Buffer.from(asText, "utf8").equals(payload)
  const { correlationData, ...properties } = packet.properties ?? {}
  return JSON.stringify({
    topic,
    payload: isText ? asText : payload.toString("base64"),
    encoding: isText ? "utf8" : "base64",
    qos: packet.qos,
    retain: packet.retain,
    duplicate: packet.dup,
    properties: {
      ...properties,
      ...(correlationData === undefined ? {} : { correlationData: correlationData.toString("base64") })
    }
  })
}

/** As [MQTT-4.7.1-1] to [MQTT-4.7.1-3] have it. */
const isFilter = (text: string): boolean =>
  text !== "" &&
  text.split("/").every((level, at, levels) => level === "+" || (level === "#" ? at === levels.length - 1 : !/[+#]/.test(level)))

export const sub = Command.make(
  "sub",
  {
    topic: Options.text("topic").pipe(
      Options.withAlias("t"),
      Options.withDescription("filter to subscribe to (repeatable)"),
      Options.atLeast(1)
    ),
    qos: Options.integer("qos").pipe(Options.withAlias("q"), Options.withDescription("0, 1 or 2"), Options.withDefault(0)),
    count: Options.integer("count").pipe(
      Options.withAlias("C"),
      Options.withDescription("end after so many messages"),
      Options.optional
    ),
    timeout: Options.float("timeout").pipe(
      Options.withAlias("W"),
      Options.withDescription("end after so many seconds; a failure where --count has not been reached"),
      Options.optional
    ),
    sessionExpiry: Options.integer("session-expiry").pipe(
      Options.withDescription("go on with the session of --id, and let it live so many seconds after"),
      Options.optional
    ),
    verbose: Options.boolean("verbose").pipe(
      Options.withAlias("v"),
      Options.withDescription("print the topic before the payload")
    ),
    json: Options.boolean("json").pipe(Options.withDescription("print a line of JSON per message, with its properties")),
    ...mqttOptions
  },
  (options) =>
    Effect.gen(function* () {
      const { qos } = options
      if (qos !== 0 && qos !== 1 && qos !== 2) return yield* Effect.fail(usage(`--qos ${qos}: expected 0, 1 or 2`))
      const wrong = options.topic.find((filter) => !isFilter(filter))
      if (wrong !== undefined) {
        return yield* Effect.fail(usage(`--topic ${wrong}: expected a filter, with + and # as whole levels and # the last`))
      }
      if (Option.isSome(options.sessionExpiry) && Option.isNone(options.id)) {
        return yield* Effect.fail(usage("--session-expiry needs --id"))
      }
      const wanted = Option.getOrElse(options.count, () => Number.POSITIVE_INFINITY)
      if (!(wanted >= 1)) return yield* Effect.fail(usage(`--count ${wanted}: expected 1 or more`))
      const session = Option.isNone(options.sessionExpiry)
        ? {}
        : { clean: false, properties: { sessionExpiryInterval: options.sessionExpiry.value } }
      const ended = yield* Deferred.make<void, CliFailure>()
      const end = (outcome: Effect.Effect<void, CliFailure>) => Deferred.unsafeDone(ended, outcome)
      let count = 0
      // Listening begins before the connection does: a session that goes on may bring messages at once.
      const client = yield* connect(options, session, (unconnected) => {
        unconnected.on("message", (topic, payload, packet) => {
          if (count >= wanted) return
          process.stdout.write(`${printed(topic, payload, packet, options)}\n`)
          count++
          if (count >= wanted) end(Effect.void)
        })
      })
      client.once("error", (error) => end(Effect.fail(failed(error.message))))
      client.once("disconnect", ({ reasonCode }) =>
        end(Effect.fail(failed(`the broker ended the connection: reason ${reasonCode ?? 0}`)))
      )
      client.once("close", () => end(Effect.fail(unreachable("the connection is lost"))))
      const grants = yield* Effect.tryPromise({ try: () => client.subscribeAsync([...options.topic], { qos }), catch: rejected })
      const refused = grants.filter((grant) => grant.qos > 2)
      if (refused.length > 0) {
        return yield* Effect.fail(failed(`the broker refused ${refused.map((grant) => grant.topic).join(", ")}`))
      }
      const all = Deferred.await(ended)
      yield* Option.match(options.timeout, {
        onNone: () => all,
        onSome: (seconds) =>
          Effect.flatMap(Effect.timeoutOption(all, seconds * 1000), (outcome) =>
            Option.isNone(outcome) && Option.isSome(options.count)
              ? Effect.fail(failed(`fewer than ${wanted} messages came within ${seconds} s`))
              : Effect.void
          )
      })
    }).pipe(Effect.scoped)
).pipe(Command.withDescription("subscribe over MQTT and print what comes"))
