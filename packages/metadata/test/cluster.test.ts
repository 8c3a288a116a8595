/** Three members in one process: commands through each of them, leaders lost, minorities, members that come late or were altered. */
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { afterEach, describe, expect, it } from "vitest"
import { topicOf } from "../src/core/Image.js"
import { imageToEvents } from "../src/core/imageToEvents.js"
import { command, tenant } from "./commands.js"
import { MemoryCluster, memberOf, type RunningNode, until } from "./support/MemoryCluster.js"

const clusters: Array<MemoryCluster> = []
const cluster = (...args: ConstructorParameters<typeof MemoryCluster>): MemoryCluster => {
  const made = new MemoryCluster(...args)
  clusters.push(made)
  return made
}

afterEach(async () => {
  for (const one of clusters.splice(0)) await one.stopAll()
})

const submit = <C extends MetadataCommand>(node: RunningNode, wish: C) => Effect.runPromise(node.controller.submit(wish))
const outcome = (node: RunningNode, wish: MetadataCommand) => Effect.runPromise(Effect.either(node.controller.submit(wish)))
const topic = (name: string) => command("CreateTopic", { tenant, name })
const names = (node: RunningNode) => [...node.metadata.image().topicsByName.keys()].sort()
const eventsOf = (node: RunningNode) => imageToEvents(node.metadata.image()).map(metadataEventCodec.encode).join("\n")
const others = (nodes: Iterable<RunningNode>, than: RunningNode) => [...nodes].filter((node) => node !== than)

