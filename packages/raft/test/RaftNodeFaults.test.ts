/**
 * The node when something fails: its disk, its network, its state machine, too much work.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { afterEach, describe, expect, it } from "vitest"
import { emptyContents } from "../src/MemoryRaftStore.js"
import { RaftStoreError, type RaftStoreService, type RaftWrite } from "../src/RaftStore.js"
import type { RaftUnavailable } from "../src/RaftUnavailable.js"
import { Group, memberOf, until } from "./support/Group.js"

const groups: Array<Group> = []
const group = (...args: ConstructorParameters<typeof Group>): Group => {
  const made = new Group(...args)
  groups.push(made)
  return made
}

afterEach(async () => {
  for (const one of groups.splice(0)) await one.stopAll()
})

const failure = <A>(effect: Effect.Effect<A, RaftUnavailable>): Promise<RaftUnavailable> => Effect.runPromise(Effect.flip(effect))
const reasonOf = (result: Either.Either<number, RaftUnavailable>): string => (Either.isLeft(result) ? result.left.reason : "none")
const bytes = (text: string): Uint8Array => Buffer.from(text)

/** Fails `persist` as long as `reason` says so. */
const failing = (store: RaftStoreService, reason: () => "full" | "io" | undefined): RaftStoreService => ({
  ...store,
  persist: (write: RaftWrite) =>
    Effect.suspend(() => {
      const now = reason()
      return now === undefined
        ? store.persist(write)
        : Effect.fail(new RaftStoreError({ reason: now, message: `the disk: ${now}` }))
    })
})

describe("a disk without space", () => {
  it("ends leadership, is tried again, and loses nothing", async () => {
    const one = group([1])
    let full = false
    one.wrapStore = (store) => failing(store, () => (full ? "full" : undefined))
    const { node, registry } = await one.start(1)
    await until(() => registry.told.includes("began 2"))
    Either.getOrThrow(node.propose(2, bytes("a")))
    await until(() => registry.texts.length === 1)
    full = true
    Either.getOrThrow(node.propose(2, bytes("b")))
    await until(() => registry.told.includes("ended 2"))
    expect(reasonOf(node.propose(2, bytes("c")))).toBe("not-leader")
    full = false
    await until(() => registry.texts.length === 2)
    expect(registry.texts).toEqual(["a", "b"])
    expect(node.status()).toMatchObject({ role: "leader", fenced: undefined })
  })

  it("is said to whoever asks for something meanwhile", async () => {
    const one = group([1])
    let full = false
    one.wrapStore = (store) => failing(store, () => (full ? "full" : undefined))
    const { node, registry } = await one.start(1)
    await until(() => registry.told.includes("began 2"))
    const seen: Array<string | undefined> = []
    node.onStatus((status) => seen.push(status.noSpace))
    full = true
    Either.getOrThrow(node.propose(2, bytes("a")))
    const readBefore = failure(node.readBarrier)
    await until(() => node.status().noSpace !== undefined)
    expect(node.status()).toMatchObject({ role: "follower", fenced: undefined, noSpace: "the disk: full" })
    expect((await readBefore).reason).toBe("full")
    expect((await failure(node.readBarrier)).reason).toBe("full")
    expect((await failure(node.takeSnapshot)).reason).toBe("full")
    expect((await failure(node.transferLeadership(2))).reason).toBe("full")
    expect((await failure(node.changeMembership({ _tag: "Remove", nodeId: 2 }))).reason).toBe("full")
    full = false
    await until(() => registry.texts.length === 1 && node.status().role === "leader")
    expect(node.status().noSpace).toBeUndefined()
    expect(seen.filter((why, at) => why !== seen[at - 1])).toEqual(["the disk: full", undefined])
    await Effect.runPromise(node.readBarrier)
  })

  it("of a leader lets others lead", async () => {
    const three = group([1, 2, 3])
    let fullNode = 0
    three.wrapStore = (store, nodeId) => failing(store, () => (fullNode === nodeId ? "full" : undefined))
    await three.startAll()
    await three.put("a")
    const first = await three.leader()
    fullNode = first.nodeId
    const { term } = first.node.status()
    Either.getOrThrow(first.node.propose(term, bytes("b")))
    await until(() => first.registry.told.includes(`ended ${term}`))
    await three.put("c")
    expect((await three.leader()).nodeId).not.toBe(first.nodeId)
    fullNode = 0
    await until(() => first.registry.texts.includes("c"))
    expect(first.registry.texts).toEqual((await three.leader()).registry.texts)
  })

  it("delays a snapshot that comes in, and one that is taken", async () => {
    const three = group([1, 2, 3], { snapshotEntries: 5, keptEntries: 0 })
    const full = new Set<number>()
    let refusals = 0
    three.wrapStore = (store, nodeId) => ({
      ...store,
      stageSnapshotChunk: (...chunk) =>
        Effect.suspend(() => {
          if (!full.has(nodeId)) return store.stageSnapshotChunk(...chunk)
          refusals++
          return Effect.fail(new RaftStoreError({ reason: "full", message: "no space for chunks" }))
        })
    })
    await three.startAll()
    const leader = await three.leader()
    const away = three.member((leader.nodeId % 3) + 1)
    await away.stop()
    for (let at = 0; at < 12; at++) await three.put(`text ${at}`)
    await until(() => leader.node.status().firstIndex > 10)
    full.add(away.nodeId)
    const back = await three.start(away.nodeId)
    await until(() => refusals > 0)
    expect(back.registry.texts).toEqual([])
    full.delete(away.nodeId)
    await until(() => back.registry.texts.length === 12)

    full.add(leader.nodeId)
    await three.put("one more")
    const refused = await failure(leader.node.takeSnapshot)
    expect(refused.reason).toBe("overloaded")
    full.clear()
    expect((await Effect.runPromise(leader.node.takeSnapshot)).index).toBe(leader.node.status().appliedIndex)
  })
})

