/**
 * What a restart makes of messages that were on their way: in flight and replaced meanwhile, delayed, wills.
 */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { MqttWorld } from "./support/MqttWorld.js"

const persistent = { clean: false, properties: { sessionExpiryInterval: 1000 } } as const

const publishes = (packets: ReadonlyArray<{ readonly cmd: string }>) =>
  packets.flatMap((packet) =>
    packet.cmd === "publish" ? [packet as never as { payload: Buffer; messageId: number; dup: boolean }] : []
  )

describe("a retained message in flight at QoS 2", () => {
  const begin = async () => {
    const world = await MqttWorld.make()
    const publisher = world.connect("publisher")
    publisher.publish("r", "old", { qos: 2, messageId: 1, retain: true })
    const reader = world.connect("reader", persistent)
    const [, sent] = [...reader.subscribe("r", { qos: 2 }), ...reader.take()]
    expect(sent).toMatchObject({ cmd: "publish", retain: true, messageId: 1 })
    publisher.publish("r", "new", { qos: 2, messageId: 2, retain: true })
    return world
  }

  it("is sent again as it was, though another has replaced it", async () => {
    const again = await (await begin()).crash()
    const back = again.connect("reader", persistent)
    const resent = publishes(back.take()).map(({ payload, messageId, dup }) => [payload.toString(), messageId, dup])
    expect(resent[0]).toEqual(["old", 1, true])
  })

  it("is released where it is gone, so that its identifier can be used again", async () => {
    const world = await begin()
    await Effect.runPromise(world.shard("__retained/0").trim(1))
    const again = await world.crash()
    const back = again.connect("reader", persistent)
    const packets = back.take()
    expect(packets[0]).toMatchObject({ cmd: "pubrel", messageId: 1 })
    expect(publishes(packets).every(({ messageId }) => messageId !== 1)).toBe(true)
    back.ask({ cmd: "pubcomp", messageId: 1, reasonCode: 0x92 })
    expect(again.tenant.registry.get("reader")?.outbound.inflightCount).toBe(1)
  })
})

describe("a delayed message at QoS 2", () => {
  it("that is sent again after a restart is kept once", async () => {
    const world = await MqttWorld.make()
    world.connect("reader", persistent).subscribe("a", { qos: 2 })
    const publisher = world.connect("publisher", persistent)
    publisher.send({ cmd: "publish", topic: "$delayed/5/a", payload: "x", qos: 2, messageId: 7, dup: false, retain: false })
    world.time.endTick()
    // The process dies when the message is durable and the packet identifier is not.
    world.shard("__delayed/0").commit()
    const again = await world.crash()
    const back = again.connect("publisher", persistent)
    expect(back.publish("$delayed/5/a", "x", { qos: 2, messageId: 7, dup: true })).toMatchObject([
      { cmd: "pubrec", messageId: 7 }
    ])
    const reader = again.connect("reader", persistent)
    again.advance(10_000)
    again.settle()
    expect(publishes(reader.take()).length).toBe(1)
  })
})

describe("a will without delay", () => {
  it("is published though its client is back at once after the restart", async () => {
    const world = await MqttWorld.make()
    world.connect("reader", persistent).subscribe("w", { qos: 1 })
    world.connect("client", { ...persistent, will: { topic: "w", payload: Buffer.from("gone"), qos: 1, retain: false } })
    const again = await world.crash()
    again.connect("client", persistent)
    const reader = again.connect("reader", persistent)
    again.settle()
    expect(publishes(reader.take()).map(({ payload }) => payload.toString())).toEqual(["gone"])
  })
})
