import * as Effect from "effect/Effect"
import { describe, expect, it, vi } from "vitest"
import { TestSubscriber, World } from "./support/World.js"

const settled = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 5 })

describe("publish", () => {
  it("to a live subscriber is delivered and acknowledged at once, without the log", () => {
    const world = World.make()
    const live = new TestSubscriber(world, "live", false).subscribe("a/+")
    const token = world.publish("a/b", "hello")
    expect(live.received).toEqual(["hello"])
    expect(world.acknowledged).toEqual([token])
    expect(world.shards.log.map((shard) => shard.endOffset())).toEqual([0, 0])
  })

  it("of what waits for its retained copy keeps its place", () => {
    const world = World.make()
    const durable = new TestSubscriber(world, "durable", true).subscribe("a").follow()
    world.publish("a", "1", { qos: 2, retain: true, origin: "q:1" })
    world.publish("a", "2", { qos: 2, origin: "q:2" })
    world.publish("a", "3", { qos: 1 })
    for (let round = 0; round < 3; round++) world.commit()
    expect(durable.received).toEqual(["1", "2", "3"])
    expect(world.acknowledged.length).toBe(3)
  })

  it("of what waits for a retained copy that cannot be stored lets the others pass", () => {
    const world = World.make()
    const durable = new TestSubscriber(world, "durable", true).subscribe("a").follow()
    const token = world.publish("a", "1", { qos: 2, retain: true, origin: "q:1" })
    world.publish("a", "2", { qos: 2, origin: "q:2" })
    world.time.endTick()
    world.shards.retained.fail()
    world.commit()
    expect(durable.received).toEqual(["2"])
    expect(world.failed).toEqual([token])
  })

  it("to a durable subscriber is acknowledged and delivered when it has committed, and not before", () => {
    const world = World.make()
    const durable = new TestSubscriber(world, "durable", true).subscribe("a/b").follow()
    const token = world.publish("a/b", "hello")
    world.time.endTick()
    expect(durable.received).toEqual([])
    expect(world.acknowledged).toEqual([])
    world.commit()
    expect(durable.received).toEqual(["hello"])
    expect(world.acknowledged).toEqual([token])
  })

  it("that cannot be stored is answered with the error", () => {
    const world = World.make()
    new TestSubscriber(world, "durable", true).subscribe("a/b").follow()
    const token = world.publish("a/b", "hello")
    world.time.endTick()
    for (const shard of world.shards.log) shard.fail()
    expect(world.failed).toEqual([token])
    expect(world.acknowledged).toEqual([])
  })

  it("at QoS 0 never goes into the log", () => {
    const world = World.make()
    const durable = new TestSubscriber(world, "durable", true).subscribe("a/b").follow()
    world.publish("a/b", "hello", { qos: 0 })
    expect(durable.received).toEqual(["hello"])
    world.commit()
    expect(world.shards.log.map((shard) => shard.endOffset())).toEqual([0, 0])
  })

  it("does not come back to a no-local subscriber [MQTT-3.8.3-3]", () => {
    const world = World.make()
    const own = new TestSubscriber(world, "me", false).subscribe("a", { noLocal: true })
    const logged = new TestSubscriber(world, "me", true).subscribe("a", { noLocal: true }).follow()
    const token = world.publish("a", "mine", { publisher: "me" })
    world.publish("a", "another's", { publisher: "you" })
    world.commit()
    expect(own.received).toEqual(["another's"])
    expect(logged.received).toEqual(["another's"])
    expect(world.acknowledged).toContain(token)
  })

  it("of a tagged retained message keeps it before the log says it was received", () => {
    const world = World.make()
    new TestSubscriber(world, "durable", true).subscribe("a").follow()
    const token = world.publish("a", "x", { qos: 2, retain: true, origin: "o" })
    world.time.endTick()
    expect(world.shards.retained.endOffset()).toBe(1)
    expect(world.shards.log.map((shard) => shard.endOffset())).toEqual([0, 0])
    world.shards.retained.commit()
    world.commit()
    expect(world.acknowledged).toEqual([token])
  })
})

