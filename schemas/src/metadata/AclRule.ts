/**
 * One rule of who may do what. The rules of a tenant are tried by position, then by id; the first that matches decides.
 */
import * as Schema from "effect/Schema"
import { AclEffect } from "./Tenant.js"

/** Every given field must match; no field matches everybody. */
export const AclWho = Schema.Struct({
  user: Schema.optional(Schema.String),
  clientId: Schema.optional(Schema.String),
  /** An IP address or a block in CIDR notation. */
  address: Schema.optional(Schema.String)
})
export type AclWho = typeof AclWho.Type

export const AclAction = Schema.Literal("publish", "subscribe", "all")
export type AclAction = typeof AclAction.Type

export const AclRule = Schema.Struct({
  tenant: Schema.String,
  id: Schema.String,
  position: Schema.Int,
  effect: AclEffect,
  who: AclWho,
  action: AclAction,
  /** Set: the rule is only for publishes whose retain flag is this. */
  retain: Schema.optional(Schema.Boolean),
  /** A topic filter with `+` and `#`; `%c` stands for the client id and `%u` for the user name. */
  filter: Schema.String
})
export type AclRule = typeof AclRule.Type
