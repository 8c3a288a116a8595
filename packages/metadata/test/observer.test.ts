/** Nodes without a vote: they follow, resume, load snapshots, pass changes on, and stop where what they have is something else. */
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import * as Effect from "effect/Effect"
import { afterEach, describe, expect, it } from "vitest"
import { hashToHex } from "../src/core/EntryChain.js"
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

type Observer = Awaited<ReturnType<MemoryCluster["startObserver"]>>
const topic = (name: string) => command("CreateTopic", { tenant, name })
const submit = <C extends MetadataCommand>(node: Pick<RunningNode, "controller">, wish: C) =>
  Effect.runPromise(node.controller.submit(wish))
const names = (node: Pick<RunningNode, "metadata">) => [...node.metadata.image().topicsByName.keys()].sort()
const ownReport = async (observer: Observer, nodeId: number) =>
  (await Effect.runPromise(observer.control.status)).nodes.find((node) => node.nodeId === nodeId)?.report

describe("an observer", () => {
  it("shows what members have, passes changes on, and is listed with its report", async () => {
    const three = cluster([1, 2, 3])
    const nodes = await three.startAll()
    await submit(nodes[0] as RunningNode, topic("before"))
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    expect(names(observer)).toEqual(["default/before"])
    const reply = await submit(observer, topic("through"))
    expect(observer.metadata.image().topicsByName.get("default/through")?.topicId).toBe(reply.topicId)
    await submit(nodes[1] as RunningNode, topic("after"))
    expect([...(await Effect.runPromise(observer.metadata.sync)).topicsByName.keys()]).toContain("default/after")
    await until(() => !observer.metadata.isStale())
    const status = await Effect.runPromise(observer.control.status)
    expect(status).toMatchObject({ askedNodeId: 9, stale: false })
    expect(status.nodes.map(({ nodeId, part }) => [nodeId, part])).toEqual([
      [1, "voter"],
      [2, "voter"],
      [3, "voter"],
      [9, "observer"]
    ])
    const [first, , , own] = status.nodes.map(({ report }) => report)
    expect(own).toMatchObject({ role: "observer", appliedIndex: first?.appliedIndex, chainHash: first?.chainHash })
    expect(own?.imageHash).toBe(first?.imageHash)
    expect(await Effect.runPromise(Effect.flip(observer.control.takeSnapshot))).toMatchObject({ _tag: "MetadataUnavailable" })
    await Effect.runPromise(observer.control.removeNode(9))
  })

  it("goes on from where it was when the member it follows is lost, and tells of every change once", async () => {
    const three = cluster([1, 2, 3])
    await three.startAll()
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    const versions: Array<readonly [number, number]> = []
    observer.metadata.onChange(({ before, after }) => versions.push([before.version, after.version]))
    const from = observer.metadata.image().version
    for (let round = 0; round < 3; round++) {
      const gone = three.node((round % 3) + 1)
      await gone.stop()
      await submit(observer, topic(`t${round}`))
      await three.start(gone.nodeId)
    }
    expect(names(observer)).toEqual(["default/t0", "default/t1", "default/t2"])
    expect(versions[0]?.[0]).toBe(from)
    for (const [at, [before]] of versions.entries()) if (at > 0) expect(before).toBe(versions[at - 1]?.[1])
  })

  it("has applied, as the members have, what stands in the log and is no command", async () => {
    const three = cluster([1, 2, 3])
    await three.startAll()
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    const leader = await three.leader()
    await Effect.runPromise(leader.raft.changeMembership({ _tag: "AddLearner", member: memberOf(5) }))
    const { lastIndex } = leader.raft.status()
    expect(leader.machine.replica.point.index).toBeLessThan(lastIndex)
    for (;;) {
      const { nodes } = await Effect.runPromise(observer.control.status)
      const present = nodes.flatMap(({ lag, report }) => (report === undefined ? [] : [{ ...report, lag }]))
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (present.some(({ appliedIndex }) => appliedIndex < lastIndex)) continue
      expect(present.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3, 9])
      for (const report of present) expect(report).toMatchObject({ appliedIndex: lastIndex, commitIndex: lastIndex, lag: 0 })
      expect(new Set(present.map(({ chainHash }) => chainHash)).size).toBe(1)
      break
    }
  })

  it("leaves a member that was taken out and still runs", async () => {
    const three = cluster([1, 2, 3])
    await three.startAll()
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    // One of them is the one that it follows, or will be.
    const leader = await three.leader()
    for (const gone of [...three.running.values()].filter((node) => node !== leader)) {
      await Effect.runPromise(leader.control.removeNode(gone.nodeId))
      await until(() => gone.metadata.isStale())
    }
    await submit(leader, topic("without"))
    await until(() => names(observer).includes("default/without"))
    await until(() => !observer.metadata.isStale())
  })

  it("says that it may be old while it is cut off, refuses changes in bounded time, and catches up", async () => {
    const three = cluster([1, 2, 3], { liveness: { heartbeatMs: 50, silentMsMax: 500 } })
    const nodes = await three.startAll()
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    await until(() => !observer.metadata.isStale())
    three.cutOff.add(9)
    await until(() => observer.metadata.isStale())
    expect(await Effect.runPromise(Effect.flip(observer.metadata.sync))).toMatchObject({ reason: "no-leader" })
    await until(() => nodes[0]?.metadata.image().nodesById.get("9")?.fencedAtMs !== undefined)
    await submit(nodes[0] as RunningNode, topic("meanwhile"))
    three.cutOff.clear()
    await until(() => !observer.metadata.isStale())
    expect(names(await Effect.runPromise(Effect.as(observer.metadata.sync, observer)))).toEqual(["default/meanwhile"])
    await until(() => observer.metadata.image().nodesById.get("9")?.fencedAtMs === undefined)
  })

  it("begins anew from a snapshot where what it needs is gone", async () => {
    const three = cluster([1, 2, 3], { raft: { snapshotEntries: 10, keptEntries: 1 } })
    const nodes = await three.startAll()
    for (let at = 0; at < 30; at++) await submit(nodes[at % 3] as RunningNode, topic(`t${at}`))
    // Started again from their snapshots, members know no entries from before them.
    for (const nodeId of [1, 2, 3]) {
      await Effect.runPromise(three.node(nodeId).control.takeSnapshot)
      await three.node(nodeId).stop()
      await three.start(nodeId)
    }
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    expect(names(observer)).toHaveLength(30)
    await submit(observer, topic("more"))
    const report = await ownReport(observer, 9)
    expect(report?.firstIndex).toBeGreaterThan(10)
    const { replica } = three.node(1).machine
    await until(() => replica.point.index === report?.appliedIndex)
    expect(report?.chainHash).toBe(hashToHex(replica.point.hash))
  })

  it("stops loudly where what it applied is not what the member it follows has", async () => {
    const three = cluster([1])
    const [one] = await three.startAll()
    const observer = await three.startObserver(9)
    await Effect.runPromise(observer.usable)
    await until(() => !observer.metadata.isStale())
    const { replica } = (one as RunningNode).machine
    const { point, image } = replica
    replica.replace({ image, point: { index: point.index, hash: new Uint8Array(32).fill(1) } })
    await until(() => three.logged.some((line) => line.includes("follows the metadata of the cluster no more")))
    expect(observer.metadata.isStale()).toBe(true)
    expect(await Effect.runPromise(Effect.flip(observer.controller.submit(topic("t"))))).toMatchObject({ reason: "fenced" })
    expect(await Effect.runPromise(Effect.flip(observer.metadata.sync))).toMatchObject({ reason: "fenced" })
  })
})
