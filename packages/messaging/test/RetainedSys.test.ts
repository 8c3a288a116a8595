import { describe, expect, it } from "vitest"
import { newShards, TestSubscriber, World } from "./support/World.js"

const found = (world: World, filter: string) =>
  world.space.retained.match(filter).map(({ message }) => `${message.topic}=${message.payload}`)

describe("retained messages below $SYS/", () => {
  it("are kept in memory and never written", () => {
    const world = World.make()
    for (let turn = 0; turn < 100; turn++) world.publish("$SYS/broker/uptime", `${turn} seconds`, { qos: 0, retain: true })
    world.commit()
    expect(found(world, "$SYS/#")).toEqual(["$SYS/broker/uptime=99 seconds"])
    expect(world.shards.retained.endOffset()).toBe(0)
  })

  it("are removed by an empty payload or by hand, without a write as well", () => {
    const world = World.make()
    world.publish("$SYS/a", "1", { qos: 0, retain: true })
    world.publish("$SYS/b", "1", { qos: 0, retain: true })
    world.publish("$SYS/a", "", { qos: 0, retain: true })
    expect(world.space.retained.delete("$SYS/b")).toBe(true)
    expect(world.space.retained.delete("$SYS/b")).toBe(false)
    world.commit()
    expect(world.space.retained.count).toBe(0)
    expect(world.space.retained.bytes).toBe(0)
    expect(world.shards.retained.endOffset()).toBe(0)
  })

  it("are gone after a restart, and leave others be", () => {
    const shards = newShards()
    const world = World.make({ shards })
    world.publish("$SYS/a", "1", { qos: 0, retain: true })
    world.publish("a", "1", { qos: 0, retain: true })
    world.commit()
    const again = World.make({ shards })
    expect(found(again, "$SYS/#")).toEqual([])
    expect(found(again, "#")).toEqual(["a=1"])
  })

  it("take no room from others", () => {
    const world = World.make()
    for (let index = 0; index < 10; index++) world.publish(`$SYS/${index}`, "x", { qos: 0, retain: true })
    for (let index = 0; index < 4; index++) world.publish(`a/${index}`, "x", { qos: 0, retain: true })
    expect(found(world, "a/+").length).toBe(3)
    expect(world.space.retained.refusedCount).toBe(1)
    expect(found(world, "$SYS/+").length).toBe(10)
  })

  it("are acknowledged at QoS 1 at once, and reach subscribers like all others", () => {
    const world = World.make()
    const live = new TestSubscriber(world, "live", false).subscribe("$SYS/#")
    const token = world.publish("$SYS/a", "1", { qos: 1, retain: true })
    expect(live.received).toEqual(["1"])
    expect(world.acknowledged).toEqual([token])
  })
})
