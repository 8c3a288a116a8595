/** One of everything whose bytes are frozen, in the order of the golden files. */
import * as Errors from "../src/errors/MetadataError.js"
import type { MetadataError } from "../src/errors/MetadataError.js"
import type { MetadataCommand } from "../src/metadata/MetadataCommand.js"
import type { MetadataEvent } from "../src/metadata/MetadataEvent.js"

const atMs = 1_790_000_000_123
const tenant = "default"
const scram = {
  salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
  iterations: 4096,
  storedKey: "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
  serverKey: "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
}
const passwordHash = "$scrypt$ln=14,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"
const node = {
  nodeId: 1,
  name: "node-1",
  version: "0.1.0",
  addresses: [{ listener: "mqtt.tcp", host: "127.0.0.1", port: 1883 }],
  roles: ["meta", "broker"] as const
}
const quota = {
  connectionsMax: 100,
  publishMessagesPerSecondMax: 1000,
  publishBytesPerSecondMax: 1_000_000,
  subscriptionsMax: 50
}
const config = { partitions: 3, cleanup: "delete", durability: "fsync" } as const
const limitedConfig = { ...config, retentionMs: 86_400_000, retentionBytes: 1_073_741_824, mqttFilter: "sensors/+/ä/#" } as const
const rule = {
  tenant,
  id: "own",
  position: -1,
  effect: "allow",
  who: { user: "ann", clientId: "c1", address: "10.0.0.0/8" },
  action: "publish",
  retain: false,
  filter: "clients/%c/%u/#"
} as const
const ban = { tenant, kind: "pattern", value: "bot-*", reason: "noise", by: "admin", untilMs: atMs + 60_000 } as const

export const events: ReadonlyArray<MetadataEvent> = [
  { _tag: "ClusterCreated", clusterId: "Qn3xkq9dS5-XqYl1h5o0dA", createdAtMs: atMs },
  { _tag: "NodeRegistered", ...node, registeredAtMs: atMs },
  { _tag: "TenantCreated", tenant, quota: {}, createdAtMs: atMs },
  { _tag: "TenantCreated", tenant: "acme", quota, createdAtMs: atMs },
  { _tag: "TenantConfigured", tenant: "acme", quota: { connectionsMax: 0 } },
  { _tag: "TenantDeleted", tenant: "acme" },
  { _tag: "TopicCreated", tenant, name: "orders", topicId: 7, engine: "memory", ...config, createdAtMs: atMs },
  { _tag: "TopicCreated", tenant, name: "sensors", topicId: 9, engine: "file", ...limitedConfig, createdAtMs: atMs },
  { _tag: "TopicConfigured", tenant, name: "sensors", ...limitedConfig, cleanup: "compact", durability: "os" },
  { _tag: "TopicDeleted", tenant, name: "sensors" },
  { _tag: "UserPut", tenant, name: "ann", passwordHash, scram, superuser: true, updatedAtMs: atMs },
  { _tag: "UserPut", tenant, name: 'bö "b', superuser: false, updatedAtMs: atMs },
  { _tag: "UserDeleted", tenant, name: "ann" },
  { _tag: "AclPut", ...rule },
  { _tag: "AclPut", tenant, id: "all", position: 10, effect: "deny", who: {}, action: "all", filter: "#" },
  { _tag: "AclDeleted", tenant, id: "own" },
  { _tag: "AclDefaultSet", tenant, effect: "deny" },
  { _tag: "AclDefaultSet", tenant },
  { _tag: "BanPut", ...ban, createdAtMs: atMs },
  { _tag: "BanPut", tenant, kind: "address", value: "::1", reason: "", by: "", createdAtMs: atMs },
  { _tag: "BanDeleted", tenant, kind: "pattern", value: "bot-*" },
  { _tag: "ConfigSet", key: "mqtt.retained.max", value: 1_000_000 },
  { _tag: "ConfigSet", key: "mqtt.motd", value: "hi\n" },
  { _tag: "ConfigSet", key: "mqtt.retained.enabled", value: false },
  { _tag: "ConfigUnset", key: "mqtt.motd" },
  { _tag: "CommandApplied", commandId: "c-1", command: "DeleteTopic", reply: { version: 12 } },
  { _tag: "CommandApplied", commandId: "c-2", command: "PutUser", reply: { version: 13, created: true } },
  { _tag: "CommandApplied", commandId: "c-3", command: "CreateTopic", reply: { version: 15, topicId: 14 } }
]

