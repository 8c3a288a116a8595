/** A replica that follows others: what it takes from them, when it leaves one for another, and when it stops for good. */
import type { Member } from "@effectmq/schemas/raft/Membership"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import { type Followed, FollowRefused } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import type { Delta } from "../src/core/Delta.js"
import { entryData, hashToHex } from "../src/core/EntryChain.js"
import { Replica } from "../src/core/Replica.js"
import { writeSnapshot } from "../src/core/SnapshotFormat.js"
import { Following } from "../src/internal/Following.js"
import { ImageView } from "../src/internal/ImageView.js"
import type { Leaders } from "../src/internal/Leaders.js"
import { memberOf } from "./support/MemoryCluster.js"

type Failure = FollowRefused | PeerUnavailable

const running: Array<Fiber.RuntimeFiber<void>> = []
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }))
afterEach(async () => {
  for (const fiber of running.splice(0)) await Effect.runPromise(Fiber.interrupt(fiber))
  vi.useRealTimers()
})

/** The event loop turns too: between two items the replica lets others go on. */
const passes = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms)
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  await vi.advanceTimersByTimeAsync(0)
}

/** Longer than the pause before another one is followed. */
const pauseMs = 400

/** What each entry of the cluster's log does. */
const entries = ["a", "b", "c", "d"].map((key, at) => {
  const event = { _tag: "ConfigSet", key, value: at } as const
  return { index: at + 1, data: entryData([metadataEventCodec.encode(event)]) }
})
const source = new Replica()
for (const { index, data } of entries) Either.getOrThrow(source.apply(index, data))

const item = (from: number, to: number): Followed => ({ _tag: "Entries", entries: entries.slice(from - 1, to) })
const position = (said: Partial<Extract<Followed, { readonly _tag: "Position" }>> = {}): Followed => ({
  _tag: "Position",
  index: 0,
  hash: hashToHex(new Replica().point.hash),
  stale: false,
  leaderId: 1,
  term: 4,
  ...said
})
const chunks = (): ReadonlyArray<Followed> => {
  const written = [...writeSnapshot(source.content, 100)].filter((chunk) => chunk !== undefined)
  return written.map((data, at) => ({ _tag: "SnapshotChunk", data, last: at === written.length - 1 }))
}
const refusal = (reason: FollowRefused["reason"]) => new FollowRefused({ reason, message: "no" })

/** One that follows the members 1 and 2, which the test plays. */
const setup = async (sources: ReadonlyArray<Member> = [1, 2].map(memberOf)) => {
  const calls: Array<{
    readonly nodeId: number
    readonly index: number
    readonly items: Queue.Queue<Take.Take<Followed, Failure>>
  }> = []
  const failed: Array<string> = []
  const complaints: Array<string> = []
  const heard: Array<Parameters<Leaders["heard"]>[0]> = []
  const deltas: Array<Delta> = []
  const replica = new Replica()
  const view = new ImageView()
  view.onChange((delta) => deltas.push(delta))
  const peers = {
    at: ({ nodeId }: Member) => ({
      follow: ({ index }: { readonly index: number }) =>
        Stream.suspend(() => {
          if (calls.length > 1_000) throw new Error("it never pauses")
          const items = Effect.runSync(Queue.unbounded<Take.Take<Followed, Failure>>())
          calls.push({ nodeId, index, items })
          return Stream.flattenTake(Stream.fromQueue(items))
        })
    })
  } as unknown as ClusterPeersService
  const leaders = { heard: (said: (typeof heard)[number]) => void heard.push(said) } as unknown as Leaders
  const following = new Following({
    nodeId: 2,
    replica,
    view,
    leaders,
    peers,
    sources: () => sources,
    fail: (problem) => void failed.push(problem),
    complain: (message) => void complaints.push(message)
  })
  running.push(Effect.runFork(following.run))
  await passes(0)
  /** By the one that is followed last. */
  const sends = async (...items: ReadonlyArray<Followed>) => {
    for (const one of items) calls.at(-1)?.items.unsafeOffer(Take.of(one))
    await passes(0)
  }
  const ends = async (failure: Failure | undefined = undefined) => {
    calls.at(-1)?.items.unsafeOffer(failure === undefined ? Take.end : Take.fail(failure))
    await passes(pauseMs)
  }
  const followed = () => calls.map(({ nodeId }) => nodeId)
  const keys = () => [...view.image().configByKey.keys()].sort().join("")
  return { calls, complaints, deltas, ends, failed, followed, following, heard, keys, replica, sends, view }
}

describe("a replica takes", () => {
  it("entries, and tells of all that they change, and whoever waits for them", async () => {
    const { calls, deltas, keys, replica, sends, view } = await setup()
    const shown = Effect.runPromise(view.whenShown(3))
    await sends(item(1, 3), item(4, 4))
    expect(keys()).toBe("abcd")
    expect(deltas.map(({ config }) => [...config.added.keys()])).toEqual([["a", "b", "c"], ["d"]])
    expect(replica.point).toEqual(source.point)
    await shown
    expect(calls[0]).toMatchObject({ nodeId: 1, index: 0 })
  })

  it("a snapshot, and another one where the source sends that behind it", async () => {
    const { deltas, failed, keys, replica, sends, view } = await setup()
    const shown = Effect.runPromise(view.whenShown(4))
    await sends(...chunks().slice(0, 2))
    expect(keys()).toBe("")
    await sends(...chunks().slice(2))
    expect(keys()).toBe("abcd")
    expect(deltas).toHaveLength(1)
    expect(replica.point).toEqual(source.point)
    await shown
    await sends(...chunks())
    expect(failed).toEqual([])
  })

  it("what a listener throws as no reason to stop, and says so", async () => {
    const { complaints, failed, sends, view } = await setup()
    view.onChange(() => {
      throw new Error("a listener's own")
    })
    await sends(item(1, 1))
    expect(complaints).toEqual(["a listener of metadata threw, which none may"])
    expect(failed).toEqual([])
  })

  it("who leads from whoever knows it", async () => {
    const { heard, sends } = await setup()
    await sends(position({ leaderId: 0, term: 9 }))
    expect(heard).toEqual([])
    await sends(position({ leaderId: 3, term: 9 }))
    expect(heard).toMatchObject([{ leaderId: 3, term: 9 }])
  })
})