describe("three members", () => {
  it("share what is submitted through any of them, shown there at once", async () => {
    const three = cluster([1, 2, 3])
    const nodes = await three.startAll()
    expect(new Set(nodes.map((node) => node.metadata.image().cluster?.clusterId)).size).toBe(1)
    for (const node of nodes) {
      const reply = await submit(node, topic(`t${node.nodeId}`))
      expect(topicOf(node.metadata.image(), tenant, `t${node.nodeId}`)?.topicId).toBe(reply.topicId)
      expect(await outcome(node, topic("t1"))).toMatchObject({ left: { _tag: "TopicExists" } })
    }
    for (const node of nodes) {
      const image = await Effect.runPromise(node.metadata.sync)
      expect([...image.topicsByName.keys()].sort()).toEqual(["default/t1", "default/t2", "default/t3"])
      expect([...image.nodesById.values()].map(({ storeId }) => typeof storeId)).toEqual(["string", "string", "string"])
      expect(node.metadata.isStale()).toBe(false)
    }
    await until(() => nodes.every((node) => eventsOf(node) === eventsOf(nodes[0] as RunningNode)))
  })

  it("learn that they were taken out while they were away", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 50 } })
    const nodes = await three.startAll()
    await submit(nodes[0] as RunningNode, topic("t"))
    const leader = await three.leader()
    const [cut, stopped] = others(nodes, leader) as [RunningNode, RunningNode]
    three.cutOff.add(cut.nodeId)
    await Effect.runPromise(leader.raft.changeMembership({ _tag: "Remove", nodeId: cut.nodeId }))
    await stopped.stop()
    const again = await three.start(stopped.nodeId)
    await until(() => again.raft.status().membership.members.length === 2)
    expect(cut.raft.status().fenced).toBeUndefined()
    three.cutOff.delete(cut.nodeId)
    await until(() => cut.raft.status().fenced !== undefined)
    expect(cut.raft.status().fenced).toMatch(/^it was taken out of the cluster/)
    await until(() => three.logged.some((line) => line.startsWith("FATAL") && line.includes("taken out of the cluster")))
    expect([leader, again].map(({ raft }) => raft.status().fenced)).toEqual([undefined, undefined])
    const { nodes: told } = await Effect.runPromise(cut.control.status)
    expect(told.find(({ nodeId }) => nodeId === cut.nodeId)?.report?.standing).toBe("takenOut")
    await submit(again, topic("u"))
  })

  it("say that they were taken out while they were there, and take part again when they are taken in as they are", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 50 } })
    const nodes = await three.startAll()
    const leader = await three.leader()
    const [out, other] = others(nodes, leader) as [RunningNode, RunningNode]
    const { nodeId } = out
    await Effect.runPromise(other.control.removeNode(nodeId))
    await until(() => out.metadata.fault() !== undefined)
    expect(out.metadata.fault()).toMatch(
      /^takes no part in the metadata any more: it was taken out of the cluster, whose members are/
    )
    expect(out.metadata.isStale()).toBe(true)
    expect(await outcome(out, topic("t"))).toMatchObject({ left: { _tag: "MetadataUnavailable", reason: "fenced" } })
    const status = await Effect.runPromise(out.control.status)
    const own = status.nodes.find((node) => node.nodeId === nodeId)
    expect([status.stale, own?.report?.fault]).toEqual([true, expect.stringMatching(/^it was taken out of the cluster/)])
    const standings = status.nodes.map(({ nodeId, report }) => [nodeId, report?.standing])
    expect(standings).toEqual([1, 2, 3].map((id) => [id, id === nodeId ? "takenOut" : "alive"]))
    // It could still reach the leader.
    const change = await Effect.runPromise(Effect.either(out.control.removeNode(other.nodeId)))
    expect(change).toMatchObject({ left: { _tag: "MetadataUnavailable", reason: "fenced" } })
    expect(other.raft.status().membership.voters).toContain(other.nodeId)

    await out.stop()
    const again = await three.start(nodeId)
    await until(() => again.metadata.fault() !== undefined)
    await Effect.runPromise(leader.control.addNode({ nodeId, address: memberOf(nodeId).address, voter: true }))
    await until(() => again.metadata.fault() === undefined)
    await Effect.runPromise(again.usable)
    await Effect.runPromise(leader.control.removeNode(nodeId))
    await until(() => again.metadata.fault() !== undefined)
    await Effect.runPromise(leader.control.addNode({ nodeId, address: memberOf(nodeId).address, voter: true }))
    await until(() => leader.metadata.image().nodesById.has(String(nodeId)))
    expect(again.metadata.fault()).toBeUndefined()
    await submit(again, topic("u"))
  })

  it("drop a ban when it is over by the clocks of most nodes, and not because one of them is ahead", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 20 } })
    const [node] = (await three.startAll()) as [RunningNode]
    const dayMs = 86_400_000
    const ban = (value: string, untilMs: number, atMs = Date.now()) =>
      submit(node, command("PutBan", { tenant, kind: "clientId", value, reason: "r", by: "a", untilMs, atMs }))
    const banned = () => [...node.metadata.image().bansByKey.values()].map(({ value }) => value).sort()
    await ban("holds", Date.now() + dayMs)
    await ban("over", Date.now())
    let more = 0
    while (banned().includes("over")) await ban(`${more++}`, Date.now() + dayMs, Date.now() + 2 * dayMs)
    expect(banned()).toEqual(["holds", ...Array.from({ length: more }, (_, at) => `${at}`)].sort())
  })

  it("do not take in a number that a node without a part in the log has", async () => {
    const three = cluster([1, 2, 3])
    const [node] = (await three.startAll()) as [RunningNode]
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    const adding = Effect.either(node.control.addNode({ nodeId: 9, address: "node9:1", voter: false }))
    expect(await Effect.runPromise(adding)).toMatchObject({ left: { _tag: "InvalidMembership", nodeId: 9 } })
  })

  it("go on when the leader stops, and apply once what was under way", async () => {
    const three = cluster([1, 2, 3])
    await three.startAll()
    for (let round = 0; round < 3; round++) {
      const leader = await three.leader()
      const [one, other] = others(three.running.values(), leader) as [RunningNode, RunningNode]
      const wishes = Array.from({ length: 40 }, (_, at) => topic(`r${round}-${at}`))
      const replies = wishes.map((wish, at) => submit(at % 2 === 0 ? one : other, wish))
      await new Promise((resolve) => setImmediate(resolve))
      await leader.stop()
      const topicIds = (await Promise.all(replies)).map((reply) => reply.topicId)
      expect(new Set(topicIds).size).toBe(40)
      const image = await Effect.runPromise(one.metadata.sync)
      for (const [at, wish] of wishes.entries()) expect(topicOf(image, tenant, wish.name)?.topicId).toBe(topicIds[at])
      await three.start(leader.nodeId)
    }
    await until(() => new Set([...three.running.values()].map(eventsOf)).size === 1)
  })

  it("answer a retried command with its first reply, on another node and after another leader", async () => {
    const three = cluster([1, 2, 3])
    await three.startAll()
    const wish = topic("once")
    const leader = await three.leader()
    const first = await submit(leader, wish)
    const [one] = others(three.running.values(), leader) as [RunningNode]
    await leader.stop()
    expect(await submit(one, wish)).toEqual(first)
    expect(names(one)).toEqual(["default/once"])
  })

  it("refuse in bounded time where there is no majority, say that reads may be old, and go on when it heals", async () => {
    const three = cluster([1, 2, 3], { submitMsMax: 800, syncMsMax: 500 })
    const nodes = await three.startAll()
    await submit(nodes[0] as RunningNode, topic("before"))
    const leader = await three.leader()
    three.cutOff.add(leader.nodeId)
    const wish = topic("cut")
    const [alone, sync] = await Promise.all([outcome(leader, wish), Effect.runPromise(Effect.either(leader.metadata.sync))])
    expect(Either.isLeft(alone) && alone.left).toMatchObject({ _tag: "MetadataUnavailable" })
    expect(Either.isLeft(sync) && sync.left).toMatchObject({ _tag: "MetadataUnavailable", reason: "no-leader" })
    await until(() => leader.metadata.isStale())
    expect(names(leader)).toContain("default/before")
    const { term } = leader.raft.status()
    expect(await Effect.runPromise(leader.control.status)).toMatchObject({ stale: true, leaderId: 0, term })

    const [one] = others(three.running.values(), leader) as [RunningNode]
    await three.leader()
    await submit(one, topic("majority"))
    expect(names(leader)).not.toContain("default/majority")
    three.cutOff.clear()
    await until(() => !leader.metadata.isStale())
    // Made before the cut was noticed or never: a retry settles it.
    await submit(leader, wish)
    expect(names(leader)).toEqual(["default/before", "default/cut", "default/majority"])
  })

  it("refuse a command that nobody leads for, as not made", async () => {
    const three = cluster([1, 2, 3], { submitMsMax: 400 })
    await three.startAll()
    const leader = await three.leader()
    const [one, other] = others(three.running.values(), leader) as [RunningNode, RunningNode]
    await leader.stop()
    await other.stop()
    await until(() => one.metadata.isStale())
    expect(await outcome(one, topic("never"))).toMatchObject({ left: { _tag: "MetadataUnavailable", reason: "no-leader" } })
    const back = await three.start(other.nodeId)
    await three.leader()
    await submit(back, topic("now"))
    expect(names(back)).toEqual(["default/now"])
  })
})