describe("a disk that fails", () => {
  it("takes the member out, loudly, and answers everybody who waits", async () => {
    const three = group([1, 2, 3])
    let brokenNode = 0
    three.wrapStore = (store, nodeId) => failing(store, () => (brokenNode === nodeId ? "io" : undefined))
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const { term } = leader.node.status()
    const seen: Array<string | undefined> = []
    leader.node.onStatus((status) => seen.push(status.fenced))
    brokenNode = leader.nodeId
    Either.getOrThrow(leader.node.propose(term, bytes("b")))
    await until(() => leader.node.status().fenced !== undefined)
    await until(() => leader.registry.told.includes(`ended ${term}`))
    expect(leader.node.status().fenced).toBe("the disk: io")
    expect(seen).toContain("the disk: io")
    expect(reasonOf(leader.node.propose(term, bytes("c")))).toBe("fenced")
    expect((await failure(leader.node.readBarrier)).reason).toBe("fenced")
    expect((await failure(leader.node.takeSnapshot)).reason).toBe("fenced")
    expect((await failure(leader.node.transferLeadership(1))).reason).toBe("fenced")
    expect((await failure(leader.node.changeMembership({ _tag: "Remove", nodeId: 1 }))).reason).toBe("fenced")
    brokenNode = 0
    await until(() =>
      [...three.running.values()].some(({ nodeId, node }) => nodeId !== leader.nodeId && node.status().role === "leader")
    )
  })

  it("does not start on a log that is not whole", async () => {
    const one = group([1])
    const contents = { ...emptyContents(), hardState: { term: 3, votedFor: 1, commitIndex: 9 } }
    one.contents.set(1, contents)
    await expect(one.start(1)).rejects.toThrow(/entries up to 9 were committed.*add it anew/)
  })
})

