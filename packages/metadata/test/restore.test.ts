/** Snapshots as bytes: frozen form, chunks cut anywhere, damage, and a new cluster made of one. */
import { readFileSync } from "node:fs"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import { votersMax } from "@effectmq/raft/core/MembershipChange"
import { emptyContents, make as makeStore } from "@effectmq/raft/MemoryRaftStore"
import { RaftStore } from "@effectmq/raft/RaftStore"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { apply } from "../src/core/apply.js"
import { decide } from "../src/core/decide.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { imageToEvents } from "../src/core/imageToEvents.js"
import { type SnapshotContent, SnapshotReader, writeSnapshot } from "../src/core/SnapshotFormat.js"
import * as SnapshotRestore from "../src/SnapshotRestore.js"
import { anyCommand, command, tenant } from "./commands.js"
import { MemoryCluster, memberOf, type RunningNode } from "./support/MemoryCluster.js"

const after = (commands: ReadonlyArray<MetadataCommand>): Image =>
  commands.reduce((image, wish) => {
    const decided = decide(image, wish)
    if (Either.isLeft(decided)) return image
    return decided.right.events.reduce((now, event) => apply(now, event, now.version + 1), image)
  }, emptyImage)

const written = (content: SnapshotContent, bytesMax: number): ReadonlyArray<Uint8Array> =>
  [...writeSnapshot(content, bytesMax)].filter((chunk) => chunk !== undefined)

const readBack = (chunks: ReadonlyArray<Uint8Array>) => {
  const reader = new SnapshotReader()
  for (const chunk of chunks) for (const _ of reader.read(chunk));
  return reader.end()
}

const linesOf = (image: Image) => imageToEvents(image).map(metadataEventCodec.encode)
const stamp = (at: number) => ({ commandId: `c${at}`, atMs: 1000 + at })
const sample: SnapshotContent = {
  image: after([
    { _tag: "CreateCluster", ...stamp(1), clusterId: "golden" },
    { _tag: "CreateTenant", ...stamp(2), tenant, quota: {} },
    { _tag: "CreateTopic", ...stamp(3), tenant, name: "orders" },
    { _tag: "PutUser", ...stamp(4), tenant, name: "bö", superuser: false }
  ]),
  point: { index: 7, hash: new Uint8Array(32).fill(0xab) }
}

describe("the form of a snapshot", () => {
  it("is frozen", () => {
    const golden = readFileSync(new URL("../../../schemas/golden/metadata-snapshot-1.jsonl", import.meta.url))
    expect(Buffer.concat(written(sample, 1 << 20)).toString()).toBe(golden.toString())
    const content = Either.getOrThrow(readBack([golden]))
    expect(linesOf(content.image)).toEqual(linesOf(sample.image))
    expect([content.image.version, content.point.index]).toEqual([sample.image.version, 7])
    expect(Buffer.from(content.point.hash)).toEqual(Buffer.from(sample.point.hash))
  })

  it("may have a line of several MiB, in many chunks", () => {
    const name = "n".repeat(4 * 1024 * 1024)
    const put = { _tag: "UserPut", tenant, name, superuser: false, updatedAtMs: 1 } as const
    const image = apply(sample.image, put, sample.image.version + 1)
    const content = Either.getOrThrow(readBack(written({ ...sample, image }, 128)))
    expect(linesOf(content.image)).toEqual(linesOf(image))
    const cut = readBack(written({ ...sample, image }, 128).slice(0, -10))
    expect(cut).toEqual(Either.left("it ends too early"))
  })

  it("gives the image back, however its chunks are cut", () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 60 }), fc.integer({ min: 1, max: 3000 }), (commands, bytesMax) => {
        const image = after([command("CreateTenant", { tenant, quota: {} }), ...commands])
        const chunks = written({ image, point: sample.point }, bytesMax)
        expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(bytesMax)
        expect(chunks.length).toBeGreaterThan(0)
        const content = Either.getOrThrow(readBack(chunks))
        expect(linesOf(content.image)).toEqual(linesOf(image))
        expect(content.image.version).toBe(image.version)
        expect(content.image.recentCommands.newerFrom).toBe(image.recentCommands.newerFrom)
      }),
      { numRuns: 50 }
    )
  })

  it("is refused with any byte altered, cut off or added", () => {
    const bytes = Buffer.concat(written(sample, 1 << 20))
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = Buffer.from(bytes)
        altered[at] = (altered[at] as number) ^ flip
        expect(Either.isLeft(readBack([altered]))).toBe(true)
        expect(Either.isLeft(readBack([bytes.subarray(0, at)]))).toBe(true)
      }),
      { numRuns: 300 }
    )
    expect(readBack([bytes, Buffer.from("x\n")])).toMatchObject({ left: "something follows its end" })
    expect(readBack([bytes, Buffer.from("x")])).toMatchObject({ left: "it ends too early" })
  })

  it("of a newer release is told so, also one event of it", () => {
    const text = Buffer.concat(written(sample, 1 << 20)).toString()
    const newer = text.replace('"MetadataSnapshot","_version":1', '"MetadataSnapshot","_version":2')
    expect(readBack([Buffer.from(newer)])).toMatchObject({ left: expect.stringContaining("upgrade this node") })
    const event = text.replace('"TopicCreated","_version":1', '"TopicCreated","_version":9')
    expect(readBack([Buffer.from(event)])).toMatchObject({
      left: expect.stringContaining("version 9 of TopicCreated is not known")
    })
  })
})

