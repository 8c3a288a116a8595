/** The rules of the decider, one command at a time. */
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { apply } from "../src/core/apply.js"
import { decide } from "../src/core/decide.js"
import { aclRulesOf, emptyImage, type Image, topicOf, userOf } from "../src/core/Image.js"
import { isAddressOrBlock } from "../src/core/address.js"
import { limits } from "../src/core/limits.js"
import { generationMax, reachesBackTo } from "../src/core/RecentCommands.js"
import { command, tenant } from "./commands.js"

/** Carries commands out, with clocks that agree with theirs; a refused one is a failure of the test. */
const after = (image: Image, ...commands: ReadonlyArray<MetadataCommand>): Image =>
  commands.reduce((now, wish) => {
    const { events, reply } = Either.getOrThrow(decide(now, wish, wish.atMs))
    const next = events.reduce((state, event, at) => apply(state, event, now.version + at + 1), now)
    if (events.length > 0) expect(reply.version).toBe(next.version)
    return next
  }, image)

const refusal = (image: Image, wish: MetadataCommand) => Either.getOrThrow(Either.flip(decide(image, wish)))

const begun = after(emptyImage, command("CreateTenant", { tenant, quota: {} }))
const orders = command("CreateTopic", { tenant, name: "orders" })
const withTopic = after(begun, orders)

describe("cluster, nodes, configuration", () => {
  it("is made once", () => {
    const made = after(emptyImage, command("CreateCluster", { clusterId: "one" }))
    expect(made.cluster).toEqual({ clusterId: "one", createdAtMs: 1000 })
    expect(refusal(made, command("CreateCluster", { clusterId: "two" }))).toMatchObject({
      _tag: "ClusterExists",
      clusterId: "one"
    })
  })

  it("registering what is known leaves no event beside its reply", () => {
    const register = () => command("RegisterNode", { nodeId: 1, name: "n", version: "1", addresses: [], roles: ["broker"] })
    const known = after(begun, register())
    const again = Either.getOrThrow(decide(known, register()))
    expect(again.events.map(({ _tag }) => _tag)).toEqual(["CommandApplied"])
    expect(again.reply).toMatchObject({ created: false })
    expect(refusal(begun, { ...register(), nodeId: 0 })).toMatchObject({ _tag: "InvalidField", field: "nodeId" })
    const address = { listener: "mqtt.tcp", host: "h", port: 65536 }
    expect(refusal(begun, { ...register(), addresses: [address] })).toMatchObject({ field: "addresses.port" })
  })

  const registration = { nodeId: 1, name: "n", version: "1", addresses: [], roles: ["broker"] as const }
  const register = (fields: object = {}) => command("RegisterNode", { ...registration, ...fields })
  const nodeOf = (image: Image) => image.nodesById.get("1")

  it("fences a node, and it comes back by word of the leader or by registering", () => {
    const known = after(begun, register({ storeId: "s" }))
    const fenced = after(known, command("FenceNode", { nodeId: 1, atMs: 7 }))
    expect(nodeOf(fenced)).toMatchObject({ storeId: "s", fencedAtMs: 7 })
    expect(nodeOf(after(fenced, command("FenceNode", { nodeId: 1, atMs: 9 })))?.fencedAtMs).toBe(7)
    expect(nodeOf(after(fenced, command("UnfenceNode", { nodeId: 1 })))).toStrictEqual(nodeOf(known))
    expect(nodeOf(after(fenced, register({ storeId: "s" })))).toStrictEqual(nodeOf(known))
    expect(nodeOf(after(fenced, register({ storeId: "s", version: "2" })))).toMatchObject({ fencedAtMs: undefined, version: "2" })
    for (const tag of ["FenceNode", "UnfenceNode", "UnregisterNode"] as const) {
      expect(refusal(begun, command(tag, { nodeId: 1 }))).toMatchObject({ _tag: "UnknownNode", nodeId: 1 })
    }
  })

  it("refuses a node that comes with another store, until it is removed", () => {
    // A node of an older release, or before it was in a cluster, has none.
    const known = after(begun, register(), register({ storeId: "s1" }))
    for (const other of [{ storeId: "s2" }, {}]) {
      expect(refusal(known, register(other))).toMatchObject({ _tag: "NodeIdTaken", nodeId: 1, storeId: "s1" })
    }
    const removed = after(known, command("UnregisterNode", { nodeId: 1 }))
    expect(nodeOf(removed)).toBeUndefined()
    expect(nodeOf(after(removed, register({ storeId: "s2" })))).toMatchObject({ storeId: "s2" })
  })

  it("takes only addresses that can be called", () => {
    expect(nodeOf(after(begun, register({ rpcAddress: "[::1]:7400" })))).toMatchObject({ rpcAddress: "[::1]:7400" })
    for (const rpcAddress of ["", "host", "a b:1", "host:123456"]) {
      expect(refusal(begun, register({ rpcAddress }))).toMatchObject({ field: "rpcAddress" })
    }
    expect(refusal(begun, register({ storeId: "" }))).toMatchObject({ field: "storeId" })
  })

  it("sets and unsets keys", () => {
    const set = after(begun, command("SetConfig", { key: "a.b", value: 1 }), command("SetConfig", { key: "a.b", value: "x" }))
    expect(set.configByKey.get("a.b")).toBe("x")
    expect(after(set, command("UnsetConfig", { key: "a.b" })).configByKey.size).toBe(0)
    expect(refusal(begun, command("UnsetConfig", { key: "a.b" }))).toMatchObject({ _tag: "UnknownConfig" })
    expect(refusal(begun, command("SetConfig", { key: "a b", value: 1 }))).toMatchObject({ field: "key" })
    const long = "x".repeat(limits.configValueLengthMax + 1)
    const tooLong = refusal(begun, command("SetConfig", { key: "a", value: long }))
    expect(tooLong).toMatchObject({ field: "value" })
    expect(tooLong.message.length).toBeLessThan(400)
  })
})

