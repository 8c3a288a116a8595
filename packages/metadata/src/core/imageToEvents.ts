/**
 * The events that rebuild an image: its snapshot. Equal images give equal events in equal order.
 */
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { Image } from "./Image.js"
import type { RecentCommand } from "./RecentCommands.js"
import type { Table } from "./Table.js"

const values = <V>(table: Table<V>): ReadonlyArray<V> => table.sorted().map(([, value]) => value)

const remembered = (commands: Table<RecentCommand>): ReadonlyArray<MetadataEvent> =>
  commands.sorted().map(([commandId, { command, reply }]) => ({ _tag: "CommandApplied", commandId, command, reply }))

export const imageToEvents = (image: Image): ReadonlyArray<MetadataEvent> => {
  const events: Array<MetadataEvent> = []
  const cluster = image.cluster
  if (cluster !== undefined) events.push({ _tag: "ClusterCreated", ...cluster })
  for (const node of values(image.nodesById)) events.push({ _tag: "NodeRegistered", ...node })
  for (const { aclDefault, ...tenant } of values(image.tenantsById)) {
    events.push({ _tag: "TenantCreated", ...tenant })
    if (aclDefault !== undefined) events.push({ _tag: "AclDefaultSet", tenant: tenant.tenant, effect: aclDefault })
  }
  for (const topic of values(image.topicsByName)) events.push({ _tag: "TopicCreated", ...topic })
  for (const user of values(image.usersByName)) events.push({ _tag: "UserPut", ...user })
  for (const rules of values(image.aclRulesByTenant)) for (const rule of rules) events.push({ _tag: "AclPut", ...rule })
  for (const ban of values(image.bansByKey)) events.push({ _tag: "BanPut", ...ban })
  for (const [key, value] of image.configByKey.sorted()) events.push({ _tag: "ConfigSet", key, value })
  // The older generation is full whenever it is not empty, so that remembering the newer one makes it the older again.
  events.push(...remembered(image.recentCommands.older), ...remembered(image.recentCommands.newer))
  return events
}
