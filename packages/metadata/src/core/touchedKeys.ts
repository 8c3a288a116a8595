/**
 * Which keys of which table events can have changed.
 */
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { TouchedByTable } from "./Delta.js"
import { banKey, nameKey } from "./Image.js"

export const touchedKeys = (events: ReadonlyArray<MetadataEvent>): TouchedByTable => {
  const touched = {
    nodes: new Set<string>(),
    tenants: new Set<string>(),
    topics: new Set<string>(),
    users: new Set<string>(),
    aclRules: new Set<string>(),
    bans: new Set<string>(),
    config: new Set<string>()
  }
  for (const event of events) {
    switch (event._tag) {
      case "NodeRegistered":
      case "NodeFenced":
      case "NodeUnfenced":
      case "NodeUnregistered":
        touched.nodes.add(String(event.nodeId))
        break
      case "TenantCreated":
      case "TenantConfigured":
      case "TenantDeleted":
      case "AclDefaultSet":
        touched.tenants.add(event.tenant)
        break
      case "TopicCreated":
      case "TopicConfigured":
      case "TopicDeleted":
        touched.topics.add(nameKey(event.tenant, event.name))
        break
      case "UserPut":
      case "UserDeleted":
        touched.users.add(nameKey(event.tenant, event.name))
        break
      case "AclPut":
      case "AclDeleted":
        touched.aclRules.add(event.tenant)
        break
      case "BanPut":
      case "BanDeleted":
        touched.bans.add(banKey(event))
        break
      case "ConfigSet":
      case "ConfigUnset":
        touched.config.add(event.key)
        break
      case "ClusterCreated":
      case "CommandApplied":
        break
    }
  }
  return touched
}