describe("tenants", () => {
  it("come, change and go", () => {
    const made = after(begun, command("CreateTenant", { tenant: "acme", quota: { connectionsMax: 3 } }))
    const configured = after(made, command("ConfigureTenant", { tenant: "acme", quota: { subscriptionsMax: 5 } }))
    expect(configured.tenantsById.get("acme")?.quota).toEqual({ subscriptionsMax: 5 })
    expect(after(configured, command("DeleteTenant", { tenant: "acme" })).tenantsById.has("acme")).toBe(false)
  })

  it("are refused where they cannot be", () => {
    const rules: ReadonlyArray<readonly [MetadataCommand, object]> = [
      [command("CreateTenant", { tenant, quota: {} }), { _tag: "TenantExists" }],
      [command("CreateTenant", { tenant: "a/b", quota: {} }), { _tag: "InvalidField", field: "tenant" }],
      [command("CreateTenant", { tenant: "a", quota: { connectionsMax: -1 } }), { field: "quota.connectionsMax" }],
      [command("ConfigureTenant", { tenant: "a", quota: {} }), { _tag: "UnknownTenant" }],
      [command("DeleteTenant", { tenant: "a" }), { _tag: "UnknownTenant" }],
      [command("DeleteTenant", { tenant }), { _tag: "TenantInUse", reason: "it always exists" }]
    ]
    for (const [wish, expected] of rules) expect(refusal(begun, wish)).toMatchObject(expected)
  })

  it("take their rules and bans with them, and stay while they have topics or users", () => {
    const acme = after(
      begun,
      command("CreateTenant", { tenant: "acme", quota: {} }),
      command("PutAcl", { tenant: "acme", id: "r", position: 1, effect: "deny", who: {}, action: "all", filter: "#" }),
      command("PutBan", { tenant: "acme", kind: "user", value: "u", reason: "", by: "" })
    )
    const gone = after(acme, command("DeleteTenant", { tenant: "acme" }))
    expect([gone.aclRulesByTenant.size, gone.bansByKey.size, gone.tenantsById.size]).toEqual([0, 0, 1])
    const topic = after(acme, command("CreateTopic", { tenant: "acme", name: "t" }))
    expect(refusal(topic, command("DeleteTenant", { tenant: "acme" }))).toMatchObject({ reason: "it has topics" })
    const user = after(acme, command("PutUser", { tenant: "acme", name: "u", superuser: false }))
    expect(refusal(user, command("DeleteTenant", { tenant: "acme" }))).toMatchObject({ reason: "it has users" })
  })
})

