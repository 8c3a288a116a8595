/**
 * Facts about the cluster's metadata, in the order they happened. Every event touches one thing, and carries what it became
 * whole, so that the same events are a snapshot.
 */
import * as Schema from "effect/Schema"
import { AclRule } from "./AclRule.js"
import { Ban, BanKind } from "./Ban.js"
import { ConfigValue } from "./MetadataCommand.js"
import { MetadataReply } from "./MetadataReply.js"
import { Node } from "./Node.js"
import { AclEffect, TenantQuota } from "./Tenant.js"
import { Topic, topicConfigFields } from "./Topic.js"
import { User } from "./User.js"

const event = <Tag extends string, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.Struct({ _tag: Schema.Literal(tag), ...fields })

const tenant = Schema.String
const name = Schema.String

export const ClusterCreated = event("ClusterCreated", { clusterId: Schema.String, createdAtMs: Schema.Int })
/** A node that registers is not fenced any more. */
export const NodeRegistered = event("NodeRegistered", Node.fields)
export const NodeFenced = event("NodeFenced", { nodeId: Schema.Int, fencedAtMs: Schema.Int })
export const NodeUnfenced = event("NodeUnfenced", { nodeId: Schema.Int })
export const NodeUnregistered = event("NodeUnregistered", { nodeId: Schema.Int })

export const TenantCreated = event("TenantCreated", { tenant, quota: TenantQuota, createdAtMs: Schema.Int })
export const TenantConfigured = event("TenantConfigured", { tenant, quota: TenantQuota })
export const TenantDeleted = event("TenantDeleted", { tenant })

export const TopicCreated = event("TopicCreated", Topic.fields)
/** The whole new configuration. */
export const TopicConfigured = event("TopicConfigured", { tenant, name, ...topicConfigFields })
export const TopicDeleted = event("TopicDeleted", { tenant, name })

export const UserPut = event("UserPut", User.fields)
export const UserDeleted = event("UserDeleted", { tenant, name })

export const AclPut = event("AclPut", AclRule.fields)
export const AclDeleted = event("AclDeleted", { tenant, id: Schema.String })
export const AclDefaultSet = event("AclDefaultSet", { tenant, effect: Schema.optional(AclEffect) })

export const BanPut = event("BanPut", Ban.fields)
export const BanDeleted = event("BanDeleted", { tenant, kind: BanKind, value: Schema.String })

export const ConfigSet = event("ConfigSet", { key: Schema.String, value: ConfigValue })
export const ConfigUnset = event("ConfigUnset", { key: Schema.String })

/** The last event of every command: a retry of the command finds its reply here. */
export const CommandApplied = event("CommandApplied", {
  commandId: Schema.String,
  /** Tag of the command. */
  command: Schema.String,
  reply: MetadataReply
})

export const MetadataEvent = Schema.Union(
  ClusterCreated,
  NodeRegistered,
  NodeFenced,
  NodeUnfenced,
  NodeUnregistered,
  TenantCreated,
  TenantConfigured,
  TenantDeleted,
  TopicCreated,
  TopicConfigured,
  TopicDeleted,
  UserPut,
  UserDeleted,
  AclPut,
  AclDeleted,
  AclDefaultSet,
  BanPut,
  BanDeleted,
  ConfigSet,
  ConfigUnset,
  CommandApplied
)
export type MetadataEvent = typeof MetadataEvent.Type
export type MetadataEventTag = MetadataEvent["_tag"]
export type EventOf<Tag extends MetadataEventTag> = Extract<MetadataEvent, { readonly _tag: Tag }>
