import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { MqttWorld } from "./support/MqttWorld.js"

const persistent = { clean: false, properties: { sessionExpiryInterval: 100 } }

describe("PUBLISH", () => {
  it("reaches subscribers at the lower of both QoS [MQTT-3.8.4-8]", async () => {
    const world = await MqttWorld.make()
    const publisher = world.connect("p")
    const granted = [0, 1, 2] as const
    const subscribers = granted.map((qos) => {
      const subscriber = world.connect(`s${qos}`)
      expect(subscriber.subscribe("a", { qos })).toMatchObject([{ cmd: "suback", granted: [qos] }])
      return subscriber
    })
    for (const qos of granted) {
      publisher.publish("a", `m${qos}`, { qos, messageId: 1 })
      for (const [index, subscriber] of subscribers.entries()) {
        const lower = Math.min(qos, index)
        const packets = subscriber.take().filter(({ cmd }) => cmd === "publish")
        expect(packets).toMatchObject([{ topic: "a", qos: lower, dup: false, retain: false }])
      }
      publisher.ask({ cmd: "pubrel", messageId: 1, reasonCode: 0 } as never)
    }
  })

  it("is acknowledged with 0x10 where nobody subscribed", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("p")
    expect(client.publish("a", "x", { qos: 1, messageId: 5 })).toMatchObject([{ cmd: "puback", messageId: 5, reasonCode: 0x10 }])
    expect(client.publish("a", "x", { qos: 2, messageId: 6 })).toMatchObject([{ cmd: "pubrec", messageId: 6, reasonCode: 0x10 }])
    const old = world.connect("o", { version: 4 })
    expect(old.publish("a", "x", { qos: 1, messageId: 5 })).toMatchObject([{ cmd: "puback", messageId: 5 }])
  })

  it("that a stream takes in has somebody it is for, at QoS 1 and 2, of every kind of session", async () => {
    const world = await MqttWorld.make()
    const topic = { tenant: "default", name: "stored", engine: "memory", partitions: 1, mqttFilter: "in/#" }
    await Effect.runPromise(world.tenant.space.streams.follow({ topicsByName: new Map([["stored", topic]]) } as never))
    for (const fields of [{}, persistent]) {
      const client = world.connect("p", fields)
      expect(client.publish("in/a", "x", { qos: 1, messageId: 5 })).toMatchObject([{ cmd: "puback", reasonCode: 0 }])
      expect(client.publish("in/a", "x", { qos: 2, messageId: 6 })).toMatchObject([{ cmd: "pubrec", reasonCode: 0 }])
      expect(client.publish("in/a", "x", { qos: 1, messageId: 7, retain: true })).toMatchObject([
        { cmd: "puback", reasonCode: 0 }
      ])
      expect(client.publish("out", "x", { qos: 1, messageId: 8 })).toMatchObject([{ cmd: "puback", reasonCode: 0x10 }])
    }
    expect(world.shard("stored/0").endOffset()).toBe(6)
  })

  it("for a persistent subscriber is acknowledged when it is durable, and in order [MQTT-4.6.0-2]", async () => {
    const world = await MqttWorld.make()
    world.connect("s", persistent).subscribe("logged", { qos: 1 })
    const client = world.connect("p")
    client.send({ cmd: "publish", topic: "logged", payload: "1", qos: 1, messageId: 1, dup: false, retain: false })
    client.send({ cmd: "publish", topic: "live", payload: "2", qos: 1, messageId: 2, dup: false, retain: false })
    world.time.endTick()
    expect(client.take()).toEqual([])
    world.settle()
    expect(client.take()).toMatchObject([{ messageId: 1 }, { messageId: 2, reasonCode: 0x10 }])
  })

  it("of QoS 2 is not published twice under one identifier [MQTT-4.3.3-10]", async () => {
    const world = await MqttWorld.make()
    const subscriber = world.connect("s")
    subscriber.subscribe("a")
    const client = world.connect("p")
    for (const dup of [false, true]) {
      expect(client.publish("a", "x", { qos: 2, messageId: 7, dup })).toMatchObject([{ cmd: "pubrec", messageId: 7 }])
    }
    expect(subscriber.take()).toHaveLength(1)
    expect(client.ask({ cmd: "pubrel", messageId: 7, reasonCode: 0 } as never)).toMatchObject([
      { cmd: "pubcomp", messageId: 7, reasonCode: 0 }
    ])
    expect(client.ask({ cmd: "pubrel", messageId: 7, reasonCode: 0 } as never)).toMatchObject([
      { cmd: "pubcomp", reasonCode: 0x92 }
    ])
    client.publish("a", "x", { qos: 2, messageId: 7 })
    expect(subscriber.take()).toHaveLength(1)
  })

  it("over the receive maximum ends the connection with 0x93 [MQTT-3.3.4-9]", async () => {
    const world = await MqttWorld.make({ mqtt: { receiveMaximum: 2 } })
    const client = world.connect("p")
    for (const messageId of [1, 2]) client.publish("a", "x", { qos: 2, messageId })
    expect(client.publish("a", "x", { qos: 2, messageId: 3 })).toMatchObject([{ cmd: "disconnect", reasonCode: 0x93 }])
  })

  it("of an older client over the maximum waits", async () => {
    const world = await MqttWorld.make({ mqtt: { receiveMaximum: 4 } })
    world.connect("s", persistent).subscribe("a", { qos: 1 })
    const client = world.connect("p", { version: 4 })
    for (let messageId = 1; messageId <= 10; messageId++) {
      client.send({ cmd: "publish", topic: "a", payload: "x", qos: 1, messageId, dup: false, retain: false })
    }
    expect(client.connection.paused).not.toBe(0)
    world.settle()
    expect(client.connection.paused).toBe(0)
    expect(client.take().map(({ messageId }) => messageId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it("that is not allowed is told in version 5, and acknowledged before it [MQTT-3.3.5-2]", async () => {
    const world = await MqttWorld.make({ permissions: { publish: (topic) => topic !== "no", subscribe: () => true } })
    const subscriber = world.connect("s")
    subscriber.subscribe("#")
    const client = world.connect("p")
    expect(client.publish("no", "x", { qos: 1, messageId: 1 })).toMatchObject([{ cmd: "puback", reasonCode: 0x87 }])
    expect(client.publish("no", "x", { qos: 2, messageId: 1 })).toMatchObject([{ cmd: "pubrec", reasonCode: 0x87 }])
    expect(client.publish("no", "x")).toEqual([])
    expect(client.publish("$SYS/x", "x", { qos: 1, messageId: 1 })).toMatchObject([{ cmd: "puback", reasonCode: 0x87 }])
    expect(world.connect("o", { version: 4 }).publish("no", "x", { qos: 1, messageId: 1 })).toMatchObject([{ cmd: "puback" }])
    expect(subscriber.take()).toEqual([])
    expect(client.closed).toBe(false)
  })

  it("may use topic aliases in both directions [MQTT-3.3.2-12]", async () => {
    const world = await MqttWorld.make({ mqtt: { topicAliasMaximum: 2 } })
    const subscriber = world.connect("s", { properties: { topicAliasMaximum: 1 } })
    subscriber.subscribe("#")
    const client = world.connect("p")
    client.publish("a", "1", { properties: { topicAlias: 2 } })
    client.publish("", "2", { properties: { topicAlias: 2 } })
    client.publish("b", "3")
    const got = subscriber
      .take()
      .map(({ topic, payload, properties }) => [topic, String(payload), (properties as { topicAlias?: number })?.topicAlias])
    expect(got).toEqual([
      ["a", "1", 1],
      ["", "2", 1],
      ["b", "3", undefined]
    ])
    expect(client.publish("a", "x", { properties: { topicAlias: 3 } })).toMatchObject([{ cmd: "disconnect", reasonCode: 0x94 }])
    expect(world.connect("q").publish("", "x", { properties: { topicAlias: 1 } })).toMatchObject([
      { cmd: "disconnect", reasonCode: 0x82 }
    ])
  })

  it("carries its properties, and what is left of its life [MQTT-3.3.2-6]", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("p")
    const properties = {
      messageExpiryInterval: 10,
      contentType: "text/plain",
      responseTopic: "r",
      correlationData: Buffer.from([1, 2]),
      payloadFormatIndicator: true
    }
    world.connect("s", persistent).subscribe("a", { qos: 1 })
    world.tenant.registry.kick("s")
    client.publish("a", "x", { qos: 1, messageId: 1, properties })
    client.publish("a", "y", { qos: 1, messageId: 2, properties: { messageExpiryInterval: 3 } })
    world.advance(4000)
    const again = world.connect("s", persistent)
    expect(again.take()).toMatchObject([{ payload: Buffer.from("x"), properties: { ...properties, messageExpiryInterval: 6 } }])
    expect(world.tenant.counters.droppedExpired).toBe(1)
  })

  it("has no more left of its life than it was given, though the clock was set back", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("p")
    const longest = { messageExpiryInterval: 0xffffffff }
    client.publish("a/longest", "x", { retain: true, properties: longest })
    client.publish("a/brief", "x", { retain: true, properties: { messageExpiryInterval: 10 } })
    client.publish("$delayed/1000000000/a/delayed", "x", { retain: true, properties: longest })
    world.advance(0)
    world.time.setClock(-172_800_000)
    const subscriber = world.connect("s")
    const packets = subscriber.subscribe("a/#").filter(({ cmd }) => cmd === "publish")
    expect(Object.fromEntries(packets.map(({ topic, properties }) => [topic, properties]))).toEqual({
      "a/longest": longest,
      "a/brief": { messageExpiryInterval: 10 },
      "a/delayed": longest
    })
  })

  it("with a payload that is not the text it says is refused with 0x99", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("p")
    const answer = client.publish("a", Buffer.from([0xff]) as never, {
      qos: 1,
      messageId: 1,
      properties: { payloadFormatIndicator: true }
    })
    expect(answer).toMatchObject([{ cmd: "puback", reasonCode: 0x99 }])
  })

  it("larger than the client takes is as if delivered [MQTT-3.1.2-25]", async () => {
    const world = await MqttWorld.make()
    const subscriber = world.connect("s", { properties: { maximumPacketSize: 50, receiveMaximum: 1 } })
    subscriber.subscribe("a", { qos: 1 })
    const client = world.connect("p")
    client.publish("a", "x".repeat(100), { qos: 1, messageId: 1 })
    client.publish("a", "short", { qos: 1, messageId: 2 })
    expect(subscriber.take().map(({ payload }) => String(payload))).toEqual(["short"])
    expect(world.tenant.counters.droppedTooLarge).toBe(1)
  })

  it("of QoS 0 is dropped for a client that does not read, others wait in a bounded queue", async () => {
    const world = await MqttWorld.make({ mqtt: { queueMax: 2 } })
    const subscriber = world.connect("s")
    subscriber.subscribe("a", { qos: 1 })
    const client = world.connect("p")
    subscriber.connection.saturated = true
    client.publish("a", "0")
    for (const messageId of [1, 2, 3]) client.publish("a", `${messageId}`, { qos: 1, messageId })
    expect(subscriber.take()).toEqual([])
    subscriber.connection.saturated = false
    subscriber.machine.onDrain()
    expect(subscriber.take().map(({ payload }) => String(payload))).toEqual(["2", "3"])
    expect(world.tenant.counters).toMatchObject({ droppedQos0Saturated: 1, droppedQueueFull: 1 })
  })

  it("waits and flies within bounds of bytes too", async () => {
    const world = await MqttWorld.make({ mqtt: { queueBytesMax: 100, inflightBytesMax: 100 } })
    const subscriber = world.connect("s")
    subscriber.subscribe("a", { qos: 1 })
    const client = world.connect("p")
    for (let messageId = 1; messageId <= 6; messageId++) client.publish("a", `${messageId}`.repeat(60), { qos: 1, messageId })
    const initials = () => subscriber.take().map(({ payload, messageId }) => ({ name: String(payload)[0], messageId }))
    const first = initials()
    expect(first.map(({ name }) => name)).toEqual(["1", "2"])
    for (const { messageId } of first) subscriber.send({ cmd: "puback", messageId: messageId as number, reasonCode: 0 } as never)
    expect(initials().map(({ name }) => name)).toEqual(["5", "6"])
    expect(world.tenant.counters.droppedQueueFull).toBe(2)
  })

  it("keeps to the receive maximum of the subscriber [MQTT-3.3.4-7]", async () => {
    const world = await MqttWorld.make()
    const subscriber = world.connect("s", { properties: { receiveMaximum: 2 } })
    subscriber.subscribe("a", { qos: 2 })
    const client = world.connect("p")
    for (let messageId = 1; messageId <= 4; messageId++) client.publish("a", `${messageId}`, { qos: 1, messageId })
    const first = subscriber.take()
    expect(first).toHaveLength(2)
    const next = subscriber.ask({ cmd: "puback", messageId: first[0]?.["messageId"] as number, reasonCode: 0 } as never)
    expect(next.map(({ payload }) => String(payload))).toEqual(["3"])
  })

  it("that cannot be stored is not acknowledged as if it were [MQTT3-4.8.0-2]", async () => {
    const world = await MqttWorld.make()
    world.connect("s", persistent).subscribe("a", { qos: 2 })
    const client = world.connect("p")
    const old = world.connect("o", { version: 4 })
    for (const shard of world.shards) if (shard.id.topic === "__mqtt") shard.broken = true
    expect(client.publish("a", "x", { qos: 1, messageId: 1 })).toMatchObject([{ cmd: "puback", reasonCode: 0x83 }])
    expect(client.publish("a", "x", { qos: 2, messageId: 2 })).toMatchObject([{ cmd: "pubrec", reasonCode: 0x83 }])
    expect(old.publish("a", "x", { qos: 1, messageId: 1 })).toEqual([])
    expect(old.closed).toBe(true)
  })

  it("with the QoS or RETAIN that CONNACK ruled out ends the connection [MQTT-3.2.2-11], [MQTT-3.2.2-14]", async () => {
    const world = await MqttWorld.make({ mqtt: { maximumQos: 1, retainAvailable: false } })
    expect(world.connect("a").publish("t", "x", { qos: 2, messageId: 1 })).toMatchObject([{ reasonCode: 0x9b }])
    expect(world.connect("b").publish("t", "x", { retain: true })).toMatchObject([{ reasonCode: 0x9a }])
  })
})
