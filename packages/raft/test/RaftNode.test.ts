/**
 * The node at work, over stores and a transport in memory.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { afterEach, describe, expect, it } from "vitest"
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

describe("a group of one", () => {
  it("leads at once, applies what it proposes and has it after a restart", async () => {
    const one = group([1])
    const first = await one.start(1)
    await until(() => first.registry.told.includes("began 2"))
    expect(first.node.status()).toMatchObject({ role: "leader", term: 2, leaderId: 1 })
    const indexes = ["a", "b", "c"].map((text) => Either.getOrThrow(first.node.propose(2, Buffer.from(text))))
    expect(indexes).toEqual([3, 4, 5])
    await until(() => first.registry.texts.length === 3)
    expect(first.registry.told).toEqual(["began 2", "apply 3,4,5"])
    expect(await Effect.runPromise(first.node.readBarrier)).toBe(5)
    await first.stop()
    expect(first.registry.told.at(-1)).toBe("ended 2")
    expect(Either.isLeft(first.node.propose(2, Buffer.from("late")))).toBe(true)

    const again = await one.start(1)
    await until(() => again.registry.texts.length === 3)
    expect(again.registry.texts).toEqual(["a", "b", "c"])
    expect(again.node.status()).toMatchObject({ role: "leader", term: 3 })
    expect(again.node.storeId).toBe(first.node.storeId)
  })

  it("waits for no election timeout, at the first start nor later", async () => {
    const one = group([1], { electionMsMin: 3_600_000, electionMsMax: 3_600_000 })
    const first = await one.start(1)
    await until(() => first.node.status().role === "leader")
    await first.stop()
    const second = await one.start(1)
    await until(() => second.node.status().role === "leader")
  })

  it("takes snapshots, cuts its log and starts from them", async () => {
    const one = group([1], { snapshotEntries: 10, keptEntries: 3, snapshotChunkBytesMax: 16 })
    const first = await one.start(1)
    for (let at = 0; at < 25; at++) await one.put(`text ${at}`)
    await until(() => first.node.status().snapshotIndex >= 20)
    const { firstIndex, snapshotIndex } = first.node.status()
    expect(firstIndex).toBe(snapshotIndex - 2)
    const texts = first.registry.texts
    const meta = await Effect.runPromise(first.node.takeSnapshot)
    expect(first.figures().get("effectmq_raft_snapshots_taken_total")).toBeGreaterThan(0)
    expect(meta.index).toBe(first.node.status().appliedIndex)
    expect(meta.chunks).toBeGreaterThan(1)
    await first.stop()

    const again = await one.start(1)
    expect(again.registry.told[0]).toBe(`restore ${meta.index}`)
    expect(again.registry.texts).toEqual(texts)
  })
})

describe("a group of three", () => {
  it("elects a leader, replicates, and elects another when the leader is gone", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    await three.put("a")
    await three.put("b")
    const leader = await three.leader()
    await leader.stop()
    await three.put("c")
    const back = await three.start(leader.nodeId)
    await until(() => back.registry.texts.length === 3)
    for (const { registry } of three.running.values()) {
      await until(() => registry.texts.length === 3)
      expect(registry.texts).toEqual(["a", "b", "c"])
    }
  })

  it("answers read barriers on every member, with what was committed before", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    for (let at = 0; at < 5; at++) {
      const index = await three.put(`text ${at}`)
      for (const { node, registry } of three.running.values()) {
        expect(await Effect.runPromise(node.readBarrier)).toBeGreaterThanOrEqual(index)
        expect(registry.texts).toContain(`text ${at}`)
      }
    }
  })

  it("hands leadership on", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    await three.put("a")
    const leader = await three.leader()
    const next = (leader.nodeId % 3) + 1
    await Effect.runPromise(leader.node.transferLeadership(next))
    expect((await three.leader()).nodeId).toBe(next)
    expect(leader.registry.told.at(-1)).toMatch(/^ended/)
  })

  it("has another leader before the one that stops in order is gone, without waiting for an election", async () => {
    const three = group([1, 2, 3], { electionMsMin: 60_000, electionMsMax: 60_000 })
    const first = await three.start(1, { electionMsMin: 400, electionMsMax: 800 })
    await Promise.all([three.start(2), three.start(3)])
    await three.put("a")
    await first.stop()
    await three.put("b")
    await (await three.leader()).stop()
    const [last] = [...three.running.values()]
    await until(() => last?.node.status().role === "leader")
  })

  it("stops where there is nobody to hand leadership to", async () => {
    const three = group([1, 2, 3])
    await three.startAll()
    const leader = await three.leader()
    three.hub.drops = ({ from, to }) => from === leader.nodeId || to === leader.nodeId
    await leader.stop()
    expect(Either.isLeft(leader.node.propose(leader.node.status().term, Buffer.from("late")))).toBe(true)
  })

  it("takes a new member in as a learner and then as a voter, and lets one go", async () => {
    const three = group([1, 2, 3], { snapshotEntries: 5, keptEntries: 1 })
    await three.startAll()
    for (let at = 0; at < 12; at++) await three.put(`text ${at}`)
    const leader = await three.leader()
    await until(() => leader.node.status().firstIndex > 1)
    const fourth = await three.start(4)
    await Effect.runPromise(leader.node.changeMembership({ _tag: "AddLearner", member: memberOf(4) }))
    await until(() => fourth.registry.texts.length === 12)
    expect(fourth.node.status().role).toBe("learner")
    const promote = leader.node.changeMembership({ _tag: "Promote", nodeId: 4 })
    await Effect.runPromise(Effect.retry(promote, { while: (error) => error.reason === "invalid" || error.reason === "busy" }))
    const removed = (leader.nodeId % 3) + 1
    await Effect.runPromise(leader.node.changeMembership({ _tag: "Remove", nodeId: removed }))
    expect(leader.node.status().membership.voters).toEqual([1, 2, 3, 4].filter((nodeId) => nodeId !== removed))
    await until(() => three.member(removed).node.status().role === "learner")
    await Effect.runPromise(leader.node.changeMembership({ _tag: "Remove", nodeId: leader.nodeId }))
    await leader.stop()
    await three.member(removed).stop()
    await three.put("after")
    expect((await three.leader()).node.status().membership.voters).toHaveLength(2)
  })
})