describe("LogFeed", () => {
  it("lags when its reader is slow, reads on from the log, and is live again: all once and in order", async () => {
    const world = World.make({ feedQueueMax: 4 })
    const durable = new TestSubscriber(world, "durable", true, 2).subscribe("a").follow()
    const expected = Array.from({ length: 50 }, (_, index) => String(index))
    for (const text of expected) {
      world.publish("a", text)
      world.publish("other", `not for it ${text}`)
      world.commit()
    }
    expect(durable.received).toEqual(["0", "1"])
    await settled(() => {
      durable.acknowledge()
      expect(durable.received.length).toBe(50)
    })
    expect(durable.received).toEqual(expected)
    world.publish("a", "live")
    durable.acknowledge()
    world.commit()
    expect(durable.received.at(-1)).toBe("live")
  })

  it("gives a reader that returns what it missed, by the log, and only what its subscription is for", async () => {
    const world = World.make()
    world.publish("b", "before the subscription")
    const other = new TestSubscriber(world, "other", true).subscribe("#").follow()
    world.publish("a", "before")
    world.commit()
    const durable = new TestSubscriber(world, "durable", true).subscribe("a").follow([0, 0])
    await settled(() => expect(durable.received).toEqual([]))
    durable.online = false
    durable.feed?.detach()
    for (const text of ["1", "2", "3"]) world.publish("a", text)
    world.commit()
    durable.online = true
    durable.feed?.attach()
    await settled(() => expect(durable.received).toEqual(["1", "2", "3"]))
    expect(other.received).toEqual(["before", "1", "2", "3"])
  })

  it("reads nothing for a reader that returns and missed nothing", () => {
    const world = World.make()
    const durable = new TestSubscriber(world, "durable", true).subscribe("a").follow()
    new TestSubscriber(world, "other", true).subscribe("b").follow()
    durable.feed?.detach()
    world.publish("b", "x")
    world.commit()
    const before = world.shards.log.map((shard) => shard.reads)
    durable.feed?.attach()
    expect(world.shards.log.map((shard) => shard.reads)).toEqual(before)
    world.publish("a", "y")
    world.commit()
    expect(durable.received).toEqual(["y"])
  })

  it("passes over the oldest beyond the offline limit and says how many", async () => {
    const world = World.make({ offlineMax: 3 })
    const durable = new TestSubscriber(world, "durable", true).subscribe("a").follow()
    durable.feed?.detach()
    for (let index = 0; index < 10; index++) world.publish("a", String(index))
    world.commit()
    durable.feed?.attach()
    await settled(() => expect(durable.received).toEqual(["7", "8", "9"]))
    expect(durable.lostCount).toBe(7)
  })

  it("holds its position at what its reader has not taken", () => {
    const world = World.make()
    const durable = new TestSubscriber(world, "durable", true, 1).subscribe("a").follow()
    for (let index = 0; index < 3; index++) world.publish("a", String(index))
    world.commit()
    const source = world.space.routes.route("a").source
    expect(durable.feed?.safePosition(source)).toBe(1)
  })
})

describe("shared groups", () => {
  it.each([false, true])("take turns (durable: %s)", (isDurable) => {
    const world = World.make()
    const members = ["m1", "m2"].map((clientId) => new TestSubscriber(world, clientId, isDurable).subscribe("a", { group: "g" }))
    for (let index = 0; index < 4; index++) world.publish("a", String(index))
    world.commit()
    expect(members.map((member) => member.received.length)).toEqual([2, 2])
    expect(members.flatMap((member) => member.received).sort()).toEqual(["0", "1", "2", "3"])
  })

  it("give what a member that left had not acknowledged to another", () => {
    const world = World.make()
    const first = new TestSubscriber(world, "m1", true).subscribe("a", { group: "g" })
    world.publish("a", "1")
    world.commit()
    const second = new TestSubscriber(world, "m2", true).subscribe("a", { group: "g" })
    first.online = false
    for (const { source, offset, match } of first.held) match.group?.release(source, offset)
    expect(second.received).toEqual(["1"])
  })

  it("keep messages in the log while nobody is connected", async () => {
    const world = World.make()
    const member = new TestSubscriber(world, "m1", true).subscribe("a", { group: "g" })
    member.online = false
    world.publish("a", "1")
    world.commit()
    expect(member.received).toEqual([])
    member.online = true
    world.space.group("a", "g")?.pump()
    await settled(() => expect(member.received).toEqual(["1"]))
  })

  it("go on after a restart where they were, with what nobody acknowledged", async () => {
    const world = World.make()
    const member = new TestSubscriber(world, "m1", true).subscribe("a", { group: "g" })
    for (const text of ["1", "2", "3"]) world.publish("a", text)
    world.commit()
    member.acknowledge(1)
    world.space.saveGroups()
    world.commit()

    const again = World.make({ shards: world.shards })
    const restored = new TestSubscriber(again, "m1", true).subscribe("a", { group: "g", since: [0, 0] })
    again.restored()
    await settled(() => expect([...restored.received].sort()).toEqual(["2", "3"]))
  })
})