describe("topics", () => {
  it("get their defaults, and an id that never comes again", () => {
    const topic = topicOf(withTopic, tenant, "orders")
    expect(topic).toStrictEqual({
      tenant,
      name: "orders",
      topicId: begun.version + 1,
      engine: "file",
      partitions: 1,
      cleanup: "delete",
      durability: "fsync",
      createdAtMs: 1000
    })
    const again = after(
      withTopic,
      command("DeleteTopic", { tenant, name: "orders" }),
      command("CreateTopic", { tenant, name: "orders" })
    )
    expect(topicOf(again, tenant, "orders")?.topicId).toBeGreaterThan(topic?.topicId ?? 0)
  })

  it("change field by field, and null takes away", () => {
    const limited = after(
      withTopic,
      command("ConfigureTopic", { tenant, name: "orders", retentionMs: 5, mqttFilter: "a/#", partitions: 2 })
    )
    expect(topicOf(limited, tenant, "orders")).toMatchObject({
      retentionMs: 5,
      mqttFilter: "a/#",
      partitions: 2,
      cleanup: "delete"
    })
    const free = after(limited, command("ConfigureTopic", { tenant, name: "orders", retentionMs: null, cleanup: "compact" }))
    expect(topicOf(free, tenant, "orders")).toStrictEqual({
      ...topicOf(withTopic, tenant, "orders"),
      mqttFilter: "a/#",
      partitions: 2,
      cleanup: "compact"
    })
  })

  it("may bind overlapping filters", () => {
    const bound = after(
      begun,
      command("CreateTopic", { tenant, name: "one", mqttFilter: "a/#" }),
      command("CreateTopic", { tenant, name: "two", mqttFilter: "a/+" })
    )
    expect(bound.topicsByName.size).toBe(2)
  })

  it("are refused where they cannot be", () => {
    const rules: ReadonlyArray<readonly [MetadataCommand, object]> = [
      [command("CreateTopic", { tenant, name: "orders" }), { _tag: "TopicExists" }],
      [command("CreateTopic", { tenant: "acme", name: "t" }), { _tag: "UnknownTenant" }],
      [command("CreateTopic", { tenant, name: "a b" }), { _tag: "InvalidField", field: "name" }],
      [command("CreateTopic", { tenant, name: ".." }), { _tag: "InvalidField", field: "name" }],
      [command("CreateTopic", { tenant, name: "t", partitions: 0 }), { field: "partitions" }],
      [command("CreateTopic", { tenant, name: "t", partitions: 1.5 }), { field: "partitions" }],
      [command("CreateTopic", { tenant, name: "t", retentionMs: 0 }), { field: "retentionMs" }],
      [
        command("CreateTopic", { tenant, name: "t", mqttFilter: "a/#/b" }),
        { field: "mqttFilter", reason: "# only as the last level" }
      ],
      [
        command("CreateTopic", { tenant, name: "t", mqttFilter: "a+" }),
        { field: "mqttFilter", reason: "+ only as a whole level" }
      ],
      [command("CreateTopic", { tenant, name: "t", mqttFilter: "" }), { field: "mqttFilter" }],
      [command("CreateTopic", { tenant, name: "t", mqttFilter: "a\u0000" }), { field: "mqttFilter" }],
      [command("CreateTopic", { tenant, name: "t", mqttFilter: "$share/g/a" }), { field: "mqttFilter" }],
      [command("CreateTopic", { tenant, name: "t", mqttFilter: "a".repeat(65_536) }), { field: "mqttFilter" }],
      [command("ConfigureTopic", { tenant, name: "none" }), { _tag: "UnknownTopic" }],
      [command("ConfigureTopic", { tenant, name: "orders", retentionBytes: -1 }), { field: "retentionBytes" }],
      [command("DeleteTopic", { tenant, name: "none" }), { _tag: "UnknownTopic" }]
    ]
    for (const [wish, expected] of rules) expect(refusal(withTopic, wish)).toMatchObject(expected)
    const two = after(withTopic, command("ConfigureTopic", { tenant, name: "orders", partitions: 2 }))
    expect(refusal(two, command("ConfigureTopic", { tenant, name: "orders", partitions: 1 }))).toMatchObject({
      _tag: "InvalidTopic"
    })
  })
})

