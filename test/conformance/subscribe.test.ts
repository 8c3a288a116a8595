/**
 * SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK and what subscriptions bring. Sections 3.8 to 3.11 and 3.3.1.3, 3.3.4.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { type ConnectFields, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5, fields: ConnectFields = {}) => RawClient.connect(broker.port, version, fields)

describe.each([4, 5] as const)("version %i", (version) => {
  const invalid = "a/#/b"

  it("SUBACK has the id, and a code for each filter in order [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2] [MQTT3-2.3.1-7] [MQTT5-3.8.4-1] [MQTT5-3.8.4-2] [MQTT5-3.8.4-5] [MQTT5-3.8.4-6] [MQTT5-3.8.4-7] [MQTT5-3.9.3-1] [MQTT5-3.9.3-2] [MQTT5-2.2.1-6]", async () => {
    const client = await connect(version)
    const subscriptions = [
      { topic: unique(), qos: 2 as const },
      { topic: invalid, qos: 1 as const },
      { topic: unique(), qos: 0 as const },
      { topic: unique(), qos: 1 as const }
    ]
    client.send({ cmd: "subscribe", messageId: 4711, subscriptions })
    const { granted } = await client.expectPacket("suback", { messageId: 4711 })
    expect(granted).toEqual([2, version === 5 ? 0x8f : 0x80, 0, 1])
    for (const { topic } of [subscriptions[0], subscriptions[2], subscriptions[3]] as typeof subscriptions) {
      client.send(client.publishPacket(topic, "x", 0, 0))
      await client.expectPublish(topic)
    }
  })

  it("wildcards stand alone on their level, and # at the end [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT5-4.7.1-1] [MQTT5-4.7.1-2]", async () => {
    const client = await connect(version)
    const bad = ["a/#/b", "a#", "a/b#", "#a", "a+", "+a", "a/b+/c", "##"]
    expect(await client.subscribe(bad)).toEqual(bad.map(() => (version === 5 ? 0x8f : 0x80)))
    const good = ["#", "+", "a/#", "+/+", "a/+/b", "/+", "+/", "+/#"].map((filter) => `${unique()}/${filter}`)
    expect(await client.subscribe(good)).toEqual(good.map(() => 0))
  })

  it("the same filter again replaces the subscription, and retained messages come again [MQTT3-3.8.4-3] [MQTT5-3.8.4-3] [MQTT5-3.8.4-4]", async () => {
    const topic = unique()
    const client = await connect(version)
    await client.publish(topic, "kept", 1, { retain: true })
    expect(await client.subscribe(topic, 2)).toEqual([2])
    await client.acknowledge(await client.expectPublish(topic, "kept", { retain: true }))
    expect(await client.subscribe(topic, 0)).toEqual([0])
    await client.expectPublish(topic, "kept", { retain: true })
    client.send(client.publishPacket(topic, "new", 1, 100))
    const packets = [await client.nextPacket(), await client.nextPacket()]
    expect(packets.map(({ cmd }) => cmd).sort()).toEqual(["puback", "publish"])
    expect(packets.find(({ cmd }) => cmd === "publish")).toMatchObject({ qos: 0 })
    await client.expectNothing()
  })

  it("messages come at the lower of both QoS [MQTT3-3.8.4-6] [MQTT5-3.8.4-8]", async () => {
    for (const granted of [0, 1, 2] as const) {
      const topic = unique()
      const watcher = await connect(version)
      await watcher.subscribe(topic, granted)
      const client = await connect(version)
      for (const published of [0, 1, 2] as const) {
        await client.publish(topic, String(published), published)
        const publish = await watcher.expectPublish(topic, String(published), { qos: Math.min(granted, published) })
        await watcher.acknowledge(publish)
      }
    }
  })

  it("overlapping subscriptions deliver at the highest QoS [MQTT3-3.3.5-1] [MQTT5-3.3.4-2]", async () => {
    const topic = unique()
    const watcher = await connect(version)
    await watcher.subscribe(`${topic}/#`, 0)
    await watcher.subscribe(`${topic}/a`, 2)
    await watcher.subscribe(`${topic}/+`, 1)
    const client = await connect(version)
    await client.publish(`${topic}/a`, "x", 2)
    const levels: Array<number> = []
    const first = await watcher.expectPublish(`${topic}/a`, "x")
    levels.push(first.qos)
    expect(Math.max(...levels)).toBe(2)
    await watcher.acknowledge(first)
    await watcher.expectNothing()
  })

  it("the topic of a message matches the filter [MQTT3-3.3.2-3] [MQTT5-3.3.2-3]", async () => {
    const prefix = unique()
    const watcher = await connect(version)
    await watcher.subscribe(`${prefix}/+/c`)
    const client = await connect(version)
    for (const topic of ["a/c", "a/b/c", "a/d", "b/c", "a"]) await client.publish(`${prefix}/${topic}`, "x")
    await watcher.expectPublish(`${prefix}/a/c`)
    await watcher.expectPublish(`${prefix}/b/c`)
    await watcher.expectNothing()
  })

  it("UNSUBACK has the id, also where nothing was subscribed [MQTT3-3.10.4-4] [MQTT3-3.10.4-5] [MQTT3-3.10.4-6] [MQTT3-2.3.1-7] [MQTT5-3.10.4-4] [MQTT5-3.10.4-5] [MQTT5-3.10.4-6] [MQTT5-3.11.3-1] [MQTT5-3.11.3-2] [MQTT5-2.2.1-6]", async () => {
    const topic = unique()
    const client = await connect(version)
    await client.subscribe(topic)
    client.send({ cmd: "unsubscribe", messageId: 815, unsubscriptions: [unique(), topic, unique()] })
    const { granted } = await client.expectPacket("unsuback", { messageId: 815 })
    if (version === 5) expect(granted).toEqual([0x11, 0, 0x11])
    client.send(client.publishPacket(topic, "x", 0, 0))
    await client.expectNothing()
  })

  it("UNSUBSCRIBE takes filters letter by letter [MQTT3-3.10.4-1] [MQTT3-3.10.4-2] [MQTT5-3.10.4-1] [MQTT5-3.10.4-2]", async () => {
    const topic = unique()
    const client = await connect(version)
    await client.subscribe(`${topic}/+`)
    await client.unsubscribe(`${topic}/#`, `${topic}/a`)
    client.send(client.publishPacket(`${topic}/a`, "still", 0, 0))
    await client.expectPublish(`${topic}/a`, "still")
    await client.unsubscribe(`${topic}/+`)
    client.send(client.publishPacket(`${topic}/a`, "no more", 0, 0))
    await client.expectNothing()
  })

  it("a delivery that has begun is completed after UNSUBSCRIBE [MQTT3-3.10.4-3] [MQTT5-3.10.4-3]", async () => {
    const topic = unique()
    const clientId = unique("c")
    const fields = { clientId, clean: false, ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}) }
    const watcher = await connect(version, fields)
    await watcher.subscribe(topic, 2)
    const client = await connect(version)
    await client.publish(topic, "begun", 2)
    const publish = await watcher.expectPublish(topic, "begun", { qos: 2 })
    await watcher.unsubscribe(topic)
    // It is still in flight: a connection that breaks has it sent again.
    watcher.destroy()
    const again = await connect(version, fields)
    const { messageId } = await again.expectPublish(topic, "begun", { qos: 2, dup: true })
    expect(messageId).toBe(publish.messageId)
    again.send({ cmd: "pubrec", messageId: messageId as number })
    await again.expectPacket("pubrel", version === 5 ? { messageId, reasonCode: 0 } : { messageId })
    again.send({ cmd: "pubcomp", messageId: messageId as number })
    await again.expectNothing()
  })
})

describe("only 3.1.1", () => {
  it("RETAIN is 1 for what a new subscription brings, and 0 for what comes later [MQTT3-3.3.1-6] [MQTT3-3.3.1-8] [MQTT3-3.3.1-9]", async () => {
    const topic = unique()
    const client = await connect(4)
    await client.publish(topic, "kept", 1, { retain: true })
    const watcher = await connect(4)
    await watcher.subscribe(topic, 1)
    await watcher.acknowledge(await watcher.expectPublish(topic, "kept", { retain: true }))
    await client.publish(topic, "newer", 1, { retain: true })
    await watcher.expectPublish(topic, "newer", { retain: false })
  })
})

describe("only 5.0", () => {
  it("no local: a client's own messages do not come back to it [MQTT5-3.8.3-3]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.subscribe(topic, 1, { nl: true })
    await client.publish(topic, "own", 1)
    await client.expectNothing()
    const other = await connect(5)
    await other.publish(topic, "another's", 1)
    await client.expectPublish(topic, "another's")
  })

  it("Retain As Published 0 clears RETAIN [MQTT5-3.3.1-12]", async () => {
    const topic = unique()
    const watcher = await connect(5)
    await watcher.subscribe(topic, 0, { rap: false })
    const client = await connect(5)
    await client.publish(topic, "x", 1, { retain: true })
    await watcher.expectPublish(topic, "x", { retain: false })
  })

  it("Retain As Published 1 keeps RETAIN as it was [MQTT5-3.3.1-13]", async () => {
    const topic = unique()
    const watcher = await connect(5)
    await watcher.subscribe(topic, 0, { rap: true })
    const client = await connect(5)
    await client.publish(topic, "x", 1, { retain: true })
    await watcher.expectPublish(topic, "x", { retain: true })
    await client.publish(topic, "y", 1)
    await watcher.expectPublish(topic, "y", { retain: false })
  })

  it("Retain Handling 0 sends retained messages at every SUBSCRIBE [MQTT5-3.3.1-9]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.publish(topic, "kept", 1, { retain: true })
    for (let i = 0; i < 2; i++) {
      await client.subscribe(topic, 0, { rh: 0 })
      await client.expectPublish(topic, "kept", { retain: true })
    }
  })

  it("Retain Handling 1 sends them only to a new subscription [MQTT5-3.3.1-10]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.publish(topic, "kept", 1, { retain: true })
    await client.subscribe(topic, 0, { rh: 1 })
    await client.expectPublish(topic, "kept", { retain: true })
    await client.subscribe(topic, 0, { rh: 1 })
    await client.expectNothing()
    await client.unsubscribe(topic)
    await client.subscribe(topic, 0, { rh: 1 })
    await client.expectPublish(topic, "kept", { retain: true })
  })

  it("Retain Handling 2 never sends them [MQTT5-3.3.1-11]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.publish(topic, "kept", 1, { retain: true })
    await client.subscribe(topic, 0, { rh: 2 })
    await client.expectNothing()
  })

  it("a message carries the identifiers of all subscriptions that matched [MQTT5-3.3.4-3] [MQTT5-3.3.4-4]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.subscribe(`${topic}/#`, 0, { identifier: 7 })
    await client.subscribe(`${topic}/+`, 0, { identifier: 268_435_455 })
    await client.subscribe(`${topic}/a`, 0)
    await client.subscribe(`${topic}/b`, 0, { identifier: 9 })
    client.send(client.publishPacket(`${topic}/a`, "x", 0, 0))
    const identifiers: Array<number> = []
    const { properties } = await client.expectPublish(`${topic}/a`)
    identifiers.push(...[properties?.subscriptionIdentifier ?? []].flat())
    expect(identifiers.sort((a, b) => a - b)).toEqual([7, 268_435_455])
    await client.expectNothing()
  })

  it("every copy of a message carries the identifier of its subscription: there is only one copy [MQTT5-3.3.4-5]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.subscribe(topic, 1, { identifier: 1 })
    await client.subscribe(`${topic}/#`, 1, { identifier: 2 })
    const other = await connect(5)
    await other.publish(topic, "x", 1)
    const { properties } = await client.expectPublish(topic, "x")
    expect([properties?.subscriptionIdentifier].flat().sort()).toEqual([1, 2])
    await client.expectNothing()
  })

  it("replacing a subscription replaces its identifier [MQTT5-3.8.4-3]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.subscribe(topic, 0, { identifier: 1 })
    await client.subscribe(topic, 0, { identifier: 2 })
    client.send(client.publishPacket(topic, "x", 0, 0))
    expect((await client.expectPublish(topic)).properties?.subscriptionIdentifier).toBe(2)
    await client.subscribe(topic, 0)
    client.send(client.publishPacket(topic, "y", 0, 0))
    expect((await client.expectPublish(topic)).properties?.subscriptionIdentifier).toBeUndefined()
  })

  it("retained messages carry the identifier of the subscription that brought them [MQTT5-3.3.4-3]", async () => {
    const topic = unique()
    const client = await connect(5)
    await client.publish(topic, "kept", 1, { retain: true })
    await client.subscribe(topic, 0, { identifier: 12 })
    expect((await client.expectPublish(topic, "kept")).properties?.subscriptionIdentifier).toBe(12)
  })
})
