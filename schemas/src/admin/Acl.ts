/**
 * `/api/v1/acl`: `GET` shows rules and default, `POST /rules` adds one at the end, `PUT` and `DELETE /rules/<id>`, `PUT /default`.
 */
import * as Schema from "effect/Schema"
import { AclAction, AclRule, AclWho } from "../metadata/AclRule.js"
import { AclEffect } from "../metadata/Tenant.js"

export const AclView = Schema.Struct({
  /** What holds where no rule matches. */
  default: AclEffect,
  /** Whether the default was set here (`acl`) or comes from the configuration. */
  defaultFrom: Schema.Literal("acl", "configuration"),
  /** In the order in which they are tried. */
  rules: Schema.Array(AclRule)
})
export type AclView = typeof AclView.Type

export const PutAclBody = Schema.Struct({
  /** Absent: after all others. */
  position: Schema.optional(Schema.Int),
  effect: AclEffect,
  who: Schema.optionalWith(AclWho, { default: () => ({}) }),
  action: AclAction,
  retain: Schema.optional(Schema.Boolean),
  filter: Schema.String
})
export type PutAclBody = typeof PutAclBody.Type

/** null: the configuration decides again. */
export const PutAclDefaultBody = Schema.Struct({ effect: Schema.NullOr(AclEffect) })
