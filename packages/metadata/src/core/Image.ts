/**
 * The cluster's metadata as a value. Nothing in it changes after it was made; a newer image shares what is the same, so that
 * `before.topicsByName === after.topicsByName` says that no topic changed.
 */
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import type { Ban, BanKind } from "@effectmq/schemas/metadata/Ban"
import type { ConfigValue } from "@effectmq/schemas/metadata/MetadataCommand"
import type { NodeState } from "@effectmq/schemas/metadata/Node"
import type { Tenant } from "@effectmq/schemas/metadata/Tenant"
import type { Topic } from "@effectmq/schemas/metadata/Topic"
import type { User } from "@effectmq/schemas/metadata/User"
import type { RecentCommands } from "./RecentCommands.js"
import { emptyRecentCommands } from "./RecentCommands.js"
import { Table } from "./Table.js"

export interface Cluster {
  readonly clusterId: string
  readonly createdAtMs: number
}

export interface Image {
  /** Sequence of the last event it holds; 0 before the first. */
  readonly version: number
  /** undefined before the cluster was made. */
  readonly cluster: Cluster | undefined
  readonly nodesById: Table<NodeState>
  readonly tenantsById: Table<Tenant>
  /** By `nameKey(tenant, name)`. */
  readonly topicsByName: Table<Topic>
  /** By `nameKey(tenant, name)`. */
  readonly usersByName: Table<User>
  /** By tenant, in the order in which they are tried: by position, then by id. */
  readonly aclRulesByTenant: Table<ReadonlyArray<AclRule>>
  /** By `banKey`. Bans whose time has passed may still be here: compare `untilMs`. */
  readonly bansByKey: Table<Ban>
  readonly configByKey: Table<ConfigValue>
  readonly recentCommands: RecentCommands
}

/** Tenant names hold no slash, so the first one ends it. */
export const nameKey = (tenant: string, name: string): string => `${tenant}/${name}`

export const banKey = (ban: { readonly tenant: string; readonly kind: BanKind; readonly value: string }): string =>
  `${ban.tenant}/${ban.kind}/${ban.value}`

export const emptyImage: Image = {
  version: 0,
  cluster: undefined,
  nodesById: Table.empty(),
  tenantsById: Table.empty(),
  topicsByName: Table.empty(),
  usersByName: Table.empty(),
  aclRulesByTenant: Table.empty(),
  bansByKey: Table.empty(),
  configByKey: Table.empty(),
  recentCommands: emptyRecentCommands
}

export const topicOf = (image: Image, tenant: string, name: string): Topic | undefined =>
  image.topicsByName.get(nameKey(tenant, name))

export const userOf = (image: Image, tenant: string, name: string): User | undefined =>
  image.usersByName.get(nameKey(tenant, name))

export const aclRulesOf = (image: Image, tenant: string): ReadonlyArray<AclRule> => image.aclRulesByTenant.get(tenant) ?? []
