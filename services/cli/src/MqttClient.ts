/**
 * How `pub` and `sub` reach the broker: their common options, and a connection of the `mqtt` client.
 */
import process from "node:process"
import * as Options from "@effect/cli/Options"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Scope } from "effect/Scope"
import type { IClientOptions, MqttClient } from "mqtt"
import type { CliFailure } from "./CliFailure.js"
import { failed, unreachable, usage } from "./CliFailure.js"

const connectTimeoutMs = 10_000

const text = (name: string, description: string) =>
  Options.text(name).pipe(Options.withDescription(description), Options.optional)

export const mqttOptions = {
  broker: text(
    "broker",
    "where the broker is: mqtt://, mqtts://, ws:// or wss:// (or EFFECTMQ_MQTT_URL; default mqtt://127.0.0.1:1883)"
  ).pipe(Options.withAlias("b")),
  user: text("user", "user name").pipe(Options.withAlias("u")),
  password: Options.redacted("password").pipe(Options.withAlias("P"), Options.withDescription("password"), Options.optional),
  id: text("id", "client id; default: the broker gives one").pipe(Options.withAlias("i")),
  caFile: text("ca-file", "PEM file of the authorities that the broker's certificate must come from"),
  certFile: text("cert-file", "PEM file of a client certificate"),
  keyFile: text("key-file", "PEM file of its key"),
  protocol: Options.choice("protocol", ["3.1.1", "5"]).pipe(
    Options.withDescription("version of MQTT"),
    Options.withDefault("5" as const)
  )
}

export interface MqttTarget {
  readonly broker: Option.Option<string>
  readonly user: Option.Option<string>
  readonly password: Option.Option<Redacted.Redacted>
  readonly id: Option.Option<string>
  readonly caFile: Option.Option<string>
  readonly certFile: Option.Option<string>
  readonly keyFile: Option.Option<string>
  readonly protocol: "3.1.1" | "5"
}

export const readBytes = (path: string): Effect.Effect<Buffer, CliFailure, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.mapBoth(files.readFile(path), {
      onFailure: (error) => usage(`${path} cannot be read: ${error.message}`),
      onSuccess: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    })
  )

const fileOf = (path: Option.Option<string>) => Option.match(path, { onNone: () => Effect.succeed(undefined), onSome: readBytes })

const unreachableCodes = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNRESET",
  "EAI_AGAIN"
])

const failureOf = (url: string, error: Error & { readonly code?: unknown }): CliFailure => {
  const causes = error instanceof AggregateError ? error.errors : [error]
  const missing =
    causes.some((cause: { code?: unknown }) => unreachableCodes.has(String(cause.code))) || /timeout/i.test(error.message)
  const words = error.message === "" ? causes.map((cause: Error) => cause.message).join(", ") : error.message
  return missing ? unreachable(`no broker answers at ${url}: ${words}`) : failed(words)
}

/** A client that was let in; ended with its scope. It does not come back by itself. */
export const connect = (
  target: MqttTarget,
  more: IClientOptions = {},
  prepare: (unconnected: MqttClient) => void = () => {}
): Effect.Effect<MqttClient, CliFailure, Scope | FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const url = Option.getOrElse(target.broker, () => process.env["EFFECTMQ_MQTT_URL"] ?? "mqtt://127.0.0.1:1883")
    if (!/^(mqtts?|wss?|tcp|ssl):\/\/[^/]/.test(url)) return yield* Effect.fail(usage(`${url} is no address of a broker`))
    const withPath = /^wss?:\/\/[^/]+\/?$/.test(url) ? `${url.replace(/\/$/, "")}/mqtt` : url
    const ca = yield* fileOf(target.caFile)
    const cert = yield* fileOf(target.certFile)
    const key = yield* fileOf(target.keyFile)
    const { connect: mqttConnect } = yield* Effect.promise(() => import("./MqttLibrary.js"))
    const options: IClientOptions = {
      protocolVersion: target.protocol === "5" ? 5 : 4,
      clientId: Option.getOrElse(target.id, () => ""),
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: connectTimeoutMs,
      ...(Option.isSome(target.user) ? { username: target.user.value } : {}),
      ...(Option.isSome(target.password) ? { password: Redacted.value(target.password.value) } : {}),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...more
    }
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const made = mqttConnect(withPath, options)
        // Errors are told to whoever waits; without a listener one would end the process.
        made.on("error", () => {})
        prepare(made)
        return made
      }),
      (made) => Effect.promise(() => made.endAsync().catch(() => undefined))
    )
    yield* Effect.async<void, CliFailure>((resume) => {
      client.once("connect", () => resume(Effect.void))
      client.once("error", (error) => resume(Effect.fail(failureOf(url, error))))
      client.once("close", () => resume(Effect.fail(unreachable(`${url} closed the connection`))))
    })
    return client
  })

/** What the client library rejected, in its words. */
export const rejected = (error: unknown): CliFailure => failed(error instanceof Error ? error.message : String(error))