describe("a replica leaves the one it follows for the next one, after a pause,", () => {
  it("where it is refused or the connection ends, and goes on from where it stands", async () => {
    const { calls, ends, failed, followed, following, sends } = await setup()
    await sends(item(1, 2), position())
    expect(following.isStale).toBe(false)
    await ends(new PeerUnavailable({ reason: "broken", message: "gone" }))
    expect(followed()).toEqual([1, 2])
    expect(calls[1]?.index).toBe(2)
    expect(following.isStale).toBe(true)
    expect(following.leader).toEqual({ leaderId: 0, term: 0, index: 0 })
    await ends(refusal("behind"))
    await ends(refusal("fenced"))
    await ends()
    expect(followed()).toEqual([1, 2, 1, 2, 1])
    expect(failed).toEqual([])
  })

  it("without asking in a loop", async () => {
    const { calls, followed } = await setup()
    for (let round = 1; round <= 3; round++) {
      calls.at(-1)?.items.unsafeOffer(Take.end)
      await passes(0)
      expect(followed()).toHaveLength(round)
      await passes(pauseMs)
      expect(followed()).toHaveLength(round + 1)
    }
  })

  it("where it says nothing any more for four seconds", async () => {
    const { followed, following, sends } = await setup()
    for (let round = 0; round < 3; round++) {
      await passes(3_900)
      await sends(position())
      expect(following.isStale).toBe(false)
    }
    expect(followed()).toEqual([1])
    await passes(4_000 + pauseMs)
    expect(following.isStale).toBe(true)
    expect(followed()).toEqual([1, 2])
  })

  it("where it says three times in a row that it hears of no leader", async () => {
    const { followed, following, sends } = await setup()
    const stale = position({ stale: true, leaderId: 0 })
    await sends(stale, stale, position(), stale, stale)
    await passes(pauseMs)
    expect(followed()).toEqual([1])
    expect(following.isStale).toBe(true)
    await sends(stale)
    await passes(pauseMs)
    expect(followed()).toEqual([1, 2])
    await sends(stale, stale)
    await passes(pauseMs)
    expect(followed()).toEqual([1, 2])
  })

  it("but not where there is no other one", async () => {
    const { followed, sends } = await setup([memberOf(1)])
    const stale = position({ stale: true, leaderId: 0 })
    await sends(stale, stale, stale, stale)
    await passes(pauseMs)
    expect(followed()).toEqual([1])
  })
})

describe("a replica stops for good, and says so once,", () => {
  const stopped = async ({ failed, followed, following }: Awaited<ReturnType<typeof setup>>, problem: RegExp) => {
    expect(failed).toEqual([expect.stringMatching(problem)])
    expect(following.isStale).toBe(true)
    await passes(5_000)
    following.stop("something else")
    expect(followed()).toEqual([1])
    expect(failed).toHaveLength(1)
  }

  it("where its chain is not that of the one it follows", async () => {
    const one = await setup()
    await one.sends(item(1, 2), position({ index: 2, hash: hashToHex(source.recent.hashAt(2) as Uint8Array) }))
    expect(one.failed).toEqual([])
    // Where the other one knows more, nothing is said yet.
    await one.sends(position({ index: 3, hash: "07".repeat(32) }))
    expect(one.failed).toEqual([])
    await one.sends(position({ index: 1, hash: "07".repeat(32) }))
    await stopped(one, /up to entry 1 is not what node 1 applied/)
  })

  it("where the one it follows finds that", async () => {
    const one = await setup()
    await one.ends(refusal("diverged"))
    await stopped(one, /it is not what node 1 has/)
  })

  it("on an entry that cannot be applied, and shows what came before it", async () => {
    const one = await setup()
    const unknown = { index: 3, data: entryData(['{"_tag":"FromTheFuture","_version":1}']) }
    await one.sends({ _tag: "Entries", entries: [...entries.slice(0, 2), unknown, ...entries.slice(3)] })
    expect(one.keys()).toBe("ab")
    await stopped(one, /entry 3 of the metadata log cannot be applied here/)
  })

  it("on a snapshot that cannot be used, at the first chunk that shows it", async () => {
    const one = await setup()
    await one.sends({ _tag: "SnapshotChunk", data: Buffer.from("no snapshot\n"), last: false })
    await stopped(one, /the snapshot of node 1 cannot be used: it is no snapshot/)
    const other = await setup()
    await other.sends(...chunks().slice(0, 1), ...chunks().slice(-1))
    await stopped(other, /the snapshot of node 1 cannot be used/)
  })

  it("where it is told to, and takes nothing more from the one it follows then", async () => {
    const one = await setup()
    await one.sends(item(1, 1), position())
    one.following.stop("the leader has something else")
    await one.sends(position(), item(2, 3))
    expect(one.following.leader).toEqual({ leaderId: 0, term: 0, index: 0 })
    expect(one.keys()).toBe("a")
    expect(one.replica.point.index).toBe(1)
    await stopped(one, /the leader has something else/)
    const other = await setup()
    await other.sends(...chunks().slice(0, -1))
    other.following.stop("the leader has something else")
    await other.sends(...chunks().slice(-1))
    expect(other.keys()).toBe("")
  })
})
