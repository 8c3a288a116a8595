/** Images: what snapshot, replay and delta must keep, for random commands. */
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apply } from "../src/core/apply.js"
import { decide } from "../src/core/decide.js"
import { deltaOf, type TableDelta } from "../src/core/Delta.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { imageToEvents } from "../src/core/imageToEvents.js"
import { generationMax } from "../src/core/RecentCommands.js"
import type { Table } from "../src/core/Table.js"
import { touchedKeys } from "../src/core/touchedKeys.js"
import { anyCommand, command, tenant } from "./commands.js"

const carryOut = (image: Image, commands: ReadonlyArray<MetadataCommand>) => {
  const events: Array<MetadataEvent> = []
  let now = image
  for (const wish of commands) {
    const decided = decide(now, wish)
    if (Either.isLeft(decided)) continue
    for (const event of decided.right.events) {
      events.push(event)
      now = apply(now, event, image.version + events.length)
    }
  }
  return { image: now, events }
}

const stored = (event: MetadataEvent) => Either.getOrThrow(metadataEventCodec.decode(metadataEventCodec.encode(event)))

/** An image in plain words, strict about fields that are there and undefined. */
const plain = (image: Image) => ({
  version: image.version,
  cluster: image.cluster,
  nodes: image.nodesById.sorted(),
  tenants: image.tenantsById.sorted(),
  topics: image.topicsByName.sorted(),
  users: image.usersByName.sorted(),
  aclRules: image.aclRulesByTenant.sorted(),
  bans: image.bansByKey.sorted(),
  config: image.configByKey.sorted(),
  older: image.recentCommands.older.sorted(),
  newer: image.recentCommands.newer.sorted(),
  from: [image.recentCommands.olderFrom, image.recentCommands.newerFrom]
})

/** Every tenant exists, so that most random commands are carried out. */
const setUp = ["default", "acme", "other"].map((name) => command("CreateTenant", { tenant: name, quota: {} }))
const manyCommands = fc.array(anyCommand, { maxLength: 120 })

describe("an image", () => {
  it("is rebuilt by its stored events, and by the stored events of its snapshot at any point and those after it", () => {
    fc.assert(
      fc.property(manyCommands, fc.double({ min: 0, max: 1, noNaN: true }), (commands, fraction) => {
        const live = carryOut(emptyImage, [...setUp, ...commands])
        const replayed = live.events.reduce((image, event, at) => apply(image, stored(event), at + 1), emptyImage)
        expect(plain(replayed)).toStrictEqual(plain(live.image))

        const cut = 1 + Math.floor(fraction * (live.events.length - 1))
        const atCut = live.events.slice(0, cut).reduce((image, event, at) => apply(image, event, at + 1), emptyImage)
        const restored = imageToEvents(atCut).reduce((image, event) => apply(image, stored(event), cut), emptyImage)
        expect(plain(restored)).toStrictEqual(plain(atCut))
        const resumed = live.events.slice(cut).reduce((image, event, at) => apply(image, stored(event), cut + at + 1), restored)
        expect(plain(resumed)).toStrictEqual(plain(live.image))
        expect(imageToEvents(resumed)).toEqual(imageToEvents(live.image))
      }),
      { numRuns: 100 }
    )
  })

  it("keeps both generations of remembered commands in its snapshot", () => {
    const sets = Array.from({ length: 2 * generationMax + 7 }, (_, at) => command("SetConfig", { key: "k", value: at }))
    const { image } = carryOut(emptyImage, sets)
    expect([image.recentCommands.older.size, image.recentCommands.newer.size]).toEqual([generationMax, 7])
    const restored = imageToEvents(image).reduce((now, event) => apply(now, event, image.version), emptyImage)
    expect(plain(restored)).toStrictEqual(plain(image))
  })

  it("is not changed by what comes after it", () => {
    const { image } = carryOut(emptyImage, [...setUp, command("CreateTopic", { tenant, name: "t" })])
    const before = JSON.stringify(plain(image))
    carryOut(image, [command("DeleteTopic", { tenant, name: "t" }), command("CreateTopic", { tenant, name: "u" })])
    expect(JSON.stringify(plain(image))).toBe(before)
  })

  it("has no change for an event that names what is not there: that is a bug", () => {
    expect(() => apply(emptyImage, { _tag: "TenantConfigured", tenant: "none", quota: {} }, 1)).toThrow("not there")
    const topic = { tenant, name: "none", partitions: 1, cleanup: "delete", durability: "fsync" } as const
    expect(() => apply(emptyImage, { _tag: "TopicConfigured", ...topic }, 1)).toThrow("not there")
  })
})

/** What a reader has who knew `before` and follows the delta. */
const followed = <V>(before: Table<V>, delta: TableDelta<V>): ReadonlyArray<readonly [string, V]> => {
  const known = new Map(before)
  for (const [key, value] of delta.removed) {
    expect(known.get(key)).toBe(value)
    known.delete(key)
  }
  for (const [key, change] of delta.changed) {
    expect(known.get(key)).toBe(change.before)
    known.set(key, change.after)
  }
  for (const [key, value] of delta.added) {
    expect(known.has(key)).toBe(false)
    known.set(key, value)
  }
  return [...known].sort(([left], [right]) => (left < right ? -1 : 1))
}

describe("a delta", () => {
  it("leads from one image to the other, and is the same from the touched keys as from whole tables", () => {
    fc.assert(
      fc.property(manyCommands, manyCommands, (first, second) => {
        const before = carryOut(emptyImage, [...setUp, ...first]).image
        const { image: after, events } = carryOut(before, second)
        const delta = deltaOf(before, after)
        expect(followed(before.nodesById, delta.nodes)).toEqual(after.nodesById.sorted())
        expect(followed(before.tenantsById, delta.tenants)).toEqual(after.tenantsById.sorted())
        expect(followed(before.topicsByName, delta.topics)).toEqual(after.topicsByName.sorted())
        expect(followed(before.usersByName, delta.users)).toEqual(after.usersByName.sorted())
        expect(followed(before.aclRulesByTenant, delta.aclRules)).toEqual(after.aclRulesByTenant.sorted())
        expect(followed(before.bansByKey, delta.bans)).toEqual(after.bansByKey.sorted())
        expect(followed(before.configByKey, delta.config)).toEqual(after.configByKey.sorted())
        expect(deltaOf(before, after, touchedKeys(events))).toEqual(delta)
      }),
      { numRuns: 60 }
    )
  })

  it("shows a topic that was deleted and made again as gone and come", () => {
    const before = carryOut(emptyImage, [...setUp, command("CreateTopic", { tenant, name: "t" })]).image
    const after = carryOut(before, [
      command("DeleteTopic", { tenant, name: "t" }),
      command("CreateTopic", { tenant, name: "t" })
    ]).image
    const { added, changed, removed } = deltaOf(before, after).topics
    expect([[...added.keys()], [...changed.keys()], [...removed.keys()]]).toEqual([["default/t"], [], ["default/t"]])
  })
})
