/**
 * `effectmq tenant`: namespaces, and what may be used within them.
 */
import { TenantList, TenantSummary } from "@effectmq/schemas/admin/Tenants"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { call, nodeOptions } from "../AdminClient.js"
import { failed, usage } from "../CliFailure.js"
import { date, done, list, record } from "../Output.js"

const name = Args.text({ name: "name" }).pipe(Args.withDescription("name of the tenant"))

const limit = (option: string, description: string) =>
  Options.text(option).pipe(Options.withDescription(`${description}; none is no limit`), Options.optional)

const limits = {
  connectionsMax: limit("connections-max", "clients that may be connected"),
  subscriptionsMax: limit("subscriptions-max", "subscriptions of all clients together"),
  publishMessagesPerSecondMax: limit("messages-per-second-max", "publishes a second by all clients together"),
  publishBytesPerSecondMax: limit("bytes-per-second-max", "bytes a second received from all clients together")
}

const limitOf = (option: string, given: Option.Option<string>) => {
  if (Option.isNone(given)) return Effect.succeed(undefined)
  if (given.value === "none") return Effect.succeed(null)
  return /^\d{1,15}$/.test(given.value)
    ? Effect.succeed(Number(given.value))
    : Effect.fail(usage(`--${option}: expected a whole number or none, got ${given.value}`))
}

/** undefined leaves a limit as it is, null takes it away. */
const bodyOf = (given: Readonly<Record<keyof typeof limits, Option.Option<string>>>) =>
  Effect.all({
    connectionsMax: limitOf("connections-max", given.connectionsMax),
    subscriptionsMax: limitOf("subscriptions-max", given.subscriptionsMax),
    publishMessagesPerSecondMax: limitOf("messages-per-second-max", given.publishMessagesPerSecondMax),
    publishBytesPerSecondMax: limitOf("bytes-per-second-max", given.publishBytesPerSecondMax)
  })

const show = (asJson: boolean, tenant: TenantSummary) =>
  record(asJson, tenant, [
    ["name", tenant.name],
    ["connections", tenant.connectionsMax ?? "no limit"],
    ["subscriptions", tenant.subscriptionsMax ?? "no limit"],
    ["messages/s", tenant.publishMessagesPerSecondMax ?? "as configured"],
    ["bytes/s", tenant.publishBytesPerSecondMax ?? "as configured"],
    ["created", date(tenant.createdAtMs)]
  ])

const create = Command.make("create", { name, ...limits, ...nodeOptions }, (options) =>
  Effect.gen(function* () {
    const body = yield* bodyOf(options)
    const known = yield* call(options, { path: ["tenants"] }, TenantList)
    if (known.some((tenant) => tenant.name === options.name)) {
      return yield* Effect.fail(failed(`tenant ${options.name} exists already: see effectmq tenant alter`))
    }
    const tenant = yield* call(options, { method: "PUT", path: ["tenants", options.name], body }, TenantSummary)
    yield* done(
      options.json,
      `Tenant ${tenant.name} is made. Add a user with effectmq user add NAME --tenant ${tenant.name}; its client connects as ${tenant.name}:NAME.`,
      tenant
    )
  })
).pipe(Command.withDescription("make a tenant"))

const alter = Command.make("alter", { name, ...limits, ...nodeOptions }, (options) =>
  Effect.gen(function* () {
    const body = yield* bodyOf(options)
    yield* call(options, { path: ["tenants", options.name] }, TenantSummary)
    yield* show(options.json, yield* call(options, { method: "PUT", path: ["tenants", options.name], body }, TenantSummary))
  })
).pipe(Command.withDescription("change what may be used within a tenant"))

const listTenants = Command.make("list", nodeOptions, (options) =>
  Effect.gen(function* () {
    const tenants = yield* call(options, { path: ["tenants"] }, TenantList)
    yield* list(options.json, tenants, ["name", "connections", "subscriptions", "messages/s", "bytes/s", "created"], (tenant) => [
      tenant.name,
      tenant.connectionsMax,
      tenant.subscriptionsMax,
      tenant.publishMessagesPerSecondMax,
      tenant.publishBytesPerSecondMax,
      date(tenant.createdAtMs)
    ])
  })
).pipe(Command.withDescription("list tenants and their limits"))

const deleteTenant = Command.make("delete", { name, ...nodeOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["tenants", options.name] }, Schema.Undefined),
    done(options.json, `Tenant ${options.name} is deleted.`)
  )
).pipe(Command.withDescription("delete a tenant that has no users and no topics"))

export const tenant = Command.make("tenant").pipe(
  Command.withDescription("namespaces, and what may be used within them"),
  Command.withSubcommands([create, listTenants, alter, deleteTenant])
)
