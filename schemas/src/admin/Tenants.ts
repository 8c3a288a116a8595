/**
 * `/api/v1/tenants`: `GET` lists, `GET`, `PUT` (makes or changes) and `DELETE /<name>`.
 */
import * as Schema from "effect/Schema"
import { TenantQuota } from "../metadata/Tenant.js"

/** An absent limit is none. */
export const TenantSummary = Schema.Struct({
  name: Schema.String,
  ...TenantQuota.fields,
  createdAtMs: Schema.Number
})
export type TenantSummary = typeof TenantSummary.Type

export const TenantList = Schema.Array(TenantSummary)

const limit = Schema.optional(Schema.NullOr(Schema.Int))

/** An absent field stays as it is; null takes a limit away. */
export const PutTenantBody = Schema.Struct({
  connectionsMax: limit,
  subscriptionsMax: limit,
  publishMessagesPerSecondMax: limit,
  publishBytesPerSecondMax: limit
})
export type PutTenantBody = typeof PutTenantBody.Type
