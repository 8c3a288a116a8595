/**
 * The delivery protocols of QoS 0, 1 and 2, both ways, packet ids, order and flow control. Sections 2.2.1 (2.3.1), 3.3 to 3.7, 4.3, 4.6, 4.9.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { clockPast, type ConnectFields, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5, fields: ConnectFields = {}) => RawClient.connect(broker.port, version, fields)

const watch = async (version: 4 | 5, topic: string, qos: 0 | 1 | 2, fields: ConnectFields = {}) => {
  const watcher = await connect(version, fields)
  await watcher.subscribe(topic, qos)
  return watcher
}

describe.each([4, 5] as const)("version %i", (version) => {
  it("QoS 0 out has DUP 0 and no packet id [MQTT3-4.3.1-1] [MQTT3-2.3.1-5] [MQTT3-3.3.1-2] [MQTT5-4.3.1-1] [MQTT5-2.2.1-2] [MQTT5-3.3.1-2]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 2)
    const client = await connect(version)
    await client.publish(topic, "x", 0)
    const { bytes } = await watcher.expectPublish(topic, "x", { qos: 0, dup: false })
    expect(bytes.length).toBe(2 + 2 + topic.length + (version === 5 ? 1 : 0) + 1)
    expect(bytes[0]).toBe(0x30)
  })

  it("QoS 1 in is answered by PUBACK with its id [MQTT3-4.3.2-2] [MQTT3-3.3.4-1] [MQTT3-2.3.1-6] [MQTT5-4.3.2-4] [MQTT5-3.3.4-1] [MQTT5-2.2.1-5]", async () => {
    const client = await connect(version)
    for (const id of [1, 255, 256, 65_535]) {
      client.send(client.publishPacket(unique(), "x", 1, id))
      await client.expectPacket("puback", { messageId: id })
    }
  })

  it("after PUBACK the same id is a new message, DUP or not [MQTT3-4.3.2-2] [MQTT5-4.3.2-5]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 1)
    const client = await connect(version)
    for (const dup of [false, true, false]) {
      client.send(client.publishPacket(topic, "again", 1, 5, { dup }))
      await client.expectPacket("puback", { messageId: 5 })
      await watcher.expectPublish(topic, "again")
    }
  })

  it("DUP is not passed on [MQTT3-3.3.1-3] [MQTT5-3.3.1-3]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 2)
    const client = await connect(version)
    client.send(client.publishPacket(topic, "one", 1, 5, { dup: true }))
    await watcher.expectPublish(topic, "one", { dup: false })
    client.send(client.publishPacket(topic, "two", 2, 6, { dup: true }))
    await watcher.expectPublish(topic, "two", { dup: false })
  })

  it("QoS 1 and 2 out have unused ids other than 0, and DUP 0 [MQTT3-4.3.2-1] [MQTT3-4.3.3-1] [MQTT3-2.3.1-4] [MQTT5-4.3.2-1] [MQTT5-4.3.2-2] [MQTT5-4.3.3-1] [MQTT5-4.3.3-2] [MQTT5-2.2.1-4]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 2)
    const client = await connect(version)
    const ids = new Set<number>()
    for (let i = 0; i < 100; i++) {
      const qos = i % 2 === 0 ? 1 : 2
      await client.publish(topic, String(i), qos)
      const { messageId = 0 } = await watcher.expectPublish(topic, String(i), { qos, dup: false })
      expect(messageId).toBeGreaterThan(0)
      ids.add(messageId)
    }
    expect(ids.size).toBe(100)
  })

  it("QoS 2 in is delivered once [MQTT3-4.3.3-2] [MQTT3-3.3.4-1] [MQTT3-2.3.1-6] [MQTT5-4.3.3-8] [MQTT5-4.3.3-10] [MQTT5-4.3.3-11] [MQTT5-3.3.4-1] [MQTT5-2.2.1-5]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 0)
    const client = await connect(version)
    for (const dup of [false, true, true]) {
      client.send(client.publishPacket(topic, "once", 2, 7, { dup }))
      await client.expectPacket("pubrec", { messageId: 7 })
    }
    client.send({ cmd: "pubrel", messageId: 7 })
    await client.expectPacket("pubcomp", { messageId: 7 })
    await watcher.expectPublish(topic, "once")
    await watcher.expectNothing()
  })

  it("after PUBCOMP the same id is a new message [MQTT3-4.3.3-2] [MQTT5-4.3.3-12]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 0)
    const client = await connect(version)
    for (let i = 0; i < 2; i++) {
      client.send(client.publishPacket(topic, "again", 2, 7))
      await client.expectPacket("pubrec", { messageId: 7 })
      client.send({ cmd: "pubrel", messageId: 7 })
      await client.expectPacket("pubcomp", { messageId: 7 })
      await watcher.expectPublish(topic, "again")
    }
  })

  it("PUBREL of an id that is not known is answered by PUBCOMP [MQTT3-4.3.3-2] [MQTT5-4.3.3-11]", async () => {
    const client = await connect(version)
    client.send({ cmd: "pubrel", messageId: 4242 })
    await client.expectPacket("pubcomp", { messageId: 4242, ...(version === 5 ? { reasonCode: 0x92 } : {}) })
  })

  it("QoS 2 out: PUBREL follows PUBREC with the same id [MQTT3-4.3.3-1] [MQTT3-2.3.1-6] [MQTT3-3.6.1-1] [MQTT5-4.3.3-4] [MQTT5-2.2.1-5] [MQTT5-3.6.1-1] [MQTT5-3.6.2-1]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 2)
    const client = await connect(version)
    await client.publish(topic, "x", 2)
    const { messageId = 0 } = await watcher.expectPublish(topic, "x", { qos: 2 })
    watcher.send({ cmd: "pubrec", messageId })
    const { bytes } = await watcher.expectPacket("pubrel", { messageId })
    expect(bytes[0]).toBe(0x62)
    watcher.send({ cmd: "pubcomp", messageId })
    await watcher.expectNothing()
  })

  it("acknowledgements come in the order of the PUBLISH packets [MQTT3-4.6.0-2] [MQTT3-4.6.0-3] [MQTT3-4.6.0-4] [MQTT3-4.6.0-6] [MQTT5-4.6.0-2] [MQTT5-4.6.0-3] [MQTT5-4.6.0-4]", async () => {
    const topic = unique()
    const keeper = await connect(version, {
      clientId: unique("c"),
      clean: false,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {})
    })
    await keeper.subscribe(`${topic}/kept`, 2)
    const client = await connect(version)
    const ids = Array.from({ length: 50 }, (_, i) => i + 1)
    // Some reach the log and some do not: the answers keep their order.
    client.sendBytes(
      Buffer.concat(ids.map((id) => client.encode(client.publishPacket(id % 2 === 0 ? `${topic}/kept` : topic, "x", 1, id))))
    )
    for (const id of ids) await client.expectPacket("puback", { messageId: id })
    client.sendBytes(
      Buffer.concat(ids.map((id) => client.encode(client.publishPacket(id % 3 === 0 ? `${topic}/kept` : topic, "x", 2, id))))
    )
    for (const id of ids) await client.expectPacket("pubrec", { messageId: id })
    client.sendBytes(Buffer.concat(ids.map((id) => client.encode({ cmd: "pubrel", messageId: id }))))
    for (const id of ids) await client.expectPacket("pubcomp", { messageId: id })
    const watcher = await watch(version, `${topic}/out`, 2)
    for (const id of ids.slice(0, 10)) await client.publish(`${topic}/out`, String(id), 2)
    const out: Array<number> = []
    for (const id of ids.slice(0, 10)) out.push((await watcher.expectPublish(`${topic}/out`, String(id))).messageId as number)
    watcher.sendBytes(Buffer.concat(out.map((messageId) => watcher.encode({ cmd: "pubrec", messageId }))))
    for (const messageId of out) await watcher.expectPacket("pubrel", { messageId })
  })

  it("messages of one client to one topic arrive in their order [MQTT3-4.6.0-5] [MQTT3-4.6.0-6] [MQTT5-4.6.0-5] [MQTT5-4.6.0-6]", async () => {
    for (const qos of [0, 1, 2] as const) {
      const topic = unique()
      const watcher = await watch(version, topic, qos)
      const client = await connect(version)
      const numbers = Array.from({ length: 200 }, (_, i) => i + 1)
      client.sendBytes(Buffer.concat(numbers.map((n) => client.encode(client.publishPacket(topic, String(n), qos, n)))))
      for (const n of numbers) await watcher.expectPublish(topic, String(n), { qos })
    }
  })

  it("a message is not sent again while the connection lasts [MQTT3-4.4.0-1] [MQTT5-4.4.0-1]", async () => {
    const topic = unique()
    const watcher = await watch(version, topic, 1)
    const client = await connect(version)
    await client.publish(topic, "once", 1)
    await watcher.expectPublish(topic, "once")
    await clockPast(Date.now() + 1000)
    await watcher.expectNothing()
  })
})

describe("only 5.0", () => {
  const limited = (receiveMaximum: number): ConnectFields => ({ properties: { receiveMaximum } })

  it("no more than Receive Maximum are unacknowledged, and nothing else waits [MQTT5-3.3.4-9] [MQTT5-3.3.4-10] [MQTT5-4.9.0-1] [MQTT5-4.9.0-2] [MQTT5-4.9.0-3]", async () => {
    const topic = unique()
    const watcher = await watch(5, topic, 2, limited(2))
    const client = await connect(5)
    for (const [payload, qos] of [
      ["a", 1],
      ["b", 2],
      ["c", 1],
      ["d", 2],
      ["e", 1]
    ] as const)
      await client.publish(topic, payload, qos)
    const a = await watcher.expectPublish(topic, "a")
    const b = await watcher.expectPublish(topic, "b")
    await watcher.expectNothing()
    await client.publish(topic, "zero", 0)
    await watcher.expectPublish(topic, "zero", { qos: 0 })
    expect(await watcher.subscribe(unique())).toEqual([0])
    watcher.send({ cmd: "puback", messageId: a.messageId as number })
    const c = await watcher.expectPublish(topic)
    // PUBREC does not make room, PUBCOMP does.
    watcher.send({ cmd: "pubrec", messageId: b.messageId as number })
    await watcher.expectPacket("pubrel", { messageId: b.messageId as number })
    await watcher.expectNothing()
    watcher.send({ cmd: "pubcomp", messageId: b.messageId as number })
    await watcher.expectPublish(topic)
    watcher.send({ cmd: "puback", messageId: c.messageId as number })
    await watcher.expectPublish(topic)
  })

  it("a PUBREC that reports an error makes room [MQTT5-3.3.4-9] [MQTT5-4.4.0-2]", async () => {
    const topic = unique()
    const watcher = await watch(5, topic, 2, limited(1))
    const client = await connect(5)
    await client.publish(topic, "a", 2)
    await client.publish(topic, "b", 2)
    const { messageId = 0 } = await watcher.expectPublish(topic, "a")
    watcher.send({ cmd: "pubrec", messageId, reasonCode: 0x97 })
    await watcher.expectPublish(topic, "b")
  })

  it("what was refused with PUBACK or PUBREC is not sent again [MQTT5-4.4.0-2]", async () => {
    const topic = unique()
    const lasting: ConnectFields = { clientId: unique("c"), clean: false, properties: { sessionExpiryInterval: 60 } }
    const watcher = await watch(5, topic, 2, lasting)
    const client = await connect(5)
    await client.publish(topic, "a", 1)
    await client.publish(topic, "b", 2)
    const a = await watcher.expectPublish(topic, "a")
    const b = await watcher.expectPublish(topic, "b")
    watcher.send({ cmd: "puback", messageId: a.messageId as number, reasonCode: 0x80 })
    watcher.send({ cmd: "pubrec", messageId: b.messageId as number, reasonCode: 0x80 })
    await watcher.expectNothing()
    await watcher.disconnect()
    const again = await connect(5, lasting)
    await again.expectNothing()
  })

  it("more than the broker's Receive Maximum ends the connection [MQTT5-3.3.4-7]", async () => {
    const topic = unique()
    const client = await RawClient.open(broker.port, 5)
    const { properties } = await client.connect()
    const maximum = properties?.receiveMaximum ?? 65_535
    // QoS 2 without PUBREL: each stays.
    const packets: Array<Buffer> = []
    for (let id = 1; id <= maximum + 1; id++) packets.push(client.encode(client.publishPacket(topic, "", 2, id % 65_536 || 1)))
    client.sendBytes(Buffer.concat(packets))
    for (;;) {
      const packet = await client.nextPacket()
      if (packet.cmd === "pubrec") continue
      expect(packet).toMatchObject({ cmd: "disconnect", reasonCode: 0x93 })
      break
    }
    await client.expectClosed()
  })

  it("a PUBREC with an error frees the id at once [MQTT5-4.3.3-9]", async () => {
    const topic = unique()
    const watcher = await watch(5, topic, 2)
    const client = await connect(5)
    // Nobody but the broker publishes under $SYS.
    client.send(client.publishPacket("$SYS/forged", "no", 2, 3))
    const { reasonCode = 0 } = await client.expectPacket("pubrec", { messageId: 3 })
    expect(reasonCode).toBeGreaterThanOrEqual(0x80)
    client.send(client.publishPacket(topic, "yes", 2, 3))
    await client.expectPacket("pubrec", { messageId: 3 })
    await watcher.expectPublish(topic, "yes")
  })

  it("reason codes of acknowledgements are those of the packet [MQTT5-3.4.2-1] [MQTT5-3.5.2-1] [MQTT5-3.7.2-1]", async () => {
    const client = await connect(5)
    client.send(client.publishPacket(unique(), "x", 1, 1))
    const puback = await client.expectPacket("puback", { messageId: 1 })
    expect([0, 0x10]).toContain(puback.reasonCode)
    client.send(client.publishPacket(unique(), "x", 2, 2))
    const pubrec = await client.expectPacket("pubrec", { messageId: 2 })
    expect([0, 0x10]).toContain(pubrec.reasonCode)
    client.send({ cmd: "pubrel", messageId: 2 })
    await client.expectPacket("pubcomp", { messageId: 2, reasonCode: 0 })
  })

  it("expiry does not cut a QoS 2 delivery short [MQTT5-4.3.3-7] [MQTT5-4.3.3-13]", async () => {
    const topic = unique()
    const lasting: ConnectFields = { clientId: unique("c"), clean: false, properties: { sessionExpiryInterval: 60 } }
    const watcher = await watch(5, topic, 2, lasting)
    const client = await connect(5)
    client.send(client.publishPacket(topic, "brief", 2, 4, { properties: { messageExpiryInterval: 1 } }))
    await client.expectPacket("pubrec", { messageId: 4 })
    const { messageId } = await watcher.expectPublish(topic, "brief", { qos: 2 })
    watcher.destroy()
    await clockPast(Date.now() + 1600)
    client.send({ cmd: "pubrel", messageId: 4 })
    await client.expectPacket("pubcomp", { messageId: 4 })
    const again = await connect(5, lasting)
    await again.acknowledge(await again.expectPublish(topic, "brief", { messageId, dup: true }))
  })
})