/** Kinds and forms that came after the first ones were frozen. */
export const laterEvents: ReadonlyArray<MetadataEvent> = [
  { _tag: "NodeRegistered", ...node, storeId: "9f3c", rpcAddress: "10.0.0.1:7400", registeredAtMs: atMs },
  { _tag: "NodeRegistered", ...node, rpcAddress: "[::1]:7400", registeredAtMs: atMs },
  { _tag: "NodeFenced", nodeId: 2, fencedAtMs: atMs },
  { _tag: "NodeUnfenced", nodeId: 2 },
  { _tag: "NodeUnregistered", nodeId: 2 }
]

const stamp = { commandId: "3f0c5a52-5a0e-4a39-9a5b-2f6b0d4b8d11", atMs }

export const commands: ReadonlyArray<MetadataCommand> = [
  { _tag: "CreateCluster", ...stamp, clusterId: "Qn3xkq9dS5-XqYl1h5o0dA" },
  { _tag: "RegisterNode", ...stamp, ...node },
  { _tag: "CreateTenant", ...stamp, tenant: "acme", quota },
  { _tag: "ConfigureTenant", ...stamp, tenant: "acme", quota: {} },
  { _tag: "DeleteTenant", ...stamp, tenant: "acme" },
  { _tag: "CreateTopic", ...stamp, tenant, name: "orders" },
  { _tag: "CreateTopic", ...stamp, tenant, name: "sensors", engine: "file", ...limitedConfig },
  { _tag: "ConfigureTopic", ...stamp, tenant, name: "sensors", partitions: 4, retentionMs: null, mqttFilter: "a/#" },
  { _tag: "DeleteTopic", ...stamp, tenant, name: "sensors" },
  { _tag: "PutUser", ...stamp, tenant, name: "ann", passwordHash, scram, superuser: true },
  { _tag: "DeleteUser", ...stamp, tenant, name: "ann" },
  { _tag: "PutAcl", ...stamp, ...rule },
  { _tag: "DeleteAcl", ...stamp, tenant, id: "own" },
  { _tag: "SetAclDefault", ...stamp, tenant, effect: "allow" },
  { _tag: "PutBan", ...stamp, ...ban },
  { _tag: "DeleteBan", ...stamp, tenant, kind: "clientId", value: "c1" },
  { _tag: "SetConfig", ...stamp, key: "mqtt.retained.max", value: 0.5 },
  { _tag: "UnsetConfig", ...stamp, key: "mqtt.retained.max" }
]

export const laterCommands: ReadonlyArray<MetadataCommand> = [
  { _tag: "RegisterNode", ...stamp, ...node, storeId: "9f3c", rpcAddress: "10.0.0.1:7400" },
  { _tag: "FenceNode", ...stamp, nodeId: 2 },
  { _tag: "UnfenceNode", ...stamp, nodeId: 2 },
  { _tag: "UnregisterNode", ...stamp, nodeId: 2 }
]

export const errors: ReadonlyArray<MetadataError> = [
  new Errors.InvalidField({ field: "name", value: "a b", reason: "no spaces" }),
  new Errors.ClusterExists({ clusterId: "x" }),
  new Errors.TenantExists({ tenant }),
  new Errors.UnknownTenant({ tenant: "acme" }),
  new Errors.TenantInUse({ tenant, reason: "it always exists" }),
  new Errors.TopicExists({ tenant, name: "orders" }),
  new Errors.UnknownTopic({ tenant, name: "orders" }),
  new Errors.InvalidTopic({ name: "orders", reason: "it has 3 partitions" }),
  new Errors.UnknownUser({ tenant, name: "ann" }),
  new Errors.UnknownAcl({ tenant, id: "own" }),
  new Errors.UnknownBan({ tenant, kind: "user", value: "ann" }),
  new Errors.UnknownConfig({ key: "k" }),
  new Errors.LimitReached({ what: "topics", max: 100_000 }),
  new Errors.CommandIdReused({ commandId: "c-1", command: "PutUser" }),
  new Errors.MetadataUnavailable({ reason: "full", message: "no space" })
]

export const laterErrors: ReadonlyArray<MetadataError> = [
  new Errors.UnknownNode({ nodeId: 2 }),
  new Errors.NodeIdTaken({ nodeId: 2, storeId: "9f3c" }),
  new Errors.InvalidMembership({ nodeId: 2, reason: "it is the last voter" }),
  new Errors.MetadataUnavailable({ reason: "no-leader", message: "nobody leads" }),
  new Errors.MetadataUnavailable({ reason: "busy", message: "another change is under way" }),
  new Errors.MetadataUnavailable({ reason: "unknown", message: "the leader was lost" }),
  new Errors.MetadataUnavailable({ reason: "timeout", message: "no answer in time" })
]
