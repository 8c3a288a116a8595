/**
 * Properties of MQTT 5: what travels with a message, expiry, aliases, sizes, diagnostics. Sections 3.1.2.11 and 3.3.2.3.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { userPropertiesOf } from "./properties.js"
import { clockPast, type ConnectFields, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (fields: ConnectFields = {}, version: 3 | 4 | 5 = 5) => RawClient.connect(broker.port, version, fields)

const lasting = (): ConnectFields => ({ clientId: unique("c"), clean: false, properties: { sessionExpiryInterval: 60 } })

const full = {
  payloadFormatIndicator: true,
  contentType: "text/plain; charset=\u00fctf",
  responseTopic: "answers/here",
  correlationData: Buffer.from([0, 1, 255]),
  userProperties: { b: ["1", "2"], a: "3" }
}
const order = [
  ["b", "1"],
  ["b", "2"],
  ["a", "3"]
]

describe("what travels with a message", () => {
  it("payload format, content type, response topic, correlation data and user properties reach every subscriber unaltered [MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-17] [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]", async () => {
    for (const qos of [0, 1, 2] as const) {
      const topic = unique()
      const watchers = [await connect(), await connect(), await connect(lasting())]
      for (const watcher of watchers) await watcher.subscribe(topic, 2)
      const client = await connect()
      await client.publish(topic, "x", qos, { properties: full })
      for (const watcher of watchers) {
        const publish = await watcher.expectPublish(topic, "x", { qos })
        const { userProperties: _, ...rest } = full
        expect(publish.properties).toMatchObject(rest)
        expect(userPropertiesOf(publish.bytes)).toEqual(order)
      }
    }
  })

  it("also with retained messages, and those that waited for a client [MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-17] [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]", async () => {
    const topic = unique()
    const fields = lasting()
    const away = await connect(fields)
    await away.subscribe(topic, 1)
    await away.disconnect()
    const client = await connect()
    await client.publish(topic, "x", 1, { retain: true, properties: full })
    const late = await connect()
    await late.subscribe(topic)
    for (const watcher of [late, await connect(fields)]) {
      const publish = await watcher.expectPublish(topic, "x")
      const { userProperties: _, ...rest } = full
      expect(publish.properties).toMatchObject(rest)
      expect(userPropertiesOf(publish.bytes)).toEqual(order)
    }
  })

  it("no properties are said by a length of 0 [MQTT5-2.2.2-1]", async () => {
    const topic = unique()
    const client = await connect()
    await client.subscribe(topic)
    client.send(client.publishPacket(topic, "x", 0, 0))
    const { bytes } = await client.expectPublish(topic, "x")
    expect(bytes.subarray(-2).toString("hex")).toBe("0078")
  })

  it("older clients get the message without them", async () => {
    const topic = unique()
    const watcher = await connect({}, 4)
    await watcher.subscribe(topic)
    const client = await connect()
    await client.publish(topic, "x", 1, { properties: full })
    const { bytes } = await watcher.expectPublish(topic, "x")
    expect(bytes.length).toBe(2 + 2 + topic.length + 1)
  })
})

describe("message expiry", () => {
  it("the interval that is left is passed on [MQTT5-3.3.2-6]", async () => {
    const topic = unique()
    const fields = lasting()
    const away = await connect(fields)
    await away.subscribe(topic, 1)
    await away.disconnect()
    const watcher = await connect()
    await watcher.subscribe(topic, 1)
    const client = await connect()
    await client.publish(topic, "x", 1, { retain: true, properties: { messageExpiryInterval: 10 } })
    expect((await watcher.expectPublish(topic, "x")).properties?.messageExpiryInterval).toBe(10)
    await clockPast(Date.now() + 1500)
    const late = await connect()
    await late.subscribe(topic)
    for (const client of [late, await connect(fields)]) {
      const left = (await client.expectPublish(topic, "x")).properties?.messageExpiryInterval
      expect(left).toBeLessThanOrEqual(9)
      expect(left).toBeGreaterThanOrEqual(5)
    }
  })

  it("what has expired is delivered to nobody [MQTT5-3.3.2-5]", async () => {
    const topic = unique()
    const fields = lasting()
    const away = await connect(fields)
    await away.subscribe(topic, 2)
    await away.disconnect()
    const client = await connect()
    for (const qos of [1, 2] as const) await client.publish(topic, "brief", qos, { properties: { messageExpiryInterval: 1 } })
    await client.publish(topic, "lasting", 1)
    await client.publish(`${topic}/kept`, "brief", 1, { retain: true, properties: { messageExpiryInterval: 1 } })
    await clockPast(Date.now() + 2100)
    const back = await connect(fields)
    await back.expectPublish(topic, "lasting")
    await back.expectNothing()
    const late = await connect()
    await late.subscribe(`${topic}/kept`)
    await late.expectNothing()
  })
})

describe("topic aliases", () => {
  it("a client may use every alias up to the broker's maximum [MQTT5-3.3.2-12]", async () => {
    const client = await RawClient.open(broker.port, 5)
    const { properties } = await client.connect()
    const maximum = properties?.topicAliasMaximum ?? 0
    expect(maximum).toBeGreaterThan(0)
    const topics = Array.from({ length: maximum }, () => unique())
    const watcher = await connect()
    await watcher.subscribe(topics)
    for (const [i, topic] of topics.entries()) {
      client.send(client.publishPacket(topic, "named", 0, 0, { properties: { topicAlias: i + 1 } }))
      await watcher.expectPublish(topic, "named")
    }
    for (const [i, topic] of topics.entries()) {
      client.send(client.publishPacket("", "by alias", 0, 0, { properties: { topicAlias: i + 1 } }))
      const publish = await watcher.expectPublish(topic, "by alias")
      expect(publish.properties?.topicAlias).toBeUndefined()
    }
  })

  it("an alias may be given to another topic", async () => {
    const [one, two] = [unique(), unique()]
    const client = await connect()
    await client.subscribe([one, two])
    for (const topic of [one, two]) {
      client.send(client.publishPacket(topic, "named", 1, 1, { properties: { topicAlias: 1 } }))
      const names = [await client.nextPacket(), await client.nextPacket()].map(({ cmd }) => cmd)
      expect(names.sort()).toEqual(["puback", "publish"])
      client.send(client.publishPacket("", "by alias", 0, 0, { properties: { topicAlias: 1 } }))
      await client.expectPublish(topic, "by alias")
    }
  })

  it("aliases end with their connection [MQTT5-3.3.2-7]", async () => {
    const topic = unique()
    const fields = lasting()
    const first = await connect(fields)
    await first.publish(topic, "named", 1, { properties: { topicAlias: 1 } })
    await first.disconnect()
    const second = await connect(fields)
    second.send(second.publishPacket("", "by alias", 0, 0, { properties: { topicAlias: 1 } }))
    await second.expectEnd(0x82)
  })

  it("the broker keeps to the client's maximum [MQTT5-3.1.2-26] [MQTT5-3.3.2-11]", async () => {
    const maximum = 2
    const prefix = unique()
    const watcher = await connect({ properties: { topicAliasMaximum: maximum } })
    await watcher.subscribe(`${prefix}/#`)
    const client = await connect()
    const topicByAlias = new Map<number, string>()
    for (const topic of ["a", "b", "c", "a", "b", "c", "a"].map((name) => `${prefix}/${name}`)) {
      await client.publish(topic, topic)
      const publish = await watcher.expectPacket("publish")
      const alias = publish.properties?.topicAlias
      if (alias !== undefined) {
        expect(alias).toBeGreaterThan(0)
        expect(alias).toBeLessThanOrEqual(maximum)
        if (publish.topic !== "") topicByAlias.set(alias, publish.topic)
      }
      expect(publish.topic === "" ? topicByAlias.get(alias as number) : publish.topic).toBe(topic)
      expect(publish.payload.toString()).toBe(topic)
    }
  })

  it("without a maximum the broker uses none [MQTT5-3.1.2-27]", async () => {
    const topic = unique()
    for (const fields of [{}, { properties: { topicAliasMaximum: 0 } }]) {
      const watcher = await connect(fields)
      await watcher.subscribe(topic)
      const client = await connect()
      for (let i = 0; i < 3; i++) {
        await client.publish(topic, "x")
        expect((await watcher.expectPublish(topic, "x")).properties?.topicAlias).toBeUndefined()
      }
    }
  })
})

describe("maximum packet size", () => {
  /** Just enough for CONNACK: with less, nobody can connect. */
  const smallest = 30

  it("what is too large for a client is dropped as if it had been delivered [MQTT5-3.1.2-24] [MQTT5-3.1.2-25]", async () => {
    const topic = unique()
    for (const qos of [0, 1, 2] as const) {
      const small = await connect({ properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
      const large = await connect()
      for (const watcher of [small, large]) await watcher.subscribe(topic, 2)
      const client = await connect()
      const payload = "x".repeat(200)
      await client.publish(topic, payload, qos)
      await client.publish(topic, "fits", qos)
      await large.expectPublish(topic, payload)
      await large.expectPublish(topic, "fits")
      // Not sent, and no part of the flow control either.
      const publish = await small.expectPublish(topic, "fits", { qos })
      expect(publish.bytes.length).toBeLessThanOrEqual(100)
      await small.acknowledge(publish)
      await small.unsubscribe(topic)
    }
  })

  it("a PUBLISH of exactly the maximum is sent [MQTT5-3.1.2-24]", async () => {
    const topic = unique().padEnd(20, "x")
    const watcher = await connect({ properties: { maximumPacketSize: 100 } })
    await watcher.subscribe(topic)
    const client = await connect()
    // Two bytes of header, the topic with its length, the length of the properties.
    await client.publish(topic, "x".repeat(100 - 2 - 22 - 1), 1)
    expect((await watcher.expectPublish(topic)).bytes.length).toBe(100)
    await client.publish(topic, "x".repeat(100 - 2 - 22), 1)
    await watcher.expectNothing()
  })

  it("diagnostics that would not fit are left out [MQTT5-3.9.2-1] [MQTT5-3.11.2-1] [MQTT5-3.4.2-2] [MQTT5-3.5.2-2] [MQTT5-3.7.2-2]", async () => {
    const client = await connect({ properties: { maximumPacketSize: smallest } })
    expect(await client.subscribe("a/#/b")).toEqual([0x8f])
    await client.unsubscribe(unique())
    client.send(client.publishPacket("$SYS/forged", "", 1, 1))
    expect((await client.expectPacket("puback")).bytes.length).toBeLessThanOrEqual(smallest)
    client.send(client.publishPacket("$SYS/forged", "", 2, 2))
    expect((await client.expectPacket("pubrec")).bytes.length).toBeLessThanOrEqual(smallest)
    client.send({ cmd: "pubrel", messageId: 77 })
    expect((await client.expectPacket("pubcomp")).bytes.length).toBeLessThanOrEqual(smallest)
  })

  it("a DISCONNECT fits [MQTT5-3.14.2-3]", async () => {
    const client = await connect({ properties: { maximumPacketSize: smallest } })
    client.sendBytes("30 03 0000 00")
    const { bytes } = await client.expectPacket("disconnect", { reasonCode: 0x82 })
    expect(bytes.length).toBeLessThanOrEqual(smallest)
    await client.expectClosed()
  })
})