describe("a member that joins", () => {
  it("gets a snapshot and what follows, then a vote; one that is removed is forgotten", async () => {
    const three = cluster([1, 2, 3], { raft: { snapshotEntries: 20, keptEntries: 2 } })
    const nodes = await three.startAll()
    for (let at = 0; at < 60; at++) await submit(nodes[at % 3] as RunningNode, topic(`t${at}`))
    const leader = await three.leader()
    await until(() => leader.raft.status().firstIndex > 10)
    const starting = three.start(4)
    const fourth = await starting
    const [asked] = others(nodes, leader) as [RunningNode]
    await Effect.runPromise(asked.control.addNode({ ...memberOf(4), voter: true }))
    await Effect.runPromise(fourth.usable)
    expect(names(fourth)).toHaveLength(60)
    expect(leader.raft.status().membership.voters).toEqual([1, 2, 3, 4])
    await submit(fourth, topic("from-4"))

    const status = await Effect.runPromise(fourth.control.status)
    expect(status).toMatchObject({ stale: false, askedNodeId: 4, leaderId: leader.nodeId })
    expect(status.nodes.map(({ nodeId, part }) => [nodeId, part])).toEqual([1, 2, 3, 4].map((nodeId) => [nodeId, "voter"]))
    expect(new Set(status.nodes.map(({ report }) => report?.role))).toEqual(new Set(["leader", "follower"]))

    await Effect.runPromise(asked.control.transferLeadership(4))
    await until(() => fourth.machine.leadsInTerm > 0)
    await Effect.runPromise(fourth.control.removeNode(leader.nodeId))
    expect(fourth.raft.status().membership.voters).not.toContain(leader.nodeId)
    expect(fourth.metadata.image().nodesById.has(String(leader.nodeId))).toBe(false)
    expect(await Effect.runPromise(Effect.flip(fourth.control.removeNode(leader.nodeId)))).toMatchObject({ _tag: "UnknownNode" })
    // Its readers are told why, until it is stopped.
    await until(() => leader.metadata.fault()?.includes("it was taken out of the cluster, whose members are ") === true)
    const stopIt = expect.stringContaining("it was taken out of the cluster")
    expect(await Effect.runPromise(Effect.flip(leader.metadata.sync))).toMatchObject({ reason: "fenced", message: stopIt })
    expect((await Effect.runPromise(leader.control.status)).nodes.map(({ report }) => report?.fault)).toContainEqual(stopIt)
    expect(fourth.metadata.fault()).toBeUndefined()
  })

  it("is on the list again where it was taken out and in while it ran", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 20 } })
    await three.startAll()
    const leader = await three.leader()
    const [again, other] = others(three.running.values(), leader) as [RunningNode, RunningNode]
    await Effect.runPromise(leader.control.removeNode(again.nodeId))
    await Effect.runPromise(leader.control.addNode({ ...memberOf(again.nodeId), voter: true }))
    const listed = () => other.metadata.image().nodesById.get(String(again.nodeId))
    await until(() => listed() !== undefined)
    expect(listed()).toMatchObject({ name: `n${again.nodeId}`, rpcAddress: memberOf(again.nodeId).address })
    expect(again.metadata.fault()).toBeUndefined()
  })

  it("takes itself out, leading or not, and is on nobody's list any more", async () => {
    const four = cluster([1, 2, 3, 4])
    await four.startAll()
    const leader = await four.leader()
    const [follower] = others(four.running.values(), leader) as [RunningNode]
    for (const node of [leader, follower]) {
      await Effect.runPromise(node.control.removeNode(node.nodeId))
    }
    const stay = [...four.running.values()].filter((node) => node !== leader && node !== follower)
    const ids = stay.map(({ nodeId }) => nodeId).sort()
    for (const { raft, metadata } of stay) {
      await until(() => raft.status().membership.members.length === 2)
      expect(
        raft
          .status()
          .membership.members.map(({ nodeId }) => nodeId)
          .sort()
      ).toEqual(ids)
      await Effect.runPromise(metadata.sync)
      expect([...metadata.image().nodesById.keys()].map(Number).sort()).toEqual(ids)
    }
  })

  it("does not begin a second cluster beside one that is there and does not have it", async () => {
    const three = cluster([1, 2, 3])
    const alone = await three.start(1, {}, [1])
    await Effect.runPromise(alone.usable)
    await submit(alone, topic("of-old"))
    for (const nodeId of [2, 3]) await expect(three.start(nodeId)).rejects.toMatchObject({ _tag: "InvalidMembership", nodeId })
    // As one that waits to be added it is taken in.
    const second = await three.start(2, {}, [])
    await Effect.runPromise(alone.control.addNode({ ...memberOf(2), voter: true }))
    await Effect.runPromise(second.usable)
    expect(names(second)).toEqual(["default/of-old"])
  })

  it("does not come back with an empty store under the number of one that is known", async () => {
    const three = cluster([1, 2, 3])
    await three.startAll()
    await three.node(2).stop()
    three.contents.delete(2)
    await expect(three.start(2)).rejects.toMatchObject({ _tag: "NodeIdTaken", nodeId: 2 })
    const [one] = [...three.running.values()] as [RunningNode]
    await Effect.runPromise(one.control.removeNode(2))
    await Effect.runPromise(one.control.status)
  })

  it("does not make up a majority with an empty store while nobody can say whether it is known", async () => {
    const three = cluster([1, 2, 3])
    const nodes = await three.startAll()
    await submit(nodes[0] as RunningNode, topic("t"))
    for (const node of nodes) await node.stop()
    three.contents.delete(3)
    // Node 1 holds a log and has no leader: with node 3 it must not find one.
    const one = await three.start(1)
    const starting = three.start(3)
    const refused = expect(starting).rejects.toMatchObject({ _tag: "NodeIdTaken", nodeId: 3 })
    await three.start(2)
    await refused
    await three.leader()
    expect((await Effect.runPromise(one.metadata.sync)).topicsByName.has("default/t")).toBe(true)
  })

  it("that is late at the first start gets the log of those that began, which are a majority besides it", async () => {
    const five = cluster([1, 2, 3, 4, 5])
    const early = await Promise.all([1, 2, 3, 4].map((nodeId) => five.start(nodeId)))
    await Promise.all(early.map((node) => Effect.runPromise(node.usable)))
    await submit(early[0] as RunningNode, topic("t"))
    const late = await five.start(5)
    await Effect.runPromise(late.usable)
    expect(names(late)).toEqual(["default/t"])
    expect(late.raft.status().membership.voters).toEqual([1, 2, 3, 4, 5])
    await early[0]?.stop()
    await early[1]?.stop()
    await submit(late, topic("u"))
  })
})

