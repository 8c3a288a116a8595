/**
 * How one event makes the next image. Total over every event that a decider made, in the order it made them; anything else
 * is a bug and throws. Reads no clock.
 */
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { NodeState } from "@effectmq/schemas/metadata/Node"
import type { Tenant } from "@effectmq/schemas/metadata/Tenant"
import type { Topic } from "@effectmq/schemas/metadata/Topic"
import { aclRulesOf, banKey, type Image, nameKey } from "./Image.js"
import { rememberCommand } from "./RecentCommands.js"
import type { Table } from "./Table.js"

const body = <E extends { readonly _tag: string }>(event: E): Omit<E, "_tag"> => {
  const { _tag, ...fields } = event
  return fields
}

const precedes = (left: AclRule, right: AclRule): boolean =>
  left.position < right.position || (left.position === right.position && left.id < right.id)

const withRule = (rules: ReadonlyArray<AclRule>, rule: AclRule): ReadonlyArray<AclRule> => {
  const others = rules.filter((other) => other.id !== rule.id)
  const at = others.findIndex((other) => precedes(rule, other))
  others.splice(at === -1 ? others.length : at, 0, rule)
  return others
}

const withoutRule = (image: Image, tenant: string, id: string): Table<ReadonlyArray<AclRule>> => {
  const rules = aclRulesOf(image, tenant).filter((rule) => rule.id !== id)
  return rules.length === 0 ? image.aclRulesByTenant.delete(tenant) : image.aclRulesByTenant.set(tenant, rules)
}

const tenantOf = (image: Image, tenant: string): Tenant => {
  const known = image.tenantsById.get(tenant)
  if (known === undefined) throw new Error(`an event names tenant ${tenant}, which is not there`)
  return known
}

const nodeOf = (image: Image, nodeId: number): NodeState => {
  const known = image.nodesById.get(String(nodeId))
  if (known === undefined) throw new Error(`an event names node ${nodeId}, which is not there`)
  return known
}

const withFencing = (image: Image, nodeId: number, fencedAtMs: number | undefined): Partial<Image> => ({
  nodesById: image.nodesById.set(String(nodeId), { ...nodeOf(image, nodeId), fencedAtMs })
})

const topicNamed = (image: Image, key: string): Topic => {
  const known = image.topicsByName.get(key)
  if (known === undefined) throw new Error(`an event configures topic ${key}, which is not there`)
  return known
}

const changed = (image: Image, event: MetadataEvent): Partial<Image> => {
  switch (event._tag) {
    case "ClusterCreated":
      return { cluster: body(event) }
    case "NodeRegistered":
      return { nodesById: image.nodesById.set(String(event.nodeId), { ...body(event), fencedAtMs: undefined }) }
    case "NodeFenced":
      return withFencing(image, event.nodeId, event.fencedAtMs)
    case "NodeUnfenced":
      return withFencing(image, event.nodeId, undefined)
    case "NodeUnregistered":
      return { nodesById: image.nodesById.delete(String(event.nodeId)) }
    case "TenantCreated":
      return { tenantsById: image.tenantsById.set(event.tenant, { ...body(event), aclDefault: undefined }) }
    case "TenantConfigured":
      return { tenantsById: image.tenantsById.set(event.tenant, { ...tenantOf(image, event.tenant), quota: event.quota }) }
    case "TenantDeleted":
      return { tenantsById: image.tenantsById.delete(event.tenant) }
    case "TopicCreated":
      return { topicsByName: image.topicsByName.set(nameKey(event.tenant, event.name), body(event)) }
    case "TopicConfigured": {
      const key = nameKey(event.tenant, event.name)
      const { topicId, engine, createdAtMs } = topicNamed(image, key)
      return { topicsByName: image.topicsByName.set(key, { ...body(event), topicId, engine, createdAtMs }) }
    }
    case "TopicDeleted":
      return { topicsByName: image.topicsByName.delete(nameKey(event.tenant, event.name)) }
    case "UserPut":
      return { usersByName: image.usersByName.set(nameKey(event.tenant, event.name), body(event)) }
    case "UserDeleted":
      return { usersByName: image.usersByName.delete(nameKey(event.tenant, event.name)) }
    case "AclPut":
      return {
        aclRulesByTenant: image.aclRulesByTenant.set(event.tenant, withRule(aclRulesOf(image, event.tenant), body(event)))
      }
    case "AclDeleted":
      return { aclRulesByTenant: withoutRule(image, event.tenant, event.id) }
    case "AclDefaultSet":
      return { tenantsById: image.tenantsById.set(event.tenant, { ...tenantOf(image, event.tenant), aclDefault: event.effect }) }
    case "BanPut":
      return { bansByKey: image.bansByKey.set(banKey(event), body(event)) }
    case "BanDeleted":
      return { bansByKey: image.bansByKey.delete(banKey(event)) }
    case "ConfigSet":
      return { configByKey: image.configByKey.set(event.key, event.value) }
    case "ConfigUnset":
      return { configByKey: image.configByKey.delete(event.key) }
    case "CommandApplied": {
      const { commandId, command, reply } = event
      return { recentCommands: rememberCommand(image.recentCommands, commandId, { command, reply }) }
    }
  }
}

export const apply = (image: Image, event: MetadataEvent, sequence: number): Image => ({
  ...image,
  ...changed(image, event),
  version: sequence
})
