/**
 * The admin API as a command sees it: one call, whose refusals are `CliFailure`s.
 */
import process from "node:process"
import { AdminErrorBody, staleHeader } from "@effectmq/schemas/admin/AdminError"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type CliFailure, failed, unreachable, usage } from "./CliFailure.js"

const answerMsMaxDefault = 30_000

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

const { tenant: _, ...withoutTenant } = adminOptions

/** Of those that are about the node, or about tenants themselves. */
export const nodeOptions = withoutTenant

export interface AdminTarget {
  readonly admin: Option.Option<string>
  readonly token: Option.Option<Redacted.Redacted>
  readonly tenant?: string
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
  /** How long the answer may take; default 30 s. */
  readonly answerMsMax?: number
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

/** Calls; the answer's bytes, or why it was refused. */
const request = (target: AdminTarget, { method, path, query, body, answerMsMax }: AdminCall): Effect.Effect<Buffer, CliFailure> =>
  Effect.gen(function* () {
    const waitMsMax = answerMsMax ?? answerMsMaxDefault
    const base = adminUrl(target)
    const parameters = new URLSearchParams()
    const { tenant = "default" } = target
    if (tenant !== "default") parameters.set("tenant", tenant)
    if (path.includes("")) return yield* Effect.fail(usage("a name may not be empty"))
    for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value))
    const below = path.map(encodeURIComponent).join("/")
    const url = yield* Effect.try({
      try: () => new URL(`${base}/api/v1/${below}${parameters.size === 0 ? "" : `?${parameters}`}`),
      catch: () => usage(`${base} is no URL`)
    })
    const token = Option.getOrElse(Option.map(target.token, Redacted.value), () => process.env["EFFECTMQ_ADMIN_TOKEN"])
    const answer = yield* Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(url, {
          method: method ?? "GET",
          headers: {
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.any([signal, AbortSignal.timeout(waitMsMax)])
        })
        const stale = response.headers.get(staleHeader)
        return { status: response.status, stale, bytes: Buffer.from(await response.arrayBuffer()) }
      },
      catch: (error) =>
        error instanceof DOMException && error.name === "TimeoutError"
          ? unreachable(
              `the broker at ${base} did not answer within ${waitMsMax / 1000} s; what was asked for may still happen, look before you try again`
            )
          : unreachable(
              `no broker answers at ${base}: ${causeToString(error)}. Is it running? Say where with --admin or EFFECTMQ_ADMIN_URL.`
            )
    })
    if (answer.status >= 400) return yield* Effect.fail(refusal(answer.status, answer.bytes.toString()))
    if (answer.stale !== null) process.stderr.write(`effectmq: this may be old: ${answer.stale}\n`)
    return answer.bytes
  })

/** Calls and decodes the answer; an answer without a body is undefined. */
export const call = <A, I>(target: AdminTarget, wish: AdminCall, answer: Schema.Schema<A, I>): Effect.Effect<A, CliFailure> =>
  Effect.flatMap(request(target, wish), (bytes) =>
    Effect.try({
      try: () => Schema.decodeUnknownSync(answer)(bytes.length === 0 ? undefined : JSON.parse(bytes.toString())),
      catch: (error) => failed(`the answer of the admin API is not understood: ${causeToString(error)}`)
    })
  )

/** What lies below a path, as it is. */
export const download = (target: AdminTarget, path: ReadonlyArray<string>): Effect.Effect<Buffer, CliFailure> =>
  request(target, { path })
