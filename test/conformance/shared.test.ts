/**
 * Shared subscriptions: section 4.8.2 of MQTT 5.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { type ConnectFields, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (fields: ConnectFields = {}, version: 3 | 4 | 5 = 5) => RawClient.connect(broker.port, version, fields)

const lasting = (clientId = unique("c")): ConnectFields => ({ clientId, clean: false, properties: { sessionExpiryInterval: 60 } })

describe("shared subscriptions", () => {
  it("$share/<name>/<filter> is one; what is not of that form is refused [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]", async () => {
    const client = await connect()
    const bad = ["$share/", "$share//a", "$share/a", "$share/a/", "$share/a+/b", "$share/#/b", "$share/+/b"]
    expect(await client.subscribe(bad)).toEqual(bad.map(() => 0x8f))
    expect(await client.subscribe([`$share/${unique()}/a`, `$share/${unique()}/#`, `$share/${unique()}//`])).toEqual([0, 0, 0])
  })

  it("each message goes to one member, each group gets it", async () => {
    const topic = unique()
    const groups = [unique("g"), unique("g")]
    const members = await Promise.all([connect(), connect(), connect(), connect()])
    for (const [i, member] of members.entries()) await member.subscribe(`$share/${groups[i % 2]}/${topic}`)
    const plain = await connect()
    await plain.subscribe(topic)
    const client = await connect()
    for (let i = 0; i < 20; i++) await client.publish(topic, String(i))
    for (let i = 0; i < 20; i++) await plain.expectPublish(topic, String(i))
    const counts: Array<number> = []
    for (const member of members) {
      member.send({ cmd: "pingreq" })
      let count = 0
      for (;;) {
        const packet = await member.nextPacket()
        if (packet.cmd === "pingresp") break
        count++
      }
      counts.push(count)
    }
    expect((counts[0] as number) + (counts[2] as number)).toBe(20)
    expect((counts[1] as number) + (counts[3] as number)).toBe(20)
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })

  it("a member gets messages at the QoS it was granted [MQTT5-4.8.2-3]", async () => {
    for (const qos of [0, 1, 2] as const) {
      const topic = unique()
      const member = await connect()
      expect(await member.subscribe(`$share/${unique("g")}/${topic}`, qos)).toEqual([qos])
      const client = await connect()
      for (const published of [0, 1, 2] as const) {
        await client.publish(topic, "x", published)
        await member.acknowledge(await member.expectPublish(topic, "x", { qos: Math.min(qos, published) }))
      }
    }
  })

  it("a shared subscription brings no retained messages", async () => {
    const topic = unique()
    const client = await connect()
    await client.publish(topic, "kept", 1, { retain: true })
    await client.subscribe(`$share/${unique("g")}/${topic}`)
    await client.expectNothing()
  })

  it("a QoS 2 delivery that has begun is completed with the same client when it returns [MQTT5-4.8.2-4]", async () => {
    const topic = unique()
    const group = unique("g")
    const fields = lasting()
    const first = await connect(fields)
    await first.subscribe(`$share/${group}/${topic}`, 2)
    const client = await connect()
    await client.publish(topic, "mine", 2)
    const { messageId } = await first.expectPublish(topic, "mine", { qos: 2 })
    const other = await connect(lasting())
    await other.subscribe(`$share/${group}/${topic}`, 2)
    first.destroy()
    const back = await connect(fields)
    await back.acknowledge(await back.expectPublish(topic, "mine", { messageId, dup: true }))
    await other.expectNothing()
  })

  it("a QoS 2 delivery that has begun goes to nobody else when the session ends [MQTT5-4.8.2-5]", async () => {
    const topic = unique()
    const group = unique("g")
    const fields = lasting()
    const first = await connect(fields)
    await first.subscribe(`$share/${group}/${topic}`, 2)
    const client = await connect()
    await client.publish(topic, "mine", 2)
    await first.expectPublish(topic, "mine", { qos: 2 })
    const other = await connect(lasting())
    await other.subscribe(`$share/${group}/${topic}`, 2)
    first.destroy()
    const again = await connect({ ...fields, clean: true })
    await again.disconnect()
    await client.publish(topic, "next", 2)
    await other.expectPublish(topic, "next")
    await other.expectNothing()
  })

  it("a message that a member refused goes to nobody else [MQTT5-4.8.2-6]", async () => {
    for (const qos of [1, 2] as const) {
      const topic = unique()
      const group = unique("g")
      const members = [await connect(), await connect()]
      const client = await connect()
      for (const member of members) await member.subscribe(`$share/${group}/${topic}`, 2)
      await client.publish(topic, "refused", qos)
      let refused = 0
      for (const member of members) {
        member.send({ cmd: "pingreq" })
        const packet = await member.nextPacket()
        if (packet.cmd !== "publish") continue
        refused++
        await member.expectPacket("pingresp")
        member.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId: packet.messageId as number, reasonCode: 0x80 })
      }
      expect(refused).toBe(1)
      for (const member of members) await member.expectNothing()
    }
  })

  it("a QoS 1 message of a member that left goes to another", async () => {
    const topic = unique()
    const group = unique("g")
    const first = await connect()
    await first.subscribe(`$share/${group}/${topic}`, 1)
    const client = await connect()
    await client.publish(topic, "work", 1)
    await first.expectPublish(topic, "work", { qos: 1 })
    const second = await connect()
    await second.subscribe(`$share/${group}/${topic}`, 1)
    first.destroy()
    await second.expectPublish(topic, "work", { qos: 1 })
  })

  it("clients of 3.1.1 may share, too", async () => {
    const topic = unique()
    const member = await connect({}, 4)
    await member.subscribe(`$share/${unique("g")}/${topic}`, 1)
    const client = await connect()
    await client.publish(topic, "x", 1)
    await member.expectPublish(topic, "x", { qos: 1 })
  })
})
