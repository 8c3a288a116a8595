/** The node at work as in production: three members with sockets between them, of which some go away and come back. */
import type { Membership } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import { afterEach, describe, expect, it } from "vitest"
import type { MembershipChange } from "../src/RaftNode.js"
import { until } from "./support/Group.js"
import { SocketGroup } from "./support/SocketGroup.js"

const groups: Array<SocketGroup> = []

const open = async (...args: Parameters<typeof SocketGroup.open>): Promise<SocketGroup> => {
  const group = await SocketGroup.open(...args)
  groups.push(group)
  return group
}

afterEach(async () => {
  for (const group of groups.splice(0)) await group.stopAll()
})

const all = async (group: SocketGroup, texts: ReadonlyArray<string>) => {
  for (const { registry } of group.running.values()) {
    await until(() => registry.texts.length === texts.length)
    expect(registry.texts).toEqual(texts)
  }
}

/** By whoever leads, until the leader's membership says that it is made. */
const change = async (group: SocketGroup, wanted: MembershipChange, made: (membership: Membership) => boolean): Promise<void> => {
  for (;;) {
    const { node } = await group.leader()
    const { membership } = node.status()
    if (made(membership) && membership.outgoingVoters.length === 0) return
    await Effect.runPromise(Effect.either(node.changeMembership(wanted)))
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe("a group of three over sockets", () => {
  it("elects, replicates and reads", async () => {
    const three = await open([1, 2, 3])
    await three.startAll()
    const texts = Array.from({ length: 20 }, (_, at) => `text ${at}`)
    for (const text of texts) await three.put(text)
    await all(three, texts)
    for (const { node } of three.running.values()) {
      expect(await Effect.runPromise(node.readBarrier)).toBeGreaterThanOrEqual(20)
    }
  })

  it("goes on without one that is away, leader or not, and has it with it again when it is back", async () => {
    const three = await open([1, 2, 3])
    await three.startAll()
    const texts: Array<string> = []
    for (let turn = 0; turn < 3; turn++) {
      const leader = await three.leader()
      const away = turn === 1 ? three.member((leader.nodeId % 3) + 1) : leader
      await away.stop()
      for (let at = 0; at < 5; at++) {
        texts.push(`turn ${turn} text ${at}`)
        await three.put(texts.at(-1) as string)
      }
      await three.start(away.nodeId)
      await all(three, texts)
    }
  })

  it("goes on while nothing reaches one of them, and catches it up afterwards", async () => {
    const three = await open([1, 2, 3])
    await three.startAll()
    await three.put("before")
    const leader = await three.leader()
    const deaf = (leader.nodeId % 3) + 1
    three.wire(deaf).freeze()
    const texts = ["before", ...Array.from({ length: 30 }, (_, at) => `text ${at}`)]
    for (const text of texts.slice(1)) await three.put(text)
    expect(three.member(deaf).registry.texts.length).toBeLessThan(texts.length)
    three.wire(deaf).thaw()
    await all(three, texts)
  })

  it("goes on after every connection between them was cut", async () => {
    const three = await open([1, 2, 3])
    await three.startAll()
    const texts: Array<string> = []
    for (let turn = 0; turn < 5; turn++) {
      texts.push(`text ${turn}`)
      await three.put(texts.at(-1) as string)
      for (const nodeId of [1, 2, 3]) three.wire(nodeId).cut()
    }
    await all(three, texts)
  })

  it("has one that was away with it again, although who leads by now came while it was away", async () => {
    const three = await open([1, 2, 3], [1, 2, 3, 4])
    await three.startAll()
    await three.put("with all")
    await three.member(3).stop()
    await three.start(4)
    await change(three, { _tag: "AddLearner", member: three.memberOf(4) }, ({ learners }) => learners.includes(4))
    await change(three, { _tag: "Promote", nodeId: 4 }, ({ voters }) => voters.includes(4))
    for (;;) {
      const { node, nodeId } = await three.leader()
      if (nodeId === 4) break
      await Effect.runPromise(Effect.either(node.transferLeadership(4)))
    }
    await three.put("without 3")
    await three.start(3)
    await all(three, ["with all", "without 3"])
  })

  it("brings a new member up by a snapshot in many chunks, and makes it a voter", async () => {
    const three = await open([1, 2, 3], [1, 2, 3, 4], { snapshotEntries: 5, keptEntries: 1, snapshotChunkBytesMax: 1000 })
    await three.startAll()
    const texts = Array.from({ length: 12 }, (_, at) => `${at}`.padEnd(3_000, "."))
    for (const text of texts) await three.put(text)
    await until(() => [...three.running.values()].every(({ node }) => node.status().firstIndex > 1))
    const fourth = await three.start(4)
    await change(three, { _tag: "AddLearner", member: three.memberOf(4) }, ({ learners }) => learners.includes(4))
    await until(() => fourth.registry.texts.length === texts.length)
    expect(fourth.registry.told.some((what) => what.startsWith("restore"))).toBe(true)
    await change(three, { _tag: "Promote", nodeId: 4 }, ({ voters }) => voters.includes(4))
    await three.put("last")
    await all(three, [...texts, "last"])
  })
})