const clusters: Array<MemoryCluster> = []
afterEach(async () => {
  for (const one of clusters.splice(0)) await one.stopAll()
})

describe("a new cluster from an exported snapshot", () => {
  it("has what the old one had, save its nodes, on all of its members", async () => {
    const old = new MemoryCluster([1])
    clusters.push(old)
    const [one] = (await old.startAll()) as [RunningNode]
    for (const name of ["a", "b"]) await Effect.runPromise(one.controller.submit(command("CreateTopic", { tenant, name })))
    const chunks = [...(await Effect.runPromise(Stream.runCollect(one.control.exportSnapshot)))]
    const before = one.metadata.image()

    const restored = new MemoryCluster([4, 5, 6])
    clusters.push(restored)
    const members = restored.firstIds.map(memberOf)
    expect(await Effect.runPromise(SnapshotRestore.inspect(chunks))).toMatchObject({ topics: 2, users: 0 })
    for (const nodeId of restored.firstIds) {
      const store = makeStore(restored.contentsOf(nodeId))
      const outcome = await Effect.runPromise(Effect.provideService(SnapshotRestore.restore(chunks, members), RaftStore, store))
      expect(outcome).toMatchObject({ clusterId: before.cluster?.clusterId, version: before.version })
    }
    const nodes = await restored.startAll()
    for (const node of nodes) {
      const image = await Effect.runPromise(node.metadata.sync)
      expect([...image.topicsByName.keys()].sort()).toEqual(["default/a", "default/b"])
      expect([...image.nodesById.keys()].sort()).toEqual(["4", "5", "6"])
      expect(image.cluster).toEqual(before.cluster)
      expect(node.raft.status().membership.voters).toEqual([4, 5, 6])
    }
    const reports = (await Effect.runPromise((nodes[0] as RunningNode).control.status)).nodes.map(({ report }) => report)
    expect(new Set(reports.map((report) => report?.chainHash)).size).toBe(1)
  })

  it("begins with as many voters as there may be, and with no more", async () => {
    const chunks = written(sample, 100)
    const contents = emptyContents()
    const restored = (count: number) => {
      const members = Array.from({ length: count }, (_, at) => memberOf(at + 1))
      const store = Effect.provideService(SnapshotRestore.restore(chunks, members), RaftStore, makeStore(contents))
      return Effect.runPromise(Effect.either(store))
    }
    expect(await restored(votersMax + 1)).toMatchObject({
      left: { _tag: "RestoreRefused", reason: "members", message: expect.stringContaining(`at most ${votersMax} nodes`) }
    })
    // Nothing was written: the list that is right is taken.
    expect(await restored(votersMax)).toMatchObject({ right: { clusterId: "golden" } })
    expect(contents.snapshot?.membership.voters).toHaveLength(votersMax)
  })

  it("is not made over what is there, nor of a damaged file", async () => {
    const chunks = written(sample, 100)
    const cluster = new MemoryCluster([1])
    const into = (given: ReadonlyArray<Uint8Array>) =>
      Effect.runPromise(
        SnapshotRestore.restore(given, [memberOf(1)]).pipe(
          Effect.provideService(RaftStore, makeStore(cluster.contentsOf(1))),
          Effect.either
        )
      )
    expect(await into(chunks.slice(1))).toMatchObject({ left: { _tag: "RestoreRefused", reason: "damaged" } })
    expect(await into(chunks)).toMatchObject({ right: { clusterId: "golden", topics: 1, users: 1 } })
    expect(await into(chunks)).toMatchObject({ left: { _tag: "RestoreRefused", reason: "not-empty" } })
  })
})