it("a member does not begin a group that it is not in", async () => {
  const one = group([1])
  await expect(one.start(2, { initialMembers: [memberOf(1)] })).rejects.toThrow("node 2 is not among the first members")
  expect(one.contentsOf(2)).toMatchObject({ hardState: { term: 0 }, entries: [] })
})

it("a member that was removed is not reached any more when that is committed", async () => {
  const three = group([1, 2, 3])
  const reached = new Map<number, ReadonlyArray<number>>()
  const transport = three.hub.transport.bind(three.hub)
  three.hub.transport = (nodeId) => ({
    ...transport(nodeId),
    setMembers: (members) =>
      void reached.set(
        nodeId,
        members.map((member) => member.nodeId)
      )
  })
  await three.startAll()
  await three.put("a")
  const leader = await three.leader()
  const [gone, stays] = [1, 2, 3].filter((nodeId) => nodeId !== leader.nodeId) as [number, number]
  expect(reached.get(leader.nodeId)).toEqual([gone, stays])
  await Effect.runPromise(leader.node.changeMembership({ _tag: "Remove", nodeId: gone }))
  await until(() => reached.get(leader.nodeId)?.includes(gone) === false && reached.get(stays)?.includes(gone) === false)
})

describe("a state machine", () => {
  it("that finds what must not be takes its member out before anything else is applied", async () => {
    const one = group([1])
    const { node, registry } = await one.start(1)
    await until(() => registry.told.includes("began 2"))
    registry.onApply = () => node.fence("another hash than the leader's")
    node.propose(2, bytes("a"))
    await until(() => registry.told.includes("ended 2"))
    expect(node.status()).toMatchObject({ fenced: "another hash than the leader's" })
    expect(reasonOf(node.propose(2, bytes("b")))).toBe("fenced")
    node.fence("a second reason changes nothing")
    expect(node.status().fenced).toBe("another hash than the leader's")
  })

  it("that throws takes its member out", async () => {
    const one = group([1])
    const { node, registry } = await one.start(1)
    await until(() => registry.told.includes("began 2"))
    registry.onApply = () => {
      throw new Error("a bug")
    }
    node.propose(2, bytes("a"))
    await until(() => node.status().fenced !== undefined)
    expect(node.status().fenced).toBe("a bug")
  })

  it("that cannot use a snapshot is not served: at the start", async () => {
    const one = group([1])
    const first = await one.start(1)
    await until(() => first.registry.told.includes("began 2"))
    first.node.propose(2, bytes("a"))
    await until(() => first.registry.texts.length === 1)
    await Effect.runPromise(first.node.takeSnapshot)
    await first.stop()
    one.contentsOf(1).chunks = [bytes("{")]
    const again = await one.start(1)
    expect(again.node.status().fenced).toMatch(/^the snapshot at 3 cannot be used: that is no list/)
    expect(again.registry.told).toEqual([])
  })

  it("that cannot use a snapshot is not served: when it comes in", async () => {
    const two = group([1], { snapshotEntries: 2, keptEntries: 0 })
    two.wrapStore = (store, nodeId) => (nodeId === 1 ? store : { ...store, readSnapshotChunk: () => Effect.succeed(bytes("{")) })
    const first = await two.start(1)
    for (let at = 0; at < 4; at++) await two.put(`text ${at}`)
    await until(() => first.node.status().firstIndex > 1)
    const second = await two.start(2)
    await Effect.runPromise(first.node.changeMembership({ _tag: "AddLearner", member: memberOf(2) }))
    await until(() => second.node.status().fenced !== undefined)
    expect(second.node.status().fenced).toMatch(/^the snapshot at \d+ cannot be used/)
  })

  it("whose snapshot fails goes on without", async () => {
    const one = group([1])
    const { node, registry } = await one.start(1)
    await until(() => registry.told.includes("began 2"))
    const snapshot = registry.snapshot.bind(registry)
    registry.snapshot = () => Effect.dieMessage("a bug")
    node.propose(2, bytes("a"))
    await until(() => registry.texts.length === 1)
    expect(await failure(node.takeSnapshot)).toMatchObject({ reason: "invalid" })
    registry.snapshot = snapshot
    expect((await Effect.runPromise(node.takeSnapshot)).index).toBe(3)
  })
})

