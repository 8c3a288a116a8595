/**
 * Sessions: what is kept and what is not, resumption, expiry, takeover. Sections 3.1.2.4, 3.1.4, 3.2.2, 4.1 and 4.4.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { clockPast, type ConnectFields, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const open = (version: 3 | 4 | 5) => RawClient.open(broker.port, version)
const connect = (version: 3 | 4 | 5, fields: ConnectFields = {}) => RawClient.connect(broker.port, version, fields)

/** A session that outlives its connection. */
const lasting = (version: 4 | 5, clientId: string, clean = false): ConnectFields => ({
  clientId,
  clean,
  ...(version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {})
})

describe.each([4, 5] as const)("version %i", (version) => {
  it("a session is resumed, and Session Present says so [MQTT3-3.1.2-4] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3] [MQTT3-3.1.3-2] [MQTT3-3.1.4-3] [MQTT5-3.1.2-5] [MQTT5-3.1.2-6] [MQTT5-3.2.2-3] [MQTT5-3.1.3-2] [MQTT5-3.1.2-23]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await open(version)
    expect((await first.connect(lasting(version, clientId))).sessionPresent).toBe(false)
    await first.subscribe(topic, 1)
    await first.disconnect()
    const second = await open(version)
    expect((await second.connect(lasting(version, clientId))).sessionPresent).toBe(true)
    const publisher = await connect(version)
    await publisher.publish(topic, "still subscribed")
    await second.expectPublish(topic, "still subscribed", { qos: 1 })
    // Another client id is another session.
    const other = await open(version)
    expect((await other.connect(lasting(version, unique("c")))).sessionPresent).toBe(false)
  })

  it("clean start discards the session [MQTT3-3.1.2-6] [MQTT3-3.2.2-1] [MQTT3-3.1.4-3] [MQTT5-3.1.2-4] [MQTT5-3.2.2-2] [MQTT5-3.1.4-4]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await connect(version, lasting(version, clientId))
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await connect(version)
    await publisher.publish(topic, "for the old session")
    const second = await open(version)
    expect((await second.connect(lasting(version, clientId, true))).sessionPresent).toBe(false)
    await publisher.publish(topic, "for nobody")
    await second.expectNothing()
    await second.disconnect()
  })

  it("a session of a clean start ends with its connection [MQTT3-3.1.2-6] [MQTT5-4.1.0-2]", async () => {
    const clientId = unique("c")
    const first = await connect(version, { clientId, clean: true })
    await first.subscribe(unique(), 1)
    await first.disconnect()
    const second = await open(version)
    expect((await second.connect({ clientId, clean: false })).sessionPresent).toBe(false)
  })

  it("QoS 1 and 2 messages wait for a client that is away [MQTT3-3.1.2-5] [MQTT3-4.5.0-1] [MQTT5-4.5.0-1]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await connect(version, lasting(version, clientId))
    await first.subscribe(topic, 2)
    await first.disconnect()
    const publisher = await connect(version)
    await publisher.publish(topic, "one", 1)
    await publisher.publish(topic, "two", 2)
    const second = await connect(version, lasting(version, clientId))
    await second.acknowledge(await second.expectPublish(topic, "one", { qos: 1, dup: false }))
    await second.acknowledge(await second.expectPublish(topic, "two", { qos: 2, dup: false }))
    await second.expectNothing()
    await second.disconnect()
    const third = await connect(version, lasting(version, clientId))
    await third.expectNothing()
  })

  it("retained messages are no part of the session [MQTT3-3.1.2-7]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await connect(version, { clientId })
    await first.publish(topic, "kept", 1, { retain: true })
    await first.disconnect()
    const second = await connect(version, { clientId })
    await second.subscribe(topic)
    await second.expectPublish(topic, "kept", { retain: true })
  })

  it("a client with the same id takes the session over [MQTT3-3.1.4-2] [MQTT5-3.1.4-3]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await connect(version, lasting(version, clientId))
    await first.subscribe(topic, 1)
    const second = await open(version)
    expect((await second.connect(lasting(version, clientId))).sessionPresent).toBe(true)
    await first.expectEnd(0x8e)
    await second.publish(topic, "mine now", 0)
    await second.expectPublish(topic, "mine now")
  })

  it("a session lasts at least as long as its connection [MQTT3-4.1.0-1] [MQTT3-4.1.0-2] [MQTT5-4.1.0-1]", async () => {
    const topic = unique()
    const client = await connect(version, version === 5 ? { properties: { sessionExpiryInterval: 1 } } : {})
    await client.subscribe(topic, 1)
    await clockPast(Date.now() + 1500)
    await client.publish(topic, "here", 0)
    await client.expectPublish(topic, "here")
  })

  it("what is unacknowledged is sent again, in order, with its id and DUP [MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT3-2.3.1-3] [MQTT3-2.3.1-4] [MQTT3-4.6.0-1] [MQTT5-4.4.0-1] [MQTT5-3.3.1-1] [MQTT5-4.3.2-3] [MQTT5-4.3.3-3]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await connect(version, lasting(version, clientId))
    await first.subscribe(topic, 2)
    const publisher = await connect(version)
    const sent: Array<{ messageId: number | undefined; payload: string; qos: number }> = []
    for (const [payload, qos] of [
      ["a", 1],
      ["b", 2],
      ["c", 1],
      ["d", 2]
    ] as const) {
      await publisher.publish(topic, payload, qos)
      const { messageId } = await first.expectPublish(topic, payload, { qos, dup: false })
      sent.push({ messageId, payload, qos })
    }
    first.destroy()
    const second = await connect(version, lasting(version, clientId))
    for (const { messageId, payload, qos } of sent) await second.expectPublish(topic, payload, { messageId, qos, dup: true })
    // And at no other time.
    await second.expectNothing()
    for (const { messageId, qos } of sent) if (qos === 1) second.send({ cmd: "puback", messageId: messageId as number })
    await second.expectNothing()
    second.destroy()
    const third = await connect(version, lasting(version, clientId))
    await third.expectPublish(topic, "b", { dup: true })
    await third.expectPublish(topic, "d", { dup: true })
    await third.expectNothing()
  })

  it("after PUBREL the PUBLISH is not sent again, but PUBREL is [MQTT3-4.3.3-1] [MQTT3-4.4.0-1] [MQTT5-4.3.3-5] [MQTT5-4.3.3-6] [MQTT5-4.4.0-1]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const first = await connect(version, lasting(version, clientId))
    await first.subscribe(topic, 2)
    const publisher = await connect(version)
    await publisher.publish(topic, "once", 2)
    const { messageId = 0 } = await first.expectPublish(topic, "once", { qos: 2 })
    first.send({ cmd: "pubrec", messageId })
    await first.expectPacket("pubrel", { messageId })
    first.destroy()
    const second = await connect(version, lasting(version, clientId))
    await second.expectPacket("pubrel", { messageId })
    second.send({ cmd: "pubcomp", messageId })
    await second.expectNothing()
    await second.disconnect()
    const third = await connect(version, lasting(version, clientId))
    await third.expectNothing()
  })

  it("the packet ids of QoS 2 messages from a client are remembered [MQTT3-4.3.3-2] [MQTT5-4.3.3-10]", async () => {
    const clientId = unique("c")
    const topic = unique()
    const watcher = await connect(version)
    await watcher.subscribe(topic)
    const first = await connect(version, lasting(version, clientId))
    first.send(first.publishPacket(topic, "once", 2, 9))
    await first.expectPacket("pubrec", { messageId: 9 })
    await watcher.expectPublish(topic, "once")
    first.destroy()
    const second = await connect(version, lasting(version, clientId))
    second.send(second.publishPacket(topic, "once", 2, 9, { dup: true }))
    await second.expectPacket("pubrec", { messageId: 9 })
    second.send({ cmd: "pubrel", messageId: 9 })
    await second.expectPacket("pubcomp", { messageId: 9 })
    await watcher.expectNothing()
  })
})

