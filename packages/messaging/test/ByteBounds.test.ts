/**
 * What waits is bounded in bytes, whatever of a message the bytes are in.
 */
import { describe, expect, it } from "vitest"
import { TestSubscriber, World } from "./support/World.js"

const manyProperties = Array.from({ length: 1000 }, (_, index) => [`name ${index}`, "value"] as const)

const settled = async (check: () => void): Promise<void> => {
  for (let turn = 0; ; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    try {
      return check()
    } catch (error) {
      if (turn === 1000) throw error
    }
  }
}

describe("the size of a message", () => {
  it("is payload, topic and properties, and stays what it is", () => {
    const world = World.make()
    expect(world.message("topic", "payload").sizeBytes).toBe(12)
    const message = world.message("topic", "x", { userProperties: manyProperties })
    const size = message.sizeBytes
    const characters = manyProperties.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
    expect(size).toBeGreaterThan(characters + 1000 * 100)
    expect(message.sizeBytes).toBe(size)
    expect(message.compact().sizeBytes).toBe(size)
    const few = world.message("topic", "x", { userProperties: manyProperties.slice(0, 1) })
    expect(few.sizeBytes).toBeGreaterThan(100)
  })
})

describe("a feed", () => {
  it("of a reader that is slow holds few large messages; all of them come, once and in order", async () => {
    const world = World.make({ feedQueueBytesMax: 300_000 })
    const durable = new TestSubscriber(world, "durable", true, 1).subscribe("a").follow()
    const numbers = Array.from({ length: 30 }, (_, index) => String(index).padEnd(100_000))
    let most = 0
    for (const text of numbers) {
      world.publish("a", text)
      world.commit()
      most = Math.max(most, durable.feed?.queuedCount ?? 0)
    }
    expect(most).toBe(3)
    await settled(() => {
      durable.acknowledge()
      // Two are what one read of the log brings, while no more than half the bytes are taken.
      expect(durable.feed?.queuedCount).toBeLessThanOrEqual(4)
      expect(durable.received.length).toBe(numbers.length)
    })
    expect(durable.received).toEqual(numbers)
  })

  it("counts what is in properties", () => {
    const world = World.make({ feedQueueBytesMax: 300_000 })
    const durable = new TestSubscriber(world, "durable", true, 1).subscribe("a").follow()
    for (let index = 0; index < 20; index++) world.publish("a", "x", { userProperties: manyProperties })
    world.commit()
    expect(durable.feed?.queuedCount).toBe(3)
  })
})

describe("retained messages", () => {
  const kept = (world: World) => world.space.retained.match("#").map(({ message }) => message.topic)

  it("are refused past the bytes that there are for them, and taken again when there is room", () => {
    const world = World.make({ retainedBytesMax: 50 })
    for (const topic of ["1", "2", "3"]) world.publish(topic, "x".repeat(19), { retain: true })
    expect(kept(world)).toEqual(["1", "2"])
    expect(world.space.retained.refusedCount).toBe(1)
    expect(world.space.retained.bytes).toBe(40)
    // What replaces another counts in its stead.
    world.publish("1", "y".repeat(29), { retain: true })
    expect(world.space.retained.bytes).toBe(50)
    world.publish("1", "y".repeat(30), { retain: true })
    expect(world.space.retained.refusedCount).toBe(2)
    world.publish("2", "", { retain: true })
    world.publish("3", "x".repeat(19), { retain: true })
    expect(kept(world)).toEqual(["1", "3"])
    world.commit()
    const again = World.make({ retainedBytesMax: 50, shards: world.shards })
    expect(again.space.retained.bytes).toBe(50)
    again.publish("2", "x", { retain: true })
    expect(kept(again)).toEqual(["1", "3"])
  })

  it("count with their properties; those of the broker do not count", () => {
    const world = World.make({ retainedBytesMax: 1000 })
    world.publish("$SYS/figures", "x".repeat(900), { qos: 0, retain: true })
    world.publish("many", "x", { retain: true, userProperties: manyProperties })
    world.publish("few", "x", { retain: true, userProperties: manyProperties.slice(0, 5) })
    expect(kept(world)).toEqual(["few"])
  })
})

describe("delayed messages", () => {
  it("are refused past the bytes that there are for them, and taken again when some have gone", () => {
    const world = World.make({ delayedBytesMax: 50 })
    world.space.restored(new Set(), () => false)
    const schedule = (on: World, text: string, afterMs: number) =>
      on.space.delayed.schedule(on.message("a", text), on.time.nowMs() + afterMs, undefined, 0) !== undefined
    expect(schedule(world, "x".repeat(50), 10)).toBe(false)
    expect(schedule(world, "x".repeat(39), 10)).toBe(true)
    expect(schedule(world, "x".repeat(10), 10)).toBe(false)
    world.commit()
    const again = World.make({ delayedBytesMax: 50, shards: world.shards })
    again.space.restored(new Set(), () => false)
    expect(again.space.delayed.bytes).toBe(40)
    expect(schedule(again, "x".repeat(10), 10)).toBe(false)
    again.time.advance(1000)
    again.commit()
    expect(again.space.delayed.bytes).toBe(0)
    expect(schedule(again, "x".repeat(49), 10)).toBe(true)
  })

  it("count with their properties", () => {
    const world = World.make({ delayedBytesMax: 1000 })
    const message = world.message("a", "x", { userProperties: manyProperties })
    expect(world.space.delayed.schedule(message, world.time.nowMs() + 10, undefined, 0)).toBeUndefined()
  })
})