describe("limits", () => {
  it("refuse proposals and reads beyond them", async () => {
    const three = group([1, 2, 3], { uncommittedBytesMax: 2_000, commandBytesMax: 1_500, readBarriersMax: 2, readTimeoutMs: 300 })
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const { term } = leader.node.status()
    expect(reasonOf(leader.node.propose(term, new Uint8Array(1_501)))).toBe("invalid")
    three.hub.drops = (message) => message.from !== leader.nodeId
    expect(reasonOf(leader.node.propose(term, new Uint8Array(1_400)))).toBe("none")
    expect(reasonOf(leader.node.propose(term, new Uint8Array(1_400)))).toBe("overloaded")
    const reads = [leader.node.readBarrier, leader.node.readBarrier, leader.node.readBarrier].map(failure)
    const reasons = (await Promise.all(reads)).map((error) => error.reason)
    expect(reasons.slice(2)).toEqual(["overloaded"])
    for (const reason of reasons.slice(0, 2)) expect(["timeout", "no-leader"]).toContain(reason)
  })

  it("bound what waits before it is looked at", async () => {
    const one = group([1], { inboxMessagesMax: 10 })
    let deliver: (message: RaftMessage) => void = () => {}
    const transport = one.hub.transport.bind(one.hub)
    one.hub.transport = (nodeId) => {
      const made = transport(nodeId)
      return {
        ...made,
        onMessage: (listener) => {
          deliver = listener
          return made.onMessage(listener)
        }
      }
    }
    const { node, figures } = await one.start(1)
    await until(() => node.status().role === "leader")
    for (let requestId = 1; requestId <= 1_000; requestId++) {
      deliver({ _tag: "ReadIndexRequest", from: 9, to: 1, term: 2, requestId })
    }
    expect(figures().get("effectmq_raft_messages_dropped_total")).toBe(990)
    await until(() => figures().get("effectmq_raft_messages_sent_total") === 10)
  })
})

describe("without a majority", () => {
  it("reads and writes end with an error, membership changes and transfers too", async () => {
    const three = group([1, 2, 3], { readTimeoutMs: 200, changeTimeoutMs: 2_000 })
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const other = three.member((leader.nodeId % 3) + 1)
    three.hub.drops = () => true
    const ends = [
      failure(leader.node.readBarrier),
      failure(other.node.readBarrier),
      failure(leader.node.changeMembership({ _tag: "AddLearner", member: memberOf(7) }))
    ]
    for (const error of await Promise.all(ends)) expect(["timeout", "no-leader"]).toContain(error.reason)
    await until(() => leader.node.status().role !== "leader")
    expect(await failure(leader.node.transferLeadership(other.nodeId))).toMatchObject({ reason: "not-leader" })
    three.hub.drops = () => false
    await three.put("b")
    expect(await Effect.runPromise(other.node.readBarrier)).toBeGreaterThan(0)
  })

  it("a transfer to one that is cut off is given up", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const other = (leader.nodeId % 3) + 1
    three.hub.drops = (message) => message.to === other || message.from === other
    expect(await failure(leader.node.transferLeadership(other))).toMatchObject({ reason: "timeout" })
    three.hub.drops = () => false
    await three.put("b")
  })
})

describe("a network that loses, doubles and turns around", () => {
  it("holds up progress and changes nothing else", async () => {
    const three = group([1, 2, 3], { snapshotEntries: 20, keptEntries: 5 })
    let count = 0
    three.hub.drops = () => count++ % 4 === 0
    await three.startAll()
    const texts = Array.from({ length: 30 }, (_, at) => `text ${at}`)
    for (const text of texts) await three.put(text)
    three.hub.drops = () => false
    const seen = () => [...three.running.values()].map(({ registry }) => [...new Set(registry.texts)])
    await until(() => seen().every((one) => one.length === texts.length))
    for (const one of seen()) expect(one).toEqual(texts)
  })
})

