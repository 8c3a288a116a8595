/** Which member of a shared subscription gets a message, by strategy; the same for groups with the log and without. */
import type { SharedStrategy } from "@effectmq/messaging/SharedGroup"
import { describe, expect, it } from "vitest"
import { TestSubscriber, World, type WorldOptions } from "./support/World.js"

const topics = Array.from({ length: 12 }, (_, index) => `t/${index}`)

describe.each([
  { kind: "live", durable: false },
  { kind: "durable", durable: true }
])("a $kind group", ({ durable }) => {
  const group = (strategy: SharedStrategy, options: WorldOptions = {}) => {
    const world = World.make({ strategy, ...options })
    const members = ["a", "b", "c"].map((name) => new TestSubscriber(world, name, durable).subscribe("t/#", { group: "g" }))
    const publish = (topic: string, publisher = "publisher") => {
      const before = members.map(({ received }) => received.length)
      world.publish(topic, "x", { publisher })
      world.commit()
      // The number of the one who got it.
      const got = members.flatMap(({ received }, index) => (received.length > (before[index] as number) ? [index] : []))
      expect(got.length).toBe(1)
      return got[0] as number
    }
    return { world, members: members as [TestSubscriber, TestSubscriber, TestSubscriber], publish }
  }

  it("round-robin: one after the other, without those who are away", () => {
    const { members, publish } = group("round-robin")
    expect(topics.slice(0, 6).map((topic) => publish(topic))).toEqual([0, 1, 2, 0, 1, 2])
    members[1].online = false
    expect(topics.slice(0, 4).map((topic) => publish(topic))).toEqual([0, 2, 0, 2])
  })

  it("random: as chance has it", () => {
    const chances = [0.9, 0, 0.5, 0.34, 0.99]
    const { publish } = group("random", { random: () => chances.shift() as number })
    expect(topics.slice(0, 5).map((topic) => publish(topic))).toEqual([2, 0, 1, 1, 2])
  })

  it("sticky: one gets all until it is gone, then another does", () => {
    const { members, publish } = group("sticky")
    expect(new Set(topics.map((topic) => publish(topic)))).toEqual(new Set([1]))
    members[1].online = false
    const next = publish("t/x")
    expect(next).not.toBe(1)
    members[1].online = true
    expect(new Set(topics.map((topic) => publish(topic)))).toEqual(new Set([next]))
  })

  it("hash-client: all of one publisher go to one, others' to others", () => {
    const { members, publish } = group("hash-client")
    const publishers = topics.map((_, index) => `publisher ${index}`)
    const first = publishers.map((publisher) => publish("t/1", publisher))
    expect(new Set(first)).toEqual(new Set([0, 1, 2]))
    for (const topic of topics) expect(publishers.map((publisher) => publish(topic, publisher))).toEqual(first)
    members[0].online = false
    publishers.forEach((publisher, index) => {
      const now = publish("t/1", publisher)
      if (first[index] === 0) expect(now).not.toBe(0)
      else expect(now).toBe(first[index])
    })
  })

  it("hash-topic: all of one topic go to one, others' to others", () => {
    const { publish } = group("hash-topic")
    const first = topics.map((topic) => publish(topic))
    expect(new Set(first)).toEqual(new Set([0, 1, 2]))
    for (const publisher of ["x", "y", "z"]) expect(topics.map((topic) => publish(topic, publisher))).toEqual(first)
  })

  it.each(["sticky", "hash-client", "hash-topic"] as const)(
    "%s: where the chosen one has no room the next has it",
    (strategy) => {
      const { members, publish } = group(strategy)
      const chosen = publish("t/1")
      ;(members[chosen] as TestSubscriber).room = 0
      expect(publish("t/1")).toBe((chosen + 1) % 3)
    }
  )
})
