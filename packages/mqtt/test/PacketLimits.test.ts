/**
 * Packets that would cost too much: too many user properties, and more unfinished packets than there is memory for.
 */
import type * as mqtt from "mqtt-packet"
import { describe, expect, it } from "vitest"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const userProperties = (count: number) => ({ userProperties: { a: Array.from({ length: count }, (_, index) => `${index}`) } })

const connectWith = (client: WorldClient, fields: object) =>
  client.ask({ cmd: "connect", clientId: "c", clean: true, keepalive: 0, ...fields } as mqtt.Packet)

describe("user properties", () => {
  const limited = () => MqttWorld.make({ mqtt: { userPropertiesMax: 3 } })

  it("of PUBLISH up to the limit pass, one more ends the connection with 0x97", async () => {
    const world = await limited()
    const subscriber = world.connect("s")
    subscriber.subscribe("a")
    const client = world.connect("p")
    client.publish("a", "x", { properties: userProperties(3) })
    expect(subscriber.take()).toMatchObject([{ cmd: "publish", properties: { userProperties: { a: ["0", "1", "2"] } } }])
    expect(client.publish("a", "x", { properties: userProperties(4) })).toMatchObject([{ cmd: "disconnect", reasonCode: 0x97 }])
    expect(client.closed).toBe(true)
    expect(subscriber.take()).toEqual([])
  })

  it("of CONNECT and of its will count apart; one more in either is refused with 0x97", async () => {
    const world = await limited()
    const will = (count: number) => ({
      will: { topic: "w", payload: Buffer.from("x"), qos: 0, retain: false, properties: userProperties(count) }
    })
    expect(connectWith(world.client(), { properties: userProperties(3), ...will(3) })).toMatchObject([
      { cmd: "connack", reasonCode: 0 }
    ])
    expect(connectWith(world.client(), { properties: userProperties(4) })).toMatchObject([{ cmd: "connack", reasonCode: 0x97 }])
    expect(connectWith(world.client(), will(4))).toMatchObject([{ cmd: "connack", reasonCode: 0x97 }])
  })

  it.each([
    { cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 0 }] },
    { cmd: "unsubscribe", messageId: 1, unsubscriptions: ["a"] },
    { cmd: "puback", messageId: 1, reasonCode: 0 },
    { cmd: "disconnect", reasonCode: 0 }
  ])("of $cmd have the same limit", async (packet) => {
    const world = await limited()
    const client = world.connect("p")
    const [answer] = client.ask({ ...packet, properties: userProperties(4) } as mqtt.Packet)
    expect(answer).toMatchObject({ cmd: "disconnect", reasonCode: 0x97 })
  })
})

describe("filters of one packet", () => {
  const limited = () => MqttWorld.make({ mqtt: { filtersPerPacketMax: 3 } })
  const filters = (count: number) => Array.from({ length: count }, (_, index) => `${index}`)
  const subscribe = (count: number) =>
    ({ cmd: "subscribe", messageId: 1, subscriptions: filters(count).map((topic) => ({ topic, qos: 0 })) }) as mqtt.Packet
  const unsubscribe = (count: number) => ({ cmd: "unsubscribe", messageId: 1, unsubscriptions: filters(count) }) as mqtt.Packet

  it("up to the limit are answered, one more ends the connection with 0x97 and does nothing", async () => {
    const world = await limited()
    const client = world.connect("c")
    expect(client.ask(subscribe(3))).toMatchObject([{ cmd: "suback", granted: [0, 0, 0] }])
    expect(client.ask(unsubscribe(3))).toMatchObject([{ cmd: "unsuback", granted: [0, 0, 0] }])
    expect(client.ask(subscribe(4))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x97 }])
    expect(client.closed).toBe(true)
    const other = world.connect("o")
    other.ask(subscribe(1))
    expect(other.ask(unsubscribe(4))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x97 }])
    expect(world.tenant.space.routes.subscriptionCount).toBe(0)
    expect(world.lines.filter(({ message }) => message === "protocol error")).toMatchObject([
      { fields: { clientId: "c", error: "more than 3 filters in a packet" } },
      { fields: { clientId: "o", error: "more than 3 filters in a packet" } }
    ])
  })

  it.each([3, 4] as const)("version %i: one more closes the connection without a word", async (version) => {
    const world = await limited()
    for (const packet of [subscribe, unsubscribe]) {
      const client = world.connect("c", { version })
      expect(client.ask(packet(3))).toHaveLength(1)
      expect(client.ask(packet(4))).toEqual([])
      expect(client.closed).toBe(true)
    }
  })
})

describe("unfinished packets", () => {
  /** The beginning of a PUBLISH of 1,000,000 bytes. */
  const begun = (bytes: number) => Buffer.concat([Buffer.from([0x30, 0xbd, 0x84, 0x3d, 0, 1, 0x74, 0]), Buffer.alloc(bytes - 8)])

  it("take no more together than there is for them: that connection ends with 0x97, others are served", async () => {
    const world = await MqttWorld.make({ mqtt: { unfinishedPacketsBytesMax: 100_000 } })
    const [one, two, three] = ["one", "two", "three"].map((clientId) => world.connect(clientId)) as [
      WorldClient,
      WorldClient,
      WorldClient
    ]
    one.raw(begun(40_000))
    two.raw(begun(40_000))
    expect(two.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x97 }])
    expect(two.closed).toBe(true)
    // Before CONNACK it is told there.
    const old = world.client(4)
    old.raw(Buffer.concat([Buffer.from([0x10, 0xbd, 0x84, 0x3d, 0, 4, 77, 81, 84, 84, 4, 2, 0, 0]), Buffer.alloc(40_000)]))
    expect(old.closed).toBe(true)
    expect(world.context.packetLimits).toMatchObject({ unfinishedBytes: 80_000, unfinishedRefused: 2 })
    three.subscribe("a")
    expect(three.publish("a", "x")).toMatchObject([{ cmd: "publish", topic: "a" }])
    // One line for both, until some time has passed.
    expect(world.lines.filter(({ level }) => level === "warn")).toMatchObject([{ fields: { clientId: "two", count: 1 } }])
    // What a WebSocket holds of a message counts with it.
    one.machine.onUnfinished(10_000)
    expect(world.context.packetLimits.unfinishedBytes).toBe(90_000)
    one.machine.onUnfinished(4096)
    expect(world.context.packetLimits.unfinishedBytes).toBe(80_000)
    one.machine.onUnfinished(20_000)
    const four = world.connect("four")
    four.machine.onUnfinished(10_000)
    expect(four.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x97 }])
    one.cut()
    expect(world.context.packetLimits.unfinishedBytes).toBe(0)
    three.raw(begun(40_000))
    expect(three.closed).toBe(false)
    world.advance(10_000)
    const next = world.connect("next")
    next.raw(begun(40_000))
    expect(world.lines.filter(({ level }) => level === "warn")).toMatchObject([{}, { fields: { clientId: "next", count: 3 } }])
  })
})
