/**
 * The admin API as a command sees it: one call, whose refusals are `CliFailure`s.
 */
import process from "node:process"
import { AdminErrorBody } from "@effectmq/schemas/admin/AdminError"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type CliFailure, failed, unreachable, usage } from "./CliFailure.js"

const requestTimeoutMs = 30_000

export const json = Options.boolean("json").pipe(Options.withDescription("print JSON, for scripts"))

/** Options of every command that talks to the admin API. */
export const adminOptions = {
  json,
  admin: Options.text("admin").pipe(
    Options.withDescription("where the admin API is, for instance http://127.0.0.1:9644 (or EFFECTMQ_ADMIN_URL)"),
    Options.optional
  ),
  token: Options.redacted("token").pipe(Options.withDescription("the admin token (or EFFECTMQ_ADMIN_TOKEN)"), Options.optional),
  tenant: Options.text("tenant").pipe(Options.withDescription("the namespace of all names"), Options.withDefault("default"))
}

export interface AdminTarget {
  readonly admin: Option.Option<string>
  readonly token: Option.Option<Redacted.Redacted>
  readonly tenant: string
}

export const adminUrl = (target: Pick<AdminTarget, "admin">): string =>
  Option.getOrElse(
    target.admin,
    () => process.env["EFFECTMQ_ADMIN_URL"] ?? `http://127.0.0.1:${process.env["EFFECTMQ_ADMIN_HTTP_PORT"] ?? "9644"}`
  ).replace(/\/+$/, "")

export interface AdminCall {
  readonly method?: "GET" | "PUT" | "POST" | "PATCH" | "DELETE"
  /** Parts below `/api/v1`; each is encoded. */
  readonly path: ReadonlyArray<string>
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly body?: unknown
}

const causeToString = (error: unknown): string => {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  if (cause instanceof AggregateError) return cause.errors.map(causeToString).join(", ")
  return cause instanceof Error ? cause.message : String(cause)
}

const refusal = (status: number, text: string): CliFailure => {
  try {
    const body = Schema.decodeUnknownSync(AdminErrorBody)(JSON.parse(text))
    return status === 400 ? usage(body.message) : failed(body.message)
  } catch {
    return failed(`the admin API answered ${status}`)
  }
}

/** Calls and decodes the answer; an answer without a body is undefined. */
export const call = <A, I>(target: AdminTarget, request: AdminCall, answer: Schema.Schema<A, I>): Effect.Effect<A, CliFailure> =>
  Effect.gen(function* () {
    const base = adminUrl(target)
    const parameters = new URLSearchParams()
    if (target.tenant !== "default") parameters.set("tenant", target.tenant)
    for (const [name, value] of Object.entries(request.query ?? {})) if (value !== undefined) parameters.set(name, String(value))
    const path = request.path.map(encodeURIComponent).join("/")
    const url = yield* Effect.try({
      try: () => new URL(`${base}/api/v1/${path}${parameters.size === 0 ? "" : `?${parameters}`}`),
      catch: () => usage(`${base} is no URL`)
    })
    const token = Option.getOrElse(Option.map(target.token, Redacted.value), () => process.env["EFFECTMQ_ADMIN_TOKEN"])
    const { status, text } = yield* Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(url, {
          method: request.method ?? "GET",
          headers: {
            ...(request.body === undefined ? {} : { "content-type": "application/json" }),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
          },
          ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
          signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)])
        })
        return { status: response.status, text: await response.text() }
      },
      catch: (error) =>
        unreachable(
          `no broker answers at ${base}: ${causeToString(error)}. Is it running? Say where with --admin or EFFECTMQ_ADMIN_URL.`
        )
    })
    if (status >= 400) return yield* Effect.fail(refusal(status, text))
    return yield* Effect.try({
      try: () => Schema.decodeUnknownSync(answer)(text === "" ? undefined : JSON.parse(text)),
      catch: (error) => failed(`the answer of the admin API is not understood: ${causeToString(error)}`)
    })
  })