describe("a member whose metadata was altered", () => {
  it("stops loudly, and the others go on", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 20 } })
    const nodes = await three.startAll()
    await submit(nodes[0] as RunningNode, topic("t"))
    const leader = await three.leader()
    const [altered, sound] = others(nodes, leader) as [RunningNode, RunningNode]
    await Effect.runPromise(altered.metadata.sync)
    const { replica } = altered.machine
    replica.replace({ image: replica.image, point: { index: replica.point.index, hash: new Uint8Array(32).fill(7) } })
    await until(() => altered.raft.status().fenced !== undefined)
    expect(three.logged.some((line) => line.includes("is not what the leader"))).toBe(true)
    expect(await outcome(altered, topic("u"))).toMatchObject({ left: { reason: "fenced" } })
    expect(altered.metadata.isStale()).toBe(true)
    await submit(sound, topic("u"))
    const status = await Effect.runPromise(sound.control.status)
    const report = status.nodes.find(({ nodeId }) => nodeId === altered.nodeId)?.report
    expect(report?.fault).toContain("is not what the leader")
    expect(report?.standing).toBe("fault")
  })
})

describe("a silent node", () => {
  it("is fenced by the leader, and taken back when it returns", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 20, silentMsMax: 200 } })
    await three.startAll()
    const leader = await three.leader()
    const [gone, watching] = others(three.running.values(), leader) as [RunningNode, RunningNode]
    three.cutOff.add(gone.nodeId)
    const isFenced = (by: RunningNode) => by.metadata.image().nodesById.get(String(gone.nodeId))?.fencedAtMs !== undefined
    await until(() => isFenced(watching))
    expect(isFenced(leader)).toBe(true)
    three.cutOff.clear()
    await until(() => !isFenced(watching))
    await until(() => three.logged.some((line) => line.includes("takes this node as alive again")))
    expect(three.logged.some((line) => line.includes("the cluster has fenced this node"))).toBe(true)
  })

  it("answer in time although the calendar is set back, and do not fence each other when it is set forward", async () => {
    const three = cluster([1, 2, 3], { submitMsMax: 2_000, liveness: { heartbeatMs: 20, silentMsMax: 60_000 } })
    await three.startAll()
    const leader = await three.leader()
    const fenced = () => [...leader.metadata.image().nodesById.values()].filter(({ fencedAtMs }) => fencedAtMs !== undefined)
    const now = Date.now
    try {
      Date.now = () => now() + 86_400_000
      const rolls = three.logged.length
      await submit(leader, topic("day"))
      await new Promise((resolve) => setTimeout(resolve, 60))
      expect(fenced()).toEqual([])
      expect(three.logged.slice(rolls).filter((line) => line.includes("fenced"))).toEqual([])
      for (const { nodeId } of others(three.running.values(), leader)) three.cutOff.add(nodeId)
      const late = outcome(leader, topic("late"))
      Date.now = () => now() - 86_400_000
      expect(await late).toMatchObject({ left: { _tag: "MetadataUnavailable" } })
    } finally {
      Date.now = now
    }
  })
})
