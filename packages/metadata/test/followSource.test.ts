/** What a follower is sent, item by item, and where it is refused. */
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { Followed } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { afterEach, describe, expect, it, vi } from "vitest"
import { entryData, hashToHex } from "../src/core/EntryChain.js"
import { Replica } from "../src/core/Replica.js"
import { SnapshotReader } from "../src/core/SnapshotFormat.js"
import { type FollowFrom, follow } from "../src/internal/FollowSource.js"
import { ImageView } from "../src/internal/ImageView.js"

const scopes: Array<Scope.CloseableScope> = []
afterEach(async () => {
  for (const scope of scopes.splice(0)) await Effect.runPromise(Scope.close(scope, Exit.void))
  vi.useRealTimers()
})

const standing = { stale: false, leaderId: 1, term: 4 }

/** A node with so many entries, each of which sets a key. */
const sourceWith = (entries: number) => {
  const replica = new Replica()
  const view = new ImageView()
  let index = 0
  const applies = (length = 1) => {
    const before = replica.image
    const event = { _tag: "ConfigSet", key: `key${++index}`, value: "v".repeat(length) } as const
    Either.getOrThrow(replica.apply(index, entryData([metadataEventCodec.encode(event)])))
    view.show({ before, after: replica.image, events: [event] })
    view.wake()
  }
  for (let count = 0; count < entries; count++) applies()
  return { applies, replica, view }
}
type Source = ReturnType<typeof sourceWith>

/** Takes one item after another. */
const followed = ({ replica, view }: Source, from: Partial<FollowFrom> = {}) => {
  const scope = Effect.runSync(Scope.make())
  scopes.push(scope)
  const parts = { replica, view, standing: () => standing }
  const start = { index: 0, hash: hashToHex(new Replica().point.hash), bytesMax: 256 * 1024 }
  const pull = Effect.runSync(Scope.extend(Stream.toPull(follow(parts, { ...start, ...from })), scope))
  const one = Effect.mapError(Effect.map(pull, Chunk.unsafeHead), Option.getOrThrow)
  return {
    next: (): Promise<Followed> => Effect.runPromise(one),
    refusal: () => Effect.runPromise(Effect.flip(one))
  }
}

const indexes = (item: Followed) => (item._tag === "Entries" ? item.entries.map(({ index }) => index) : item)
const positionOf = ({ replica: { point } }: Source) => ({
  _tag: "Position",
  index: point.index,
  hash: hashToHex(point.hash),
  ...standing
})

/** All chunks of a snapshot, and what they hold. */
const snapshotFrom = async (next: () => Promise<Followed>) => {
  const reader = new SnapshotReader()
  for (;;) {
    const item = await next()
    if (item._tag !== "SnapshotChunk") throw new Error(`${item._tag} within a snapshot`)
    for (const _ of reader.read(item.data));
    if (item.last) return Either.getOrThrow(reader.end())
  }
}

/** Started from a snapshot: it knows no entry from before. */
const forgets = ({ replica }: Source) => replica.replace(replica.content)

describe("a follower is sent", () => {
  it("the entries behind its place, each once, where the source stands, and new ones when they come", async () => {
    const source = sourceWith(3)
    const { next } = followed(source)
    expect(indexes(await next())).toEqual([1, 2, 3])
    expect(await next()).toEqual(positionOf(source))
    const more = next()
    source.applies()
    expect(indexes(await more)).toEqual([4])
    source.applies()
    source.applies()
    expect(indexes(await next())).toEqual([5, 6])
  })

  it("nothing but the place where it has all that the source has", async () => {
    const source = sourceWith(2)
    const { index, hash } = source.replica.point
    expect(await followed(source, { index, hash: hashToHex(hash) }).next()).toEqual(positionOf(source))
    const before = source.replica.recent.hashAt(1) as Uint8Array
    expect(indexes(await followed(source, { index: 1, hash: hashToHex(before) }).next())).toEqual([2])
  })

  it("where the source stands every second while nothing comes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    const source = sourceWith(0)
    const { next } = followed(source)
    await next()
    for (let round = 0; round < 2; round++) {
      let item: Followed | undefined
      void next().then((found) => {
        item = found
      })
      await vi.advanceTimersByTimeAsync(900)
      expect(item).toBeUndefined()
      await vi.advanceTimersByTimeAsync(200)
      expect(item).toEqual(positionOf(source))
    }
  })

  it("one snapshot where entries are gone, and then what came while it was sent", async () => {
    const source = sourceWith(200)
    forgets(source)
    const { content } = source.replica
    const { next } = followed(source, { bytesMax: 1024 })
    const first = await next()
    expect(first).toMatchObject({ _tag: "SnapshotChunk", last: false })
    source.applies()
    let isFirst = true
    const snapshot = await snapshotFrom(async () => {
      const item = isFirst ? first : await next()
      isFirst = false
      return item
    })
    expect(snapshot.point).toEqual(content.point)
    expect([...snapshot.image.configByKey.keys()]).toHaveLength(200)
    expect(indexes(await next())).toEqual([201])
    expect(await next()).toEqual(positionOf(source))
  })
})

describe("the size of an item", () => {
  it("is what the follower asks for, within 1 KiB and 1 MiB", async () => {
    const source = sourceWith(0)
    source.applies(1024 * 1024)
    forgets(source)
    const sizeFor = async (bytesMax: number) => {
      const item = await followed(source, { bytesMax }).next()
      return item._tag === "SnapshotChunk" ? item.data.length : item
    }
    expect(await sizeFor(0)).toBe(1024)
    expect(await sizeFor(1024)).toBe(1024)
    expect(await sizeFor(1025)).toBe(1025)
    expect(await sizeFor(1024 * 1024 - 1)).toBe(1024 * 1024 - 1)
    expect(await sizeFor(1024 * 1024 + 1)).toBe(1024 * 1024)
    expect(await sizeFor(Number.MAX_SAFE_INTEGER)).toBe(1024 * 1024)
  })

  it("holds for entries too, and one that is larger comes alone", async () => {
    const source = sourceWith(0)
    source.applies(600)
    source.applies(300)
    source.applies(2_000)
    const { next } = followed(source, { bytesMax: 0 })
    expect(indexes(await next())).toEqual([1, 2])
    expect(indexes(await next())).toEqual([3])
  })
})

describe("a follower is refused", () => {
  it("where it has more than the source", async () => {
    expect(await followed(sourceWith(2), { index: 3 }).refusal()).toMatchObject({ reason: "behind" })
  })

  it("where its chain is another one, at the first place that the source knows too", async () => {
    const source = sourceWith(3)
    const other = "07".repeat(32)
    expect(await followed(source, { index: 2, hash: other }).refusal()).toMatchObject({ reason: "diverged" })
    expect(await followed(source, { index: 2, hash: "no hash" }).refusal()).toMatchObject({ reason: "diverged" })
    forgets(source)
    expect(await followed(source, { index: 3, hash: other }).refusal()).toMatchObject({ reason: "diverged" })
    expect(await followed(source, { index: 2, hash: other }).next()).toMatchObject({ _tag: "SnapshotChunk" })
  })

  it("when the source stops, also while it waits", async () => {
    const source = sourceWith(0)
    const { next, refusal } = followed(source)
    await next()
    const refused = refusal()
    source.view.stop(new MetadataUnavailable({ reason: "closed", message: "the node is stopping" }))
    expect(await refused).toMatchObject({ _tag: "FollowRefused", reason: "fenced", message: "the node is stopping" })
  })
})
