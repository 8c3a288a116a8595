/**
 * The difference of two images: per table, what came, what is different and what went.
 */
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import type { Ban } from "@effectmq/schemas/metadata/Ban"
import type { ConfigValue } from "@effectmq/schemas/metadata/MetadataCommand"
import type { NodeState } from "@effectmq/schemas/metadata/Node"
import type { Tenant } from "@effectmq/schemas/metadata/Tenant"
import type { Topic } from "@effectmq/schemas/metadata/Topic"
import type { User } from "@effectmq/schemas/metadata/User"
import type { Image } from "./Image.js"
import type { Table } from "./Table.js"

/** Keys are those of the image's table. A key is in one of the three, or in none where nothing changed. */
export interface TableDelta<V> {
  readonly added: ReadonlyMap<string, V>
  readonly changed: ReadonlyMap<string, { readonly before: V; readonly after: V }>
  readonly removed: ReadonlyMap<string, V>
}

/** A topic that was deleted and made again is in `removed` (its old self) and in `added`. */
export interface Delta {
  readonly before: Image
  readonly after: Image
  readonly nodes: TableDelta<NodeState>
  readonly tenants: TableDelta<Tenant>
  readonly topics: TableDelta<Topic>
  readonly users: TableDelta<User>
  /** By tenant. */
  readonly aclRules: TableDelta<ReadonlyArray<AclRule>>
  readonly bans: TableDelta<Ban>
  readonly config: TableDelta<ConfigValue>
}

const unchanged = { added: new Map<string, never>(), changed: new Map<string, never>(), removed: new Map<string, never>() }

/** Keys to compare, where it is known which can differ. */
export type TouchedKeys = Iterable<string> | undefined

const tableDelta = <V>(
  before: Table<V>,
  after: Table<V>,
  touched: TouchedKeys,
  reborn: (before: V, after: V) => boolean = () => false
): TableDelta<V> => {
  if (before === after) return unchanged
  const added = new Map<string, V>()
  const changed = new Map<string, { before: V; after: V }>()
  const removed = new Map<string, V>()
  for (const key of touched ?? new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(key)
    const now = after.get(key)
    if (old === now) continue
    if (old === undefined || (now !== undefined && reborn(old, now))) added.set(key, now as V)
    if (old !== undefined && (now === undefined || reborn(old, now))) removed.set(key, old)
    if (old !== undefined && now !== undefined && !reborn(old, now)) changed.set(key, { before: old, after: now })
  }
  return { added, changed, removed }
}

export interface TouchedByTable {
  readonly nodes: Iterable<string>
  readonly tenants: Iterable<string>
  readonly topics: Iterable<string>
  readonly users: Iterable<string>
  readonly aclRules: Iterable<string>
  readonly bans: Iterable<string>
  readonly config: Iterable<string>
}

/** `touched` spares the comparison of whole tables; without it every key is looked at. */
export const deltaOf = (before: Image, after: Image, touched?: TouchedByTable): Delta => ({
  before,
  after,
  nodes: tableDelta(before.nodesById, after.nodesById, touched?.nodes),
  tenants: tableDelta(before.tenantsById, after.tenantsById, touched?.tenants),
  topics: tableDelta(before.topicsByName, after.topicsByName, touched?.topics, (old, now) => old.topicId !== now.topicId),
  users: tableDelta(before.usersByName, after.usersByName, touched?.users),
  aclRules: tableDelta(before.aclRulesByTenant, after.aclRulesByTenant, touched?.aclRules),
  bans: tableDelta(before.bansByKey, after.bansByKey, touched?.bans),
  config: tableDelta(before.configByKey, after.configByKey, touched?.config)
})
