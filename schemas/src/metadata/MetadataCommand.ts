/**
 * Wishes for a change of the cluster's metadata. A command names itself, so that a retried one is applied once, and brings
 * its time, because whoever applies its events reads no clock.
 */
import * as Schema from "effect/Schema"
import { EngineName } from "../Ids.js"
import { AclRule } from "./AclRule.js"
import { BanKind, banFields } from "./Ban.js"
import type { DoneReply, PutReply, TopicReply } from "./MetadataReply.js"
import { nodeFields } from "./Node.js"
import { AclEffect, TenantQuota } from "./Tenant.js"
import { TopicCleanup, TopicDurability } from "./Topic.js"
import { userFields } from "./User.js"

/** Fields of every command. */
export const stampFields = {
  /** 1 to 128 characters, chosen by who wishes; the same in every retry. */
  commandId: Schema.String,
  /** Wall-clock ms of who wishes. */
  atMs: Schema.Int
}

const command = <Tag extends string, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.Struct({ _tag: Schema.Literal(tag), ...stampFields, ...fields })

const tenant = Schema.String
const name = Schema.String

export const CreateCluster = command("CreateCluster", { clusterId: Schema.String })
/** Registering a node again replaces what is known of it and ends its fencing; refused where it comes with another store. */
export const RegisterNode = command("RegisterNode", nodeFields)
/** The node is silent. */
export const FenceNode = command("FenceNode", { nodeId: Schema.Int })
/** It was heard of again. */
export const UnfenceNode = command("UnfenceNode", { nodeId: Schema.Int })
/** It is removed; its number may be given to a new node. */
export const UnregisterNode = command("UnregisterNode", { nodeId: Schema.Int })

export const CreateTenant = command("CreateTenant", { tenant, quota: TenantQuota })
export const ConfigureTenant = command("ConfigureTenant", { tenant, quota: TenantQuota })
/** Refused while the tenant has topics or users; its rules and bans go with it. */
export const DeleteTenant = command("DeleteTenant", { tenant })

/** Defaults: engine file, 1 partition, cleanup delete, durability fsync, everything kept, nothing bound. */
export const CreateTopic = command("CreateTopic", {
  tenant,
  name,
  engine: Schema.optional(EngineName),
  partitions: Schema.optional(Schema.Int),
  retentionMs: Schema.optional(Schema.Int),
  retentionBytes: Schema.optional(Schema.Int),
  cleanup: Schema.optional(TopicCleanup),
  durability: Schema.optional(TopicDurability),
  mqttFilter: Schema.optional(Schema.String)
})
/** An absent field stays as it is; null takes a limit or a binding away. */
export const ConfigureTopic = command("ConfigureTopic", {
  tenant,
  name,
  partitions: Schema.optional(Schema.Int),
  retentionMs: Schema.optional(Schema.NullOr(Schema.Int)),
  retentionBytes: Schema.optional(Schema.NullOr(Schema.Int)),
  cleanup: Schema.optional(TopicCleanup),
  durability: Schema.optional(TopicDurability),
  mqttFilter: Schema.optional(Schema.NullOr(Schema.String))
})
export const DeleteTopic = command("DeleteTopic", { tenant, name })

/** Makes the user or replaces it whole. */
export const PutUser = command("PutUser", userFields)
export const DeleteUser = command("DeleteUser", { tenant, name })

/** Makes the rule or replaces it whole. */
export const PutAcl = command("PutAcl", AclRule.fields)
export const DeleteAcl = command("DeleteAcl", { tenant, id: Schema.String })
/** Without `effect` the broker's configuration decides again. */
export const SetAclDefault = command("SetAclDefault", { tenant, effect: Schema.optional(AclEffect) })

/** Makes the ban or replaces it whole; bans whose time has passed at `atMs` are cleared away. */
export const PutBan = command("PutBan", banFields)
export const DeleteBan = command("DeleteBan", { tenant, kind: BanKind, value: Schema.String })

/** Value of a dynamic configuration key; what keys exist is the business of who reads them. */
export const ConfigValue = Schema.Union(Schema.String, Schema.Finite, Schema.Boolean)
export type ConfigValue = typeof ConfigValue.Type

export const SetConfig = command("SetConfig", { key: Schema.String, value: ConfigValue })
export const UnsetConfig = command("UnsetConfig", { key: Schema.String })

export const MetadataCommand = Schema.Union(
  CreateCluster,
  RegisterNode,
  FenceNode,
  UnfenceNode,
  UnregisterNode,
  CreateTenant,
  ConfigureTenant,
  DeleteTenant,
  CreateTopic,
  ConfigureTopic,
  DeleteTopic,
  PutUser,
  DeleteUser,
  PutAcl,
  DeleteAcl,
  SetAclDefault,
  PutBan,
  DeleteBan,
  SetConfig,
  UnsetConfig
)
export type MetadataCommand = typeof MetadataCommand.Type
export type MetadataCommandTag = MetadataCommand["_tag"]
export type CommandOf<Tag extends MetadataCommandTag> = Extract<MetadataCommand, { readonly _tag: Tag }>

type PutTag = "RegisterNode" | "PutUser" | "PutAcl" | "PutBan" | "SetConfig"

/** The reply that a command of this tag gets. */
export type ReplyOf<Tag extends MetadataCommandTag> = Tag extends "CreateTopic"
  ? TopicReply
  : Tag extends PutTag
    ? PutReply
    : DoneReply
