/**
 * Commands on tenants.
 */
import { LimitReached, TenantExists, TenantInUse, UnknownTenant } from "@effectmq/schemas/errors/MetadataError"
import { defaultTenant } from "@effectmq/schemas/Ids"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { TenantQuota } from "@effectmq/schemas/metadata/Tenant"
import { aclRulesOf, nameKey } from "./Image.js"
import { limits } from "./limits.js"
import { type DecideOne, defined, done, refuse } from "./Outcome.js"
import type { Table } from "./Table.js"
import { checkInt, checkTenant } from "./validate.js"

const checkQuota = (quota: TenantQuota) =>
  checkInt("quota.connectionsMax", quota.connectionsMax, 0) ??
  checkInt("quota.publishMessagesPerSecondMax", quota.publishMessagesPerSecondMax, 1) ??
  checkInt("quota.publishBytesPerSecondMax", quota.publishBytesPerSecondMax, 1) ??
  checkInt("quota.subscriptionsMax", quota.subscriptionsMax, 0)

export const createTenant: DecideOne<"CreateTenant"> = (image, { tenant, quota, atMs }) => {
  const wrong = checkTenant(tenant) ?? checkQuota(quota)
  if (wrong !== undefined) return refuse(wrong)
  if (image.tenantsById.has(tenant)) return refuse(new TenantExists({ tenant }))
  if (image.tenantsById.size >= limits.tenantsMax) return refuse(new LimitReached({ what: "tenants", max: limits.tenantsMax }))
  return done({ _tag: "TenantCreated", tenant, quota: defined(quota), createdAtMs: atMs })
}

export const configureTenant: DecideOne<"ConfigureTenant"> = (image, { tenant, quota }) => {
  const wrong = checkQuota(quota)
  if (wrong !== undefined) return refuse(wrong)
  if (!image.tenantsById.has(tenant)) return refuse(new UnknownTenant({ tenant }))
  return done({ _tag: "TenantConfigured", tenant, quota: defined(quota) })
}

const holdsAny = <V>(table: Table<V>, tenant: string): boolean => {
  const prefix = nameKey(tenant, "")
  for (const key of table.keys()) if (key.startsWith(prefix)) return true
  return false
}

export const deleteTenant: DecideOne<"DeleteTenant"> = (image, { tenant }) => {
  if (!image.tenantsById.has(tenant)) return refuse(new UnknownTenant({ tenant }))
  if (tenant === defaultTenant) return refuse(new TenantInUse({ tenant, reason: "it always exists" }))
  if (holdsAny(image.topicsByName, tenant)) return refuse(new TenantInUse({ tenant, reason: "it has topics" }))
  if (holdsAny(image.usersByName, tenant)) return refuse(new TenantInUse({ tenant, reason: "it has users" }))
  const events: Array<MetadataEvent> = aclRulesOf(image, tenant).map(({ id }) => ({ _tag: "AclDeleted", tenant, id }))
  for (const [, ban] of image.bansByKey.sorted()) {
    if (ban.tenant === tenant) events.push({ _tag: "BanDeleted", tenant, kind: ban.kind, value: ban.value })
  }
  return done(...events, { _tag: "TenantDeleted", tenant })
}
