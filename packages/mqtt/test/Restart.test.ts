/**
 * What a restart makes of messages that were on their way: in flight and replaced meanwhile, delayed, wills.
 */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import type { Packet } from "./support/MemoryConnection.js"
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

describe("retained messages on their way to a new subscription at QoS 2", () => {
  const count = 8
  const topics = Array.from({ length: count }, (_, index) => `r/${index}`)

  /** A reader that has subscribed and answered so many packets; then the process dies, with so much that was not durable. */
  const interrupted = async (answers: number, extra: number) => {
    let world = await MqttWorld.make()
    const publisher = world.connect("publisher")
    for (const topic of topics) publisher.publish(topic, topic, { qos: 2, messageId: topics.indexOf(topic) + 1, retain: true })
    const received: Array<string> = []
    const open = new Set<number>()
    const properties = { sessionExpiryInterval: 1000, receiveMaximum: 3 }
    let reader = world.connect("reader", { clean: false, properties })
    const answer = (packet: Packet, isSettled: boolean) => {
      const messageId = packet["messageId"] as number
      if (packet.cmd === "publish") {
        if (!open.has(messageId)) received.push(String(packet["payload"]))
        open.add(messageId)
        reader.send({ cmd: "pubrec", messageId, reasonCode: 0 } as never)
      } else if (packet.cmd === "pubrel") {
        open.delete(messageId)
        reader.send({ cmd: "pubcomp", messageId, reasonCode: 0 } as never)
      }
      if (isSettled) world.settle()
    }
    let packets = reader.subscribe("r/#", { qos: 2 })
    for (let answered = 0; answered < answers; answered++) {
      packets.push(...reader.take())
      const packet = packets.shift()
      if (packet !== undefined) answer(packet, answered < answers - 1)
    }
    world.time.endTick()
    world = await world.crash(extra)
    reader = world.connect("reader", { clean: false, properties })
    for (let quiet = 0; quiet < 3; quiet++) {
      world.settle()
      packets = reader.take()
      if (packets.length > 0) quiet = 0
      for (const packet of packets) answer(packet, false)
    }
    return received
  }

  it("go on behind those that have begun, whenever the process dies", async () => {
    for (let answers = 0; answers < count * 2; answers++) {
      for (const extra of [0, 1, 2]) expect(await interrupted(answers, extra)).toEqual(topics)
    }
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

describe("a will at QoS 2 of a persistent session", () => {
  const will = { topic: "w", payload: Buffer.from("gone"), qos: 2, retain: false } as const

  const begin = async () => {
    const world = await MqttWorld.make()
    world.connect("reader", persistent).subscribe("w", { qos: 2 })
    const client = world.connect("client", { ...persistent, will })
    return { world, client }
  }

  const arrivals = (world: MqttWorld) => {
    const reader = world.connect("reader", persistent)
    world.settle()
    return publishes(reader.take()).length
  }

  it.each(["__sessions", "__mqtt"])("is published once where only %s was durable when the process died", async (topic) => {
    const { world, client } = await begin()
    client.cut()
    world.time.endTick()
    for (const shard of world.shards) if (shard.id.topic === topic) shard.commit()
    const again = await world.crash()
    expect(arrivals(again)).toBe(1)
    expect(arrivals(await again.crash())).toBe(1)
    expect(again.tenant.registry.get("client")?.will).toBeUndefined()
  })

  it("is published once though the process dies before it is known to be done", async () => {
    const { world, client } = await begin()
    client.cut()
    world.time.endTick()
    for (const shard of world.shards) shard.commit()
    // It is in the log, and its record has not been removed.
    const again = await world.crash()
    expect(arrivals(again)).toBe(1)
  })

  it("outlives the session that it ends with", async () => {
    const { world } = await begin()
    world.tenant.registry.delete("client")
    world.time.endTick()
    for (const shard of world.shards) if (shard.id.topic === "__sessions") shard.commit()
    const again = await world.crash()
    expect(again.tenant.registry.get("client")).toBeUndefined()
    expect(arrivals(again)).toBe(1)
  })

  it("reaches those who get it without the log when a restart would not publish it again", async () => {
    const world = await MqttWorld.make()
    const live = world.connect("live")
    live.subscribe("w", { qos: 2 })
    const client = world.connect("client", { ...persistent, will })
    client.cut()
    world.time.endTick()
    expect(publishes(live.take()).length).toBe(0)
    world.settle()
    expect(publishes(live.take()).length).toBe(1)
  })
})

describe("a QoS 2 message that nobody gets by way of the log", () => {
  it("is delivered when a restart would know that it was received, and not again when its publisher sends it again", async () => {
    const world = await MqttWorld.make()
    const live = world.connect("live")
    live.subscribe("a", { qos: 2 })
    const publisher = world.connect("publisher", persistent)
    publisher.send({ cmd: "publish", topic: "a", payload: "x", qos: 2, messageId: 7, dup: false, retain: false })
    world.time.endTick()
    expect(publishes(live.take()).length).toBe(0)
    for (const shard of world.shards) shard.commit()
    expect(publishes(live.take()).length).toBe(1)
    const again = await world.crash()
    const next = again.connect("live")
    next.subscribe("a", { qos: 2 })
    const back = again.connect("publisher", persistent)
    expect(back.publish("a", "x", { qos: 2, messageId: 7, dup: true })).toMatchObject([{ cmd: "pubrec", messageId: 7 }])
    again.settle()
    expect(publishes(next.take()).length).toBe(0)
  })

  it("is delivered once storage that was refused takes it, and acknowledged only then", async () => {
    const world = await MqttWorld.make()
    const live = world.connect("live")
    live.subscribe("a", { qos: 2 })
    const publisher = world.connect("publisher", persistent)
    for (const shard of world.shards) shard.broken = shard.id.topic === "__sessions"
    publisher.send({ cmd: "publish", topic: "a", payload: "x", qos: 2, messageId: 7, dup: false, retain: false })
    world.settle()
    expect(publisher.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x83 }])
    expect(publishes(live.take()).length).toBe(0)
    for (const shard of world.shards) shard.broken = false
    world.advance(1000)
    world.settle()
    expect(publishes(live.take()).length).toBe(1)
    const back = world.connect("publisher", persistent)
    expect(back.publish("a", "x", { qos: 2, messageId: 7, dup: true })).toMatchObject([{ cmd: "pubrec", messageId: 7 }])
    expect(publishes(live.take()).length).toBe(0)
  })
})
