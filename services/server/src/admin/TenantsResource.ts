/**
 * `/tenants`: namespaces and what may be used within them. What the clients of a tenant left in the broker goes with it.
 */
import type { TenantSummary } from "@effectmq/schemas/admin/Tenants"
import { PutTenantBody } from "@effectmq/schemas/admin/Tenants"
import type { Tenant, TenantQuota } from "@effectmq/schemas/metadata/Tenant"
import { Messaging } from "@effectmq/messaging/Messaging"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import { audited, body, created, done, notFound, ofMetadata, ok, pathPart } from "./AdminRequest.js"
import { Sessions } from "./Sessions.js"

const summaryOf = ({ tenant, quota, createdAtMs }: Tenant): TenantSummary => ({ name: tenant, ...quota, createdAtMs })

const find = (name: string) => Effect.map(Metadata, (metadata) => metadata.image().tenantsById.get(name))

const show = (name: string) =>
  Effect.flatMap(find(name), (tenant) =>
    tenant === undefined ? Effect.fail(notFound(`there is no tenant ${name}`)) : Effect.succeed(summaryOf(tenant))
  )

const quotaOf = (wished: PutTenantBody, known: TenantQuota): TenantQuota =>
  Object.fromEntries(Object.entries({ ...known, ...wished }).filter(([, limit]) => limit !== null && limit !== undefined))

const listTenants = Effect.gen(function* () {
  const tenants = [...(yield* Metadata).image().tenantsById.values()].map(summaryOf)
  return ok(tenants.sort((one, other) => (one.name < other.name ? -1 : 1)))
})

const showTenant = Effect.gen(function* () {
  return ok(yield* show(yield* pathPart("name")))
})

const putTenant = Effect.gen(function* () {
  const name = yield* pathPart("name")
  const wished = yield* body(PutTenantBody)
  const known = yield* find(name)
  const _tag = known === undefined ? ("CreateTenant" as const) : ("ConfigureTenant" as const)
  const command = { _tag, ...(yield* stamp), tenant: name, quota: quotaOf(wished, known?.quota ?? {}) }
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(name, known === undefined ? "tenant-create" : "tenant-configure", name)
  const summary = yield* show(name)
  return known === undefined ? created(summary) : ok(summary)
})

/** How many messages are cleared away at a time. */
const clearedAtOnceMax = 1000

/** Ends sessions and connections, then takes away what is retained or waits: a new tenant of that name finds nothing. */
const clear = (name: string) =>
  Effect.gen(function* () {
    const sessions = (yield* Sessions).ofTenant(name)
    const clientIds = [...(sessions?.values() ?? [])].map(({ clientId }) => clientId)
    for (const clientId of clientIds) sessions?.delete(clientId)
    const space = (yield* Messaging).spaces().find(({ tenant }) => tenant === name)
    if (space === undefined) return
    for (const { id } of space.delayed.list()) space.delayed.cancel(id)
    for (;;) {
      const retained = space.retained.match("#", clearedAtOnceMax)
      if (retained.length === 0) return
      for (const { message } of retained) space.retained.delete(message.topic)
      yield* Effect.yieldNow()
    }
  })

const deleteTenant = Effect.gen(function* () {
  const name = yield* pathPart("name")
  yield* Effect.mapError((yield* Controller).submit({ _tag: "DeleteTenant", ...(yield* stamp), tenant: name }), ofMetadata)
  yield* Effect.uninterruptible(clear(name))
  yield* audited(name, "tenant-delete", name)
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/tenants", listTenants),
  HttpRouter.get("/tenants/:name", showTenant),
  HttpRouter.put("/tenants/:name", putTenant),
  HttpRouter.del("/tenants/:name", deleteTenant)
)
