/**
 * A tenant: the namespace of every other name, and what may be used within it.
 */
import * as Schema from "effect/Schema"

const limit = Schema.optional(Schema.Int)

/** An absent field is no limit. */
export const TenantQuota = Schema.Struct({
  connectionsMax: limit,
  publishMessagesPerSecondMax: limit,
  publishBytesPerSecondMax: limit,
  subscriptionsMax: limit
})
export type TenantQuota = typeof TenantQuota.Type

/** What happens where no rule matches. */
export const AclEffect = Schema.Literal("allow", "deny")
export type AclEffect = typeof AclEffect.Type

export interface Tenant {
  readonly tenant: string
  readonly quota: TenantQuota
  readonly createdAtMs: number
  /** undefined: nobody has decided, the broker's configuration does. */
  readonly aclDefault: AclEffect | undefined
}
