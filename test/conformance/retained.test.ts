/**
 * Retained messages: section 3.3.1.3.
 */
import { afterAll, beforeAll, describe, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5) => RawClient.connect(broker.port, version)

describe.each([4, 5] as const)("version %i", (version) => {
  it("the newest retained message of a topic is kept with its QoS [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-8] [MQTT5-3.3.1-5]", async () => {
    const prefix = unique()
    const client = await connect(version)
    for (const qos of [0, 1, 2] as const) {
      await client.publish(`${prefix}/${qos}`, "older", qos, { retain: true })
      await client.publish(`${prefix}/${qos}`, "newer", qos, { retain: true })
    }
    await client.expectNothing()
    for (const qos of [0, 1, 2] as const) {
      const watcher = await connect(version)
      await watcher.subscribe(`${prefix}/${qos}`, 2)
      await watcher.acknowledge(await watcher.expectPublish(`${prefix}/${qos}`, "newer", { qos, retain: true, dup: false }))
      await watcher.expectNothing()
    }
  })

  it("a retained message with QoS 0 replaces the one before [MQTT3-3.3.1-7]", async () => {
    const topic = unique()
    const client = await connect(version)
    await client.publish(topic, "one", 1, { retain: true })
    await client.publish(topic, "zero", 0, { retain: true })
    await client.expectNothing()
    const watcher = await connect(version)
    await watcher.subscribe(topic, 1)
    await watcher.expectPublish(topic, "zero", { qos: 0, retain: true })
  })

  it("an empty one removes it, and goes to subscribers as any message [MQTT3-3.3.1-10] [MQTT3-3.3.1-11] [MQTT5-3.3.1-6] [MQTT5-3.3.1-7]", async () => {
    const topic = unique()
    const client = await connect(version)
    await client.publish(topic, "kept", 1, { retain: true })
    const before = await connect(version)
    await before.subscribe(topic)
    await before.expectPublish(topic, "kept")
    await client.publish(topic, "", 1, { retain: true })
    await before.expectPublish(topic, "")
    const after = await connect(version)
    await after.subscribe(topic)
    await after.expectNothing()
  })

  it("without RETAIN nothing is kept, replaced or removed [MQTT3-3.3.1-12] [MQTT5-3.3.1-8]", async () => {
    const topic = unique()
    const client = await connect(version)
    await client.publish(topic, "passing", 1)
    const first = await connect(version)
    await first.subscribe(topic)
    await first.expectNothing()
    await client.publish(topic, "kept", 1, { retain: true })
    await client.publish(topic, "passing", 1)
    await client.publish(topic, "", 1)
    const second = await connect(version)
    await second.subscribe(topic)
    await second.expectPublish(topic, "kept", { retain: true })
    await second.expectNothing()
  })

  it("a new subscription with wildcards brings each matching topic's [MQTT3-3.3.1-6] [MQTT5-3.3.1-9]", async () => {
    const prefix = unique()
    const client = await connect(version)
    for (const topic of ["a", "a/b", "a/b/c", "d"]) await client.publish(`${prefix}/${topic}`, topic, 1, { retain: true })
    const watcher = await connect(version)
    await watcher.subscribe(`${prefix}/a/#`)
    const found = new Set<string>()
    for (let i = 0; i < 3; i++) found.add((await watcher.expectPacket("publish", { retain: true })).payload.toString())
    if (!["a", "a/b", "a/b/c"].every((topic) => found.has(topic))) throw new Error([...found].join())
    await watcher.expectNothing()
  })
})