describe("Request Problem Information", () => {
  it("0 keeps reason strings and user properties out of all but PUBLISH, CONNACK and DISCONNECT [MQTT5-3.1.2-29]", async () => {
    const client = await connect({ properties: { requestProblemInformation: false } })
    const bare = (packet: { readonly properties?: Record<string, unknown> | undefined }) => {
      expect(packet.properties?.["reasonString"]).toBeUndefined()
      expect(packet.properties?.["userProperties"]).toBeUndefined()
    }
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a/#/b", qos: 0 }] })
    bare(await client.expectPacket("suback"))
    client.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["nothing"] })
    bare(await client.expectPacket("unsuback"))
    client.send(client.publishPacket("$SYS/forged", "", 1, 3))
    bare(await client.expectPacket("puback"))
    client.send(client.publishPacket("$SYS/forged", "", 2, 4))
    bare(await client.expectPacket("pubrec"))
    client.send({ cmd: "pubrel", messageId: 77 })
    bare(await client.expectPacket("pubcomp"))
    const topic = unique()
    await client.subscribe(topic)
    client.send(client.publishPacket(topic, "x", 0, 0, { properties: { userProperties: { a: "b" } } }))
    expect((await client.expectPublish(topic)).properties?.userProperties).toMatchObject({ a: "b" })
  })
})