describe("what is sent", () => {
  it("never comes before what it stands on is durable", async () => {
    const three = group([1, 2, 3])
    const written = new Map<number, { term: number; votedFor: number; last: number }>()
    three.wrapStore = (store, nodeId) => ({
      ...store,
      persist: (write) =>
        Effect.zipRight(
          Effect.sleep(5),
          Effect.tap(store.persist(write), () =>
            Effect.sync(() => {
              const before = written.get(nodeId) ?? { term: 1, votedFor: 0, last: 1 }
              const last = write.entries?.at(-1)?.index ?? before.last
              written.set(nodeId, { ...before, ...write.hardState, last })
            })
          )
        )
    })
    const wrong: Array<RaftMessage> = []
    three.hub.drops = (message) => {
      const now = written.get(message.from) ?? { term: 1, votedFor: 0, last: 1 }
      const isPreVote = "preVote" in message && message.preVote
      if (!isPreVote && message.term > now.term) wrong.push(message)
      if (message._tag === "VoteReply" && message.granted && !isPreVote && now.votedFor !== message.to) wrong.push(message)
      if (message._tag === "AppendReply" && message.accepted && message.index > now.last) wrong.push(message)
      return false
    }
    await three.startAll()
    for (let at = 0; at < 10; at++) await three.put(`text ${at}`)
    await (await three.leader()).stop()
    await three.put("another leader")
    expect(wrong).toEqual([])
  })
})

describe("leadership", () => {
  it("gives a new leader what its log holds beyond what is applied", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const { term } = leader.node.status()
    // The followers get the entry; nobody hears that they have it.
    three.hub.drops = (message) => message._tag === "AppendReply"
    const index = Either.getOrThrow(leader.node.propose(term, bytes("b")))
    await until(() => [...three.running.values()].every(({ node }) => node.status().lastIndex === index))
    await leader.stop()
    three.hub.drops = () => false
    const next = await three.leader()
    const [first, ...rest] = next.registry.uncommitted.map((entry: Entry) =>
      entry.kind === "command" ? Buffer.from(entry.data).toString() : entry.kind
    )
    // The last is its own; one that led before it and lost its place left another.
    expect([first, rest.at(-1), ...new Set(rest)]).toEqual(["b", "noop", "noop"])
    await until(() => next.registry.texts.includes("b"))
  })

  it("is told as it begins and ends, in turn with what is applied", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const { term } = leader.node.status()
    three.hub.drops = (message) => message.from === leader.nodeId || message.to === leader.nodeId
    await until(() => leader.registry.told.includes(`ended ${term}`))
    expect(leader.registry.told.filter((one) => !one.startsWith("apply"))).toEqual([`began ${term}`, `ended ${term}`])
  })

  it("of another term than the one that leads is not what a proposal is for", async () => {
    const one = group([1])
    const { node, registry } = await one.start(1)
    await until(() => registry.told.includes("began 2"))
    for (const term of [1, 3]) expect(reasonOf(node.propose(term, bytes("decided on another image")))).toBe("not-leader")
    Either.getOrThrow(node.propose(2, bytes("a")))
    await until(() => registry.texts.length === 1)
    expect(registry.texts).toEqual(["a"])
  })

  it("a listener that throws disturbs nobody", async () => {
    const one = group([1])
    const { node, registry } = await one.start(1)
    node.onStatus(() => {
      throw new Error("a bug of the listener")
    })
    await until(() => registry.told.includes("began 2"))
    node.propose(2, bytes("a"))
    await until(() => registry.texts.length === 1)
    expect(node.status().fenced).toBeUndefined()
  })
})
