/**
 * `effectmq pub`: publishes over MQTT.
 */
import process from "node:process"
import { createInterface } from "node:readline"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { IClientPublishOptions, MqttClient } from "mqtt"
import { failed, usage } from "../CliFailure.js"
import { connect, mqttOptions, readBytes, rejected } from "../MqttClient.js"

type Properties = NonNullable<IClientPublishOptions["properties"]>

const propertyHelp =
  "MQTT 5 property as name=value (repeatable): content-type, response-topic, correlation-data, message-expiry (seconds), payload-format (0 or 1), user.<name>"

/** Properties from `name=value` texts; undefined for none. */
export const propertiesOf = (given: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const properties: Properties = {}
    const userProperties: Record<string, Array<string>> = {}
    for (const each of given) {
      const at = each.indexOf("=")
      if (at < 1) return yield* Effect.fail(usage(`--property ${each}: expected name=value`))
      const name = each.slice(0, at)
      const value = each.slice(at + 1)
      if (name.startsWith("user.")) {
        const list = (userProperties[name.slice(5)] ??= [])
        list.push(value)
      } else if (name === "content-type") properties.contentType = value
      else if (name === "response-topic") properties.responseTopic = value
      else if (name === "correlation-data") properties.correlationData = Buffer.from(value)
      else if (name === "payload-format" && (value === "0" || value === "1")) properties.payloadFormatIndicator = value === "1"
      else if (name === "message-expiry" && /^\d{1,10}$/.test(value)) properties.messageExpiryInterval = Number(value)
      else return yield* Effect.fail(usage(`--property ${each}: expected ${propertyHelp.slice(propertyHelp.indexOf("): ") + 3)}`))
    }
    if (Object.keys(userProperties).length > 0) properties.userProperties = userProperties
    return Object.keys(properties).length === 0 ? undefined : properties
  })

const publish = (client: MqttClient, topic: string, payload: string | Buffer, options: IClientPublishOptions) =>
  Effect.tryPromise({ try: () => client.publishAsync(topic, payload, options), catch: rejected })

const standardInput: AsyncIterable<string> = {
  [Symbol.asyncIterator]: () => createInterface({ input: process.stdin })[Symbol.asyncIterator]()
}

const lines = Stream.fromAsyncIterable(standardInput, (error) => failed(`standard input cannot be read: ${String(error)}`))

export const pub = Command.make(
  "pub",
  {
    topic: Options.text("topic").pipe(Options.withAlias("t"), Options.withDescription("topic to publish to")),
    message: Options.text("message").pipe(Options.withAlias("m"), Options.withDescription("the payload"), Options.optional),
    file: Options.text("file").pipe(
      Options.withAlias("f"),
      Options.withDescription("a file that holds the payload"),
      Options.optional
    ),
    lines: Options.boolean("lines").pipe(
      Options.withAlias("l"),
      Options.withDescription("publish every line of standard input as a message of its own")
    ),
    qos: Options.integer("qos").pipe(Options.withAlias("q"), Options.withDescription("0, 1 or 2"), Options.withDefault(0)),
    retain: Options.boolean("retain").pipe(Options.withAlias("r"), Options.withDescription("keep it for later subscribers")),
    property: Options.text("property").pipe(Options.withDescription(propertyHelp), Options.repeated),
    ...mqttOptions
  },
  (options) =>
    Effect.gen(function* () {
      const { qos } = options
      if (qos !== 0 && qos !== 1 && qos !== 2) return yield* Effect.fail(usage(`--qos ${qos}: expected 0, 1 or 2`))
      if (/[+#]/.test(options.topic) || options.topic === "") {
        return yield* Effect.fail(usage(`--topic ${options.topic}: expected a topic without wildcards, + and #`))
      }
      const sources = [Option.isSome(options.message), Option.isSome(options.file), options.lines].filter((given) => given)
      if (sources.length !== 1) return yield* Effect.fail(usage("give one of --message, --file and --lines"))
      const properties = yield* propertiesOf(options.property)
      if (properties !== undefined && options.protocol !== "5") {
        return yield* Effect.fail(usage("--property needs --protocol 5"))
      }
      const payload = Option.isSome(options.file)
        ? yield* readBytes(options.file.value)
        : Option.getOrElse(options.message, () => "")
      const how: IClientPublishOptions = { qos, retain: options.retain, ...(properties === undefined ? {} : { properties }) }
      const client = yield* connect(options)
      if (options.lines) yield* Stream.runForEach(lines, (each) => publish(client, options.topic, each, how))
      else yield* publish(client, options.topic, payload, how)
    }).pipe(Effect.scoped)
).pipe(Command.withDescription("publish a message over MQTT"))
