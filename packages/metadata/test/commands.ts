/** Commands for the tests: short makers, and random ones over few names, so that they meet each other. */
import type { CommandOf, MetadataCommand, MetadataCommandTag } from "@effectmq/schemas/metadata/MetadataCommand"
import * as fc from "fast-check"

let made = 0

type Fields<Tag extends MetadataCommandTag> = Omit<CommandOf<Tag>, "_tag" | "commandId" | "atMs"> & {
  readonly commandId?: string
  readonly atMs?: number
}

export const command = <Tag extends MetadataCommandTag>(_tag: Tag, fields: Fields<Tag>): CommandOf<Tag> =>
  ({ _tag, commandId: `command-${++made}`, atMs: 1000, ...fields }) as unknown as CommandOf<Tag>

export const tenant = "default"

const anyTenant = fc.constantFrom("default", "acme", "other")
const anyName = fc.constantFrom("a", "b", "c")
const anyId = fc.constantFrom("r1", "r2", "r3", "r4")
const optional = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
const anyFilter = fc.constantFrom("#", "a/+/b", "clients/%c/#", "%u", "bad#", "")
/** Node 1 is left to whoever starts it. */
const anyNodeId = fc.constantFrom(0, 2, 3, 4)
const anyLimit = fc.integer({ min: -1, max: 1000 })
const cleanup = fc.constantFrom("delete", "compact")
const durability = fc.constantFrom("fsync", "interval", "os")
const anyKind = fc.constantFrom("user", "clientId", "address", "pattern")
const banValue = fc.constantFrom("x", "10.0.0.1", "10.0.0.0/8")

const fieldsByTag: { readonly [Tag in MetadataCommandTag]: fc.Arbitrary<object> } = {
  CreateCluster: fc.record({ clusterId: fc.constantFrom("one", "two", "not an id") }),
  RegisterNode: fc.record({
    nodeId: anyNodeId,
    name: anyName,
    version: fc.constantFrom("1", "2"),
    addresses: fc.array(fc.record({ listener: fc.constant("mqtt.tcp"), host: fc.constant("h"), port: fc.nat(70_000) }), {
      maxLength: 2
    }),
    roles: fc.uniqueArray(fc.constantFrom("meta", "journal", "broker")),
    storeId: optional(fc.constantFrom("s1", "s2")),
    rpcAddress: optional(fc.constantFrom("h:1", "no address"))
  }),
  FenceNode: fc.record({ nodeId: anyNodeId }),
  UnfenceNode: fc.record({ nodeId: anyNodeId }),
  UnregisterNode: fc.record({ nodeId: anyNodeId }),
  CreateTenant: fc.record({
    tenant: anyTenant,
    quota: fc.record({ connectionsMax: optional(anyLimit), subscriptionsMax: optional(anyLimit) })
  }),
  ConfigureTenant: fc.record({ tenant: anyTenant, quota: fc.record({ publishBytesPerSecondMax: optional(anyLimit) }) }),
  DeleteTenant: fc.record({ tenant: anyTenant }),
  CreateTopic: fc.record({
    tenant: anyTenant,
    name: anyName,
    engine: optional(fc.constantFrom("memory", "file")),
    partitions: optional(fc.integer({ min: 0, max: 4 })),
    retentionMs: optional(anyLimit),
    retentionBytes: optional(anyLimit),
    cleanup: optional(cleanup),
    durability: optional(durability),
    mqttFilter: optional(anyFilter)
  }),
  ConfigureTopic: fc.record({
    tenant: anyTenant,
    name: anyName,
    partitions: optional(fc.integer({ min: 0, max: 4 })),
    retentionMs: optional(fc.option(anyLimit)),
    retentionBytes: optional(fc.option(anyLimit)),
    cleanup: optional(cleanup),
    durability: optional(durability),
    mqttFilter: optional(fc.option(anyFilter))
  }),
  DeleteTopic: fc.record({ tenant: anyTenant, name: anyName }),
  PutUser: fc.record({
    tenant: anyTenant,
    name: anyName,
    passwordHash: optional(fc.constantFrom("$scrypt$ln=14$c2FsdA$aGFzaA", "secret")),
    superuser: fc.boolean()
  }),
  DeleteUser: fc.record({ tenant: anyTenant, name: anyName }),
  PutAcl: fc.record({
    tenant: anyTenant,
    id: anyId,
    position: fc.integer({ min: 0, max: 2 }),
    effect: fc.constantFrom("allow", "deny"),
    who: fc.record({ user: optional(anyName), clientId: optional(anyName), address: optional(banValue) }),
    action: fc.constantFrom("publish", "subscribe", "all"),
    retain: optional(fc.boolean()),
    filter: anyFilter
  }),
  DeleteAcl: fc.record({ tenant: anyTenant, id: anyId }),
  SetAclDefault: fc.record({ tenant: anyTenant, effect: optional(fc.constantFrom("allow", "deny")) }),
  PutBan: fc.record({
    tenant: anyTenant,
    kind: anyKind,
    value: banValue,
    reason: fc.constant("r"),
    by: fc.constant("b"),
    untilMs: optional(fc.integer({ min: 0, max: 50 }))
  }),
  DeleteBan: fc.record({ tenant: anyTenant, kind: anyKind, value: banValue }),
  SetConfig: fc.record({
    key: fc.constantFrom("k1", "k2", "not a key"),
    value: fc.oneof(fc.boolean(), fc.integer(), fc.string())
  }),
  UnsetConfig: fc.record({ key: fc.constantFrom("k1", "k2") })
}

/** Now and then an id comes again, with the same or with another command. */
export const anyCommand: fc.Arbitrary<MetadataCommand> = fc
  .constantFrom(...(Object.keys(fieldsByTag) as ReadonlyArray<MetadataCommandTag>))
  .chain((_tag) =>
    fc
      .tuple(fieldsByTag[_tag], fc.nat(400), fc.nat(60))
      .map(
        ([fields, id, atMs]) => ({ _tag, commandId: `c${id}`, atMs, ...structuredClone(fields) }) as unknown as MetadataCommand
      )
  )
