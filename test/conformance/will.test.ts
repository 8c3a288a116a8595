/**
 * Wills: sections 3.1.2.5 to 3.1.2.7, 3.1.3.2 and 3.14.4.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { clockPast, type ConnectFields, RawClient, unique } from "./RawClient.js"
import { userPropertiesOf } from "./properties.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5, fields: ConnectFields = {}) => RawClient.connect(broker.port, version, fields)

const watch = async (version: 4 | 5, topic: string, qos: 0 | 1 | 2 = 2) => {
  const watcher = await connect(version)
  await watcher.subscribe(topic, qos)
  return watcher
}

const will = (topic: string, more: Partial<NonNullable<ConnectFields["will"]>> = {}): ConnectFields => ({
  will: { topic, payload: Buffer.from("gone"), qos: 0, retain: false, ...more }
})

describe.each([4, 5] as const)("version %i", (version) => {
  it("the will is published when the connection is lost [MQTT3-3.1.2-8] [MQTT5-3.1.2-7] [MQTT5-3.1.2-8]", async () => {
    for (const qos of [0, 1, 2] as const) {
      const topic = unique("will")
      const watcher = await watch(version, topic)
      const client = await connect(version, will(topic, { qos }))
      client.destroy()
      await watcher.expectPublish(topic, "gone", { qos, retain: false })
    }
  })

  it("the will is published when the client breaks the protocol, or is silent for too long [MQTT3-3.1.2-8] [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const watcher = await watch(version, topic)
    const bad = await connect(version, will(topic))
    bad.sendBytes("0000")
    await watcher.expectPublish(topic, "gone")
    await connect(version, { ...will(topic), keepalive: 1 })
    await watcher.expectPublish(topic, "gone")
  })

  it("DISCONNECT removes the will [MQTT3-3.1.2-10] [MQTT3-3.14.4-3] [MQTT5-3.1.2-10] [MQTT5-3.14.4-3]", async () => {
    const topic = unique("will")
    const watcher = await watch(version, topic)
    const client = await connect(version, will(topic))
    await client.disconnect()
    await watcher.expectNothing()
    const other = await connect(version)
    await other.publish(topic, "first")
    await watcher.expectPublish(topic, "first")
  })

  it("a will is published once [MQTT3-3.1.2-10] [MQTT5-3.1.2-10]", async () => {
    const topic = unique("will")
    const clientId = unique("c")
    const watcher = await watch(version, topic)
    const first = await connect(version, { ...will(topic), clientId, clean: false })
    first.destroy()
    await watcher.expectPublish(topic, "gone")
    const second = await connect(version, { clientId, clean: false })
    second.destroy()
    const third = await connect(version, { clientId, clean: false })
    await third.publish(topic, "end")
    await watcher.expectPublish(topic, "end")
  })

  it("without a will nothing is published [MQTT3-3.1.2-12]", async () => {
    const prefix = unique("will")
    const watcher = await watch(version, `${prefix}/#`)
    const client = await connect(version)
    client.destroy()
    const other = await connect(version)
    await other.publish(`${prefix}/end`)
    await watcher.expectPublish(`${prefix}/end`)
  })

  it("a will is retained only where it says so [MQTT3-3.1.2-16] [MQTT3-3.1.2-17] [MQTT5-3.1.2-14] [MQTT5-3.1.2-15]", async () => {
    for (const retain of [false, true]) {
      const topic = unique("will")
      const watcher = await watch(version, topic)
      const client = await connect(version, will(topic, { retain, qos: 1 }))
      client.destroy()
      await watcher.expectPublish(topic, "gone")
      const later = await connect(version)
      await later.subscribe(topic, 1)
      if (retain) await later.expectPublish(topic, "gone", { retain: true })
      else await later.expectNothing()
    }
  })

  it("a takeover publishes the will of the client that had to go [MQTT3-3.1.2-8] [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const clientId = unique("c")
    const watcher = await watch(version, topic)
    await connect(version, { ...will(topic), clientId })
    await connect(version, { clientId })
    await watcher.expectPublish(topic, "gone")
  })
})

describe("only 5.0", () => {
  const delayed = (topic: string, clientId: string, expirySeconds: number, delaySeconds: number): ConnectFields => ({
    ...will(topic, { properties: { willDelayInterval: delaySeconds } }),
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: expirySeconds }
  })

  it("DISCONNECT with 0x04 publishes the will [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const watcher = await watch(5, topic)
    const client = await connect(5, will(topic))
    await client.disconnect({ reasonCode: 0x04 })
    await watcher.expectPublish(topic, "gone")
  })

  it("the will waits for its delay [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const watcher = await watch(5, topic)
    const client = await connect(5, delayed(topic, unique("c"), 60, 1))
    const start = Date.now()
    client.destroy()
    await watcher.expectPublish(topic, "gone")
    expect(Date.now() - start).toBeGreaterThanOrEqual(990)
  })

  it("the will does not wait longer than the session lasts [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const watcher = await watch(5, topic)
    const client = await connect(5, delayed(topic, unique("c"), 1, 3600))
    client.destroy()
    await watcher.expectPublish(topic, "gone")
    const other = await connect(5, delayed(topic, unique("c"), 0, 3600))
    other.destroy()
    await watcher.expectPublish(topic, "gone")
  })

  it("a client that returns before the delay has passed keeps its will to itself [MQTT5-3.1.3-9] [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const clientId = unique("c")
    const watcher = await watch(5, topic)
    const first = await connect(5, delayed(topic, clientId, 60, 1))
    first.destroy()
    const second = await connect(5, { clientId, clean: false, properties: { sessionExpiryInterval: 60 } })
    await clockPast(Date.now() + 1600)
    await watcher.expectNothing()
    await second.disconnect()
  })

  it("a clean start ends the session, and so the delay [MQTT5-3.1.2-8]", async () => {
    const topic = unique("will")
    const clientId = unique("c")
    const watcher = await watch(5, topic)
    const first = await connect(5, delayed(topic, clientId, 3600, 3600))
    first.destroy()
    await connect(5, { clientId, clean: true })
    await watcher.expectPublish(topic, "gone")
  })

  it("the properties of the will travel with it, in order [MQTT5-3.1.3-10]", async () => {
    const topic = unique("will")
    const watcher = await watch(5, topic)
    const client = await connect(
      5,
      will(topic, {
        properties: {
          payloadFormatIndicator: true,
          messageExpiryInterval: 100,
          contentType: "text/plain",
          responseTopic: "answers",
          correlationData: Buffer.from([1, 2]),
          userProperties: { b: ["1", "2"], a: "3" }
        }
      })
    )
    client.destroy()
    const publish = await watcher.expectPublish(topic, "gone")
    expect(publish.properties).toMatchObject({
      payloadFormatIndicator: true,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([1, 2])
    })
    expect(userPropertiesOf(publish.bytes)).toEqual([
      ["b", "1"],
      ["b", "2"],
      ["a", "3"]
    ])
  })
})