describe("users", () => {
  const key = Buffer.alloc(32, 7).toString("base64")
  const scram = { salt: "c2FsdA==", iterations: 4096, storedKey: key, serverKey: key }

  it("are put and deleted", () => {
    const put = command("PutUser", {
      tenant,
      name: "ann",
      passwordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
      scram,
      superuser: true
    })
    const made = after(begun, put)
    expect(userOf(made, tenant, "ann")).toMatchObject({ superuser: true, scram, updatedAtMs: 1000 })
    const replaced = after(made, command("PutUser", { tenant, name: "ann", superuser: false }))
    expect(userOf(replaced, tenant, "ann")).toStrictEqual({ tenant, name: "ann", superuser: false, updatedAtMs: 1000 })
    expect(after(replaced, command("DeleteUser", { tenant, name: "ann" })).usersByName.size).toBe(0)
  })

  it("are refused where they cannot be, without showing secrets", () => {
    const user = { tenant, name: "ann", superuser: false }
    const rules: ReadonlyArray<readonly [MetadataCommand, object]> = [
      [command("PutUser", { ...user, tenant: "acme" }), { _tag: "UnknownTenant" }],
      [command("PutUser", { ...user, name: "" }), { field: "name" }],
      [command("PutUser", { ...user, name: "acme:ann" }), { field: "name" }],
      [command("PutUser", { ...user, name: "a\nb" }), { field: "name" }],
      [command("PutUser", { ...user, name: "a".repeat(257) }), { field: "name" }],
      [command("PutUser", { ...user, passwordHash: "secret" }), { field: "passwordHash", value: "(not shown)" }],
      [command("PutUser", { ...user, scram: { ...scram, iterations: 4095 } }), { field: "scram.iterations" }],
      [
        command("PutUser", { ...user, scram: { ...scram, storedKey: "c2FsdA==" } }),
        { field: "scram.storedKey", value: "(not shown)" }
      ],
      [command("PutUser", { ...user, scram: { ...scram, salt: "" } }), { field: "scram.salt" }],
      [command("DeleteUser", { tenant, name: "ann" }), { _tag: "UnknownUser" }]
    ]
    for (const [wish, expected] of rules) expect(refusal(begun, wish)).toMatchObject(expected)
  })
})

