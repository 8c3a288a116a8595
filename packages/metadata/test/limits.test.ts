/** Every limit of what the image holds and what one command may bring: the last one is taken, the next one is not. */
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { decide } from "../src/core/decide.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { limits } from "../src/core/limits.js"
import { Table } from "../src/core/Table.js"
import { command, tenant } from "./commands.js"

/** So many, of which nothing is asked but that they are there. */
const tableOf = <V>(size: number, value: unknown = {}): Table<V> => {
  let table = Table.empty<V>()
  for (let at = 0; at < size; at++) table = table.set(`other/${at}`, value as V)
  return table
}

/** Made once, the one with one more beside it. */
const tables = new Map<number, Table<unknown>>()
const filled = <V>(size: number): Table<V> => {
  const known = tables.get(size) ?? tables.get(size - 1)?.set("one more", {}) ?? tableOf<unknown>(size)
  tables.set(size, known)
  return known as Table<V>
}

const begun: Image = { ...emptyImage, tenantsById: Table.empty<never>().set(tenant, {} as never) }
const text = (length: number) => "x".repeat(length)
const node = (addresses: number, nodeId = 1) =>
  command("RegisterNode", {
    nodeId,
    name: "n",
    version: "1",
    roles: ["meta"],
    addresses: Array.from({ length: addresses }, () => ({ listener: "mqtt.tcp", host: "h", port: 1883 }))
  })
const ban = (value: string, reason = "") => command("PutBan", { tenant, kind: "clientId", value, reason, by: "a" })
const rule = (id: string, filter = "a") =>
  command("PutAcl", { tenant, id, position: 1, who: {}, action: "publish", effect: "allow", filter })
const topic = (partitions: number) => command("CreateTopic", { tenant, name: "t", partitions })

const outcome = (image: Image, wish: MetadataCommand) =>
  Either.match(decide(image, wish), { onLeft: (refusal) => refusal, onRight: () => "taken" })

describe("the image holds so many and no more:", () => {
  const cases: ReadonlyArray<readonly [string, number, (size: number) => Image, MetadataCommand]> = [
    ["nodes", limits.nodesMax, (size) => ({ ...begun, nodesById: filled(size) }), node(1)],
    [
      "tenants",
      limits.tenantsMax,
      (size) => ({ ...begun, tenantsById: filled(size) }),
      command("CreateTenant", { tenant: "new", quota: {} })
    ],
    ["topics", limits.topicsMax, (size) => ({ ...begun, topicsByName: filled(size) }), topic(1)],
    [
      "users",
      limits.usersMax,
      (size) => ({ ...begun, usersByName: filled(size) }),
      command("PutUser", { tenant, name: "ann", superuser: false })
    ],
    [
      "rules in a tenant",
      limits.aclRulesPerTenantMax,
      (size) => ({
        ...begun,
        aclRulesByTenant: Table.empty<never>().set(tenant, Array.from({ length: size }, (_, at) => ({ id: `r${at}` })) as never)
      }),
      rule("new")
    ],
    ["bans", limits.bansMax, (size) => ({ ...begun, bansByKey: filled(size) }), ban("x")],
    [
      "configuration keys",
      limits.configKeysMax,
      (size) => ({ ...begun, configByKey: filled(size) }),
      command("SetConfig", { key: "k", value: 1 })
    ]
  ]
  it.each(cases)("%s, %d", (what, max, imageOf, wish) => {
    expect(outcome(imageOf(max - 1), wish)).toBe("taken")
    expect(outcome(imageOf(max), wish)).toMatchObject({ _tag: "LimitReached", what, max })
  })
})

describe("one command brings so much and no more:", () => {
  const cases: ReadonlyArray<readonly [string, number, (size: number) => MetadataCommand]> = [
    ["partitions of a topic", limits.partitionsPerTopicMax, topic],
    ["addresses of a node", limits.addressesPerNodeMax, (size) => node(size)],
    ["characters of its id", limits.commandIdLengthMax, (size) => ({ ...topic(1), commandId: text(size) })],
    ["characters of short text", limits.textLengthMax, (size) => ban("x", text(size))],
    ["bytes of a topic filter", limits.filterBytesMax, (size) => rule("r", `ö${text(size - 2)}`)],
    [
      "characters of a configuration value",
      limits.configValueLengthMax,
      (size) => command("SetConfig", { key: "k", value: text(size) })
    ]
  ]
  it.each(cases)("%s, %d", (_, max, wishOf) => {
    expect(outcome(begun, wishOf(max))).toBe("taken")
    expect(outcome(begun, wishOf(max + 1))).toMatchObject({ _tag: "InvalidField" })
  })
})

describe("expired bans", () => {
  const expired = (size: number): Image => ({
    ...begun,
    bansByKey: tableOf(size, { tenant, kind: "user", value: "x", untilMs: 5 })
  })
  const cleared = (image: Image) =>
    Either.getOrThrow(decide(image, ban("x"), 5)).events.filter(({ _tag }) => _tag === "BanDeleted").length

  it("are cleared away by one command as far as its limit goes", () => {
    expect(cleared(expired(32 * limits.bansPerLook))).toBe(limits.expiredBansPerCommandMax)
  })

  it("are looked for with every new ban while there are few, then with one of so many", () => {
    const { bansPerLook } = limits
    expect(cleared(expired(bansPerLook - 1))).toBe(bansPerLook - 1)
    expect(cleared(expired(bansPerLook))).toBe(bansPerLook)
    expect(cleared(expired(bansPerLook + 1))).toBe(0)
    expect(cleared(expired(2 * bansPerLook))).toBe(2 * bansPerLook)
  })
})