describe("only 5.0", () => {
  const expiring = (clientId: string, seconds: number): ConnectFields => ({
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: seconds }
  })

  it("a session ends once its expiry interval has passed [MQTT5-4.1.0-2]", async () => {
    const clientId = unique("c")
    const first = await connect(5, expiring(clientId, 1))
    await first.disconnect()
    await clockPast(Date.now() + 1600)
    const second = await open(5)
    expect((await second.connect(expiring(clientId, 1))).sessionPresent).toBe(false)
  })

  it("a session is kept while its expiry interval has not passed [MQTT5-3.1.2-23]", async () => {
    const clientId = unique("c")
    const first = await connect(5, expiring(clientId, 60))
    first.destroy()
    const second = await open(5)
    expect((await second.connect(expiring(clientId, 60))).sessionPresent).toBe(true)
  })

  it("DISCONNECT may change the expiry", async () => {
    const clientId = unique("c")
    const first = await connect(5, expiring(clientId, 3600))
    await first.disconnect({ reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    const second = await open(5)
    expect((await second.connect(expiring(clientId, 60))).sessionPresent).toBe(false)
  })

  it("DISCONNECT may not give a session an expiry that had none", async () => {
    const client = await connect(5, expiring(unique("c"), 0))
    client.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 60 } })
    await client.expectEnd(0x82)
  })

  it("clean start with an expiry begins a session that lasts [MQTT5-3.1.2-4] [MQTT5-3.1.2-23]", async () => {
    const clientId = unique("c")
    const first = await connect(5, { ...expiring(clientId, 60), clean: true })
    await first.disconnect()
    const second = await open(5)
    expect((await second.connect(expiring(clientId, 60))).sessionPresent).toBe(true)
  })
})
