/**
 * The events that rebuild an image: its snapshot. Equal images give equal events in equal order.
 */
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { Image } from "./Image.js"
import type { RecentCommand } from "./RecentCommands.js"
import type { Table } from "./Table.js"

function* values<V>(table: Table<V>): Generator<V> {
  for (const [, value] of table.inOrder()) yield value
}

function* remembered(commands: Table<RecentCommand>): Generator<MetadataEvent> {
  for (const [commandId, { command, reply }] of commands.inOrder()) yield { _tag: "CommandApplied", commandId, command, reply }
}

/** One after another, so that whoever has more to do can pause in between. */
export function* imageEvents(image: Image): Generator<MetadataEvent> {
  if (image.cluster !== undefined) yield { _tag: "ClusterCreated", ...image.cluster }
  for (const { fencedAtMs, ...node } of values(image.nodesById)) {
    yield { _tag: "NodeRegistered", ...node }
    if (fencedAtMs !== undefined) yield { _tag: "NodeFenced", nodeId: node.nodeId, fencedAtMs }
  }
  for (const { aclDefault, ...tenant } of values(image.tenantsById)) {
    yield { _tag: "TenantCreated", ...tenant }
    if (aclDefault !== undefined) yield { _tag: "AclDefaultSet", tenant: tenant.tenant, effect: aclDefault }
  }
  for (const topic of values(image.topicsByName)) yield { _tag: "TopicCreated", ...topic }
  for (const user of values(image.usersByName)) yield { _tag: "UserPut", ...user }
  for (const rules of values(image.aclRulesByTenant)) for (const rule of rules) yield { _tag: "AclPut", ...rule }
  for (const ban of values(image.bansByKey)) yield { _tag: "BanPut", ...ban }
  for (const [key, value] of image.configByKey.inOrder()) yield { _tag: "ConfigSet", key, value }
  // The older generation is full whenever it is not empty, so that remembering the newer one makes it the older again.
  yield* remembered(image.recentCommands.older)
  yield* remembered(image.recentCommands.newer)
}

export const imageToEvents = (image: Image): ReadonlyArray<MetadataEvent> => Array.from(imageEvents(image))