describe("rules", () => {
  const rule = (id: string, position: number) =>
    command("PutAcl", { tenant, id, position, effect: "allow", who: {}, action: "all", filter: "a/%c/#" })

  it("stand by position, then by id, and move when they are put again", () => {
    const three = after(begun, rule("b", 2), rule("c", 1), rule("a", 2))
    expect(aclRulesOf(three, tenant).map(({ id }) => id)).toEqual(["c", "a", "b"])
    expect(aclRulesOf(after(three, rule("b", 0)), tenant).map(({ id }) => id)).toEqual(["b", "c", "a"])
    const none = ["a", "b", "c"].map((id) => command("DeleteAcl", { tenant, id }))
    expect(after(three, ...none).aclRulesByTenant.has(tenant)).toBe(false)
  })

  it("have a default per tenant that can be taken back", () => {
    const denied = after(begun, command("SetAclDefault", { tenant, effect: "deny" }))
    expect(denied.tenantsById.get(tenant)?.aclDefault).toBe("deny")
    expect(after(denied, command("SetAclDefault", { tenant })).tenantsById.get(tenant)?.aclDefault).toBeUndefined()
  })

  it("are refused where they cannot be", () => {
    const rules: ReadonlyArray<readonly [MetadataCommand, object]> = [
      [{ ...rule("a", 0), tenant: "acme" }, { _tag: "UnknownTenant" }],
      [{ ...rule("a", 0), filter: "#/a" }, { field: "filter" }],
      [{ ...rule("a", 0), who: { address: "10.0.0.0/33" } }, { field: "who.address" }],
      [{ ...rule("a", 0), action: "subscribe", retain: true }, { field: "retain" }],
      [rule("", 0), { field: "id" }],
      [rule("a", 0.5), { field: "position" }],
      [command("DeleteAcl", { tenant, id: "none" }), { _tag: "UnknownAcl" }],
      [command("SetAclDefault", { tenant: "acme", effect: "deny" }), { _tag: "UnknownTenant" }]
    ]
    for (const [wish, expected] of rules) expect(refusal(begun, wish)).toMatchObject(expected)
  })
})

describe("bans", () => {
  const ban = (value: string, untilMs?: number, atMs = 1000) =>
    command("PutBan", { tenant, kind: "clientId", value, reason: "r", by: "admin", untilMs, atMs })

  it("are put, replaced and deleted; those whose time has passed are cleared away", () => {
    const two = after(begun, ban("a", 2000), ban("b"))
    expect(two.bansByKey.size).toBe(2)
    const later = after(two, ban("c", 5000, 2000))
    expect([...later.bansByKey.values()].map(({ value }) => value).sort()).toEqual(["b", "c"])
    expect(after(later, ban("c", undefined, 9000)).bansByKey.get("default/clientId/c")).not.toHaveProperty("untilMs")
    expect(after(later, command("DeleteBan", { tenant, kind: "clientId", value: "c" })).bansByKey.size).toBe(1)
  })

  it("that have expired are cleared away now and then where there are many", () => {
    const bans = (from: number, to: number, untilMs: number | undefined, atMs: number) =>
      Array.from({ length: to - from }, (_, at) => ban(`many-${from + at}`, untilMs, atMs))
    const full = after(begun, ...bans(0, 100, 2000, 1000))
    expect(after(full, ...bans(100, 128, undefined, 3000)).bansByKey.size).toBe(128)
    expect(after(full, ...bans(100, 129, undefined, 3000)).bansByKey.size).toBe(29)
    expect(after(full, ban("many-0", undefined, 3000)).bansByKey.size).toBe(100)
  })

  it("are not cleared away on the word of the one clock that a command comes with", () => {
    const one = after(begun, ban("a", 2000))
    const cleared = (passedMs: number | undefined) =>
      Either.getOrThrow(decide(one, ban("b", undefined, 9000), passedMs)).events.filter(({ _tag }) => _tag === "BanDeleted")
    expect([cleared(undefined), cleared(1999)]).toEqual([[], []])
    expect(cleared(2000)).toMatchObject([{ value: "a" }])
  })

  it("are refused where they cannot be", () => {
    const rules: ReadonlyArray<readonly [MetadataCommand, object]> = [
      [{ ...ban("a"), tenant: "acme" }, { _tag: "UnknownTenant" }],
      [{ ...ban("a"), kind: "address" }, { field: "value" }],
      [ban(""), { field: "value" }],
      [ban("a", -1), { field: "untilMs" }],
      [command("DeleteBan", { tenant, kind: "user", value: "a" }), { _tag: "UnknownBan" }]
    ]
    for (const [wish, expected] of rules) expect(refusal(begun, wish)).toMatchObject(expected)
  })

  it.each([
    "10.0.0.0/8",
    "192.168.1.7",
    "0.0.0.0/0",
    "::1",
    "::",
    "fe80::/10",
    "1:2:3:4:5:6:7:8",
    "::ffff:10.0.0.1",
    "2001:db8::1/128"
  ])("%s is an address or a block", (text) => expect(isAddressOrBlock(text)).toBe(true))
  it.each([
    "",
    "10.0.0",
    "10.0.0.256",
    "10.0.0.01",
    "10.0.0.0/33",
    "10.0.0.0/",
    "::1/129",
    "1:2:3:4:5:6:7",
    "1::2::3",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "10.0.0.1::",
    "host"
  ])("%s is none", (text) => expect(isAddressOrBlock(text)).toBe(false))
})