describe("the log", () => {
  it("is not cut before those who were here before a restart have said what they need", async () => {
    const world = World.make()
    new TestSubscriber(world, "away", true).subscribe("a", { since: [0, 0] })
    for (const text of ["1", "2"]) world.publish("a", text)
    world.commit()

    const again = World.make({ shards: world.shards })
    await Effect.runPromise(again.space.maintain)
    const back = new TestSubscriber(again, "away", true).subscribe("a", { since: [0, 0] }).follow([0, 0])
    again.space.log.hold({ lowestHeld: (source) => back.feed?.safePosition(source) ?? 0 })
    again.restored()
    await settled(() => expect(back.received).toEqual(["1", "2"]))
    await Effect.runPromise(again.space.maintain)
    expect(again.shards.log.map((shard) => shard.startOffset())).toEqual(again.shards.log.map((shard) => shard.endOffset()))
  })
})

describe("retained messages", () => {
  it("are kept, replaced, removed, bounded, and there after a restart", () => {
    const world = World.make()
    world.publish("a/1", "old", { retain: true })
    world.publish("a/1", "new", { retain: true })
    world.publish("a/2", "gone", { retain: true })
    world.publish("a/2", "", { retain: true })
    world.publish("a/3", "x".repeat(101), { retain: true })
    world.publish("a/4", "expired", { retain: true, expiresAtMs: world.time.nowMs() + 1 })
    world.commit()
    world.time.advance(10)
    for (const space of [world.space, World.make({ shards: world.shards }).space]) {
      const found = space.retained.match("a/+").filter((entry) => entry.message.topic !== "a/4")
      expect(found.map((entry) => entry.message.payload.toString())).toEqual(["new"])
    }
    expect(world.space.retained.match("a/+").length).toBe(1)
    expect(world.space.retained.refusedCount).toBe(1)
    expect(world.acknowledged.length).toBe(6)
  })
})

describe("delayed messages", () => {
  it("are published when due, also after a restart, once", () => {
    const world = World.make()
    const live = new TestSubscriber(world, "live", false).subscribe("a")
    expect(world.space.delayed.schedule(world.message("a", "later"), world.time.nowMs() + 5000, undefined, 0)).toBeDefined()
    expect(world.space.delayed.schedule(world.message("a", "much later"), world.time.nowMs() + 9000, undefined, 0)).toBeDefined()
    expect(world.space.delayed.schedule(world.message("a", "too many"), world.time.nowMs() + 9000, undefined, 0)).toBeUndefined()
    world.commit()
    world.time.advance(4999)
    expect(live.received).toEqual([])
    world.time.advance(1)
    expect(live.received).toEqual(["later"])
    world.commit()

    const again = World.make({ shards: world.shards })
    const after = new TestSubscriber(again, "live", false).subscribe("a")
    again.restored()
    again.time.advance(20_000)
    expect(after.received).toEqual(["much later"])
  })

  it("that cannot be stored are not published either", () => {
    const world = World.make()
    const live = new TestSubscriber(world, "live", false).subscribe("a")
    const failed: Array<unknown> = []
    const acknowledged = (_token: number, error: unknown) => void failed.push(error)
    world.space.delayed.schedule(world.message("a", "later"), world.time.nowMs() + 10, { acknowledged }, 0)
    world.time.endTick()
    world.shards.delayed.fail()
    expect(failed).toMatchObject([{ reason: "io" }])
    world.time.advance(10)
    world.commit()
    expect(live.received).toEqual([])
    expect(world.space.delayed.count).toBe(0)
  })

  it("of QoS 0 come once, not again after every restart", () => {
    const world = World.make()
    world.space.delayed.schedule(world.message("a", "later", { qos: 0 }), world.time.nowMs() + 10, undefined, 0)
    world.commit()
    world.time.advance(10)
    world.commit()
    expect(world.space.delayed.count).toBe(0)
    expect(World.make({ shards: world.shards }).space.delayed.count).toBe(0)
  })

  it("have ids of their own though the clock stands still over a restart", () => {
    const world = World.make()
    const schedule = (on: World, text: string) =>
      on.space.delayed.schedule(on.message("a", text), 2_000_000_000_000, undefined, 0)
    const first = schedule(world, "1")
    world.commit()
    const again = World.make({ shards: world.shards })
    again.restored()
    const second = schedule(again, "2")
    again.commit()
    expect(second).not.toBe(first)
    expect(again.space.delayed.list().map(({ message }) => message.payload.toString())).toEqual(["1", "2"])
  })

  it("with an origin are kept once under it", () => {
    const world = World.make()
    const message = () => world.message("a", "later", { qos: 2, origin: "q:1" })
    const ids = [1, 2].map(() => world.space.delayed.schedule(message(), world.time.nowMs() + 10, undefined, 0))
    expect(ids).toEqual(["d:q:1", "d:q:1"])
    const live = new TestSubscriber(world, "live", false).subscribe("a")
    world.commit()
    world.time.advance(10)
    // Not before a restart would not publish it again.
    expect(live.received).toEqual([])
    world.commit()
    expect(live.received).toEqual(["later"])
  })
})