describe("retried commands", () => {
  it("get the first reply and change nothing", () => {
    const first = Either.getOrThrow(decide(begun, orders))
    const retried = Either.getOrThrow(decide(withTopic, orders))
    expect(retried).toEqual({ events: [], reply: first.reply })
    const later = after(withTopic, command("DeleteTopic", { tenant, name: "orders" }))
    expect(Either.getOrThrow(decide(later, orders))).toEqual({ events: [], reply: first.reply })
  })

  it("are decided anew where the first was refused", () => {
    const early = command("CreateTopic", { tenant: "acme", name: "t" })
    expect(refusal(begun, early)).toMatchObject({ _tag: "UnknownTenant" })
    const acme = after(begun, command("CreateTenant", { tenant: "acme", quota: {} }), early)
    expect(topicOf(acme, "acme", "t")).toBeDefined()
  })

  it("cannot be another kind of command, and need an id and a time", () => {
    const other = command("DeleteTopic", { tenant, name: "orders", commandId: orders.commandId })
    expect(refusal(withTopic, other)).toMatchObject({ _tag: "CommandIdReused", command: "CreateTopic" })
    expect(refusal(begun, { ...orders, commandId: "" })).toMatchObject({ field: "commandId" })
    expect(refusal(begun, { ...orders, commandId: "x".repeat(129) })).toMatchObject({ field: "commandId" })
    expect(refusal(begun, { ...orders, atMs: -1 })).toMatchObject({ field: "atMs" })
  })

  it("are remembered within bounds", () => {
    const sets = Array.from({ length: 3 * generationMax }, (_, at) =>
      command("SetConfig", { key: "k", value: at, commandId: `s${at}` })
    )
    const full = after(begun, ...sets)
    const { older, newer } = full.recentCommands
    expect(older.size + newer.size).toBeLessThanOrEqual(2 * generationMax)
    for (const recent of sets.slice(-generationMax)) expect(Either.getOrThrow(decide(full, recent)).events).toEqual([])
    expect(Either.getOrThrow(decide(full, sets[0] as MetadataCommand)).events).not.toEqual([])
  })

  it("are known to be remembered from a version on", () => {
    const sets = Array.from({ length: 2 * generationMax + 1 }, (_, at) =>
      command("SetConfig", { key: "k", value: at, commandId: `v${at}` })
    )
    const few = after(begun, ...sets.slice(0, 2 * generationMax - 1))
    // The tenant's own command is the first of the older generation.
    expect([few.recentCommands.older.size, few.recentCommands.newer.size]).toEqual([generationMax, generationMax])
    expect(few.recentCommands.olderFrom).toBe(begun.version)
    expect(reachesBackTo(few.recentCommands, begun.version)).toBe(true)
    const many = after(few, ...sets.slice(2 * generationMax - 1))
    const from = many.recentCommands.olderFrom
    expect(from).toBe(begun.version + 2 * generationMax)
    expect(reachesBackTo(many.recentCommands, begun.version)).toBe(false)
    expect(reachesBackTo(many.recentCommands, from - 2)).toBe(false)
    expect(reachesBackTo(many.recentCommands, from - 1)).toBe(true)
    expect(reachesBackTo(emptyImage.recentCommands, 0)).toBe(true)
  })
})
