import { describe, expect, it } from "vitest"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const persistent = { clean: false, properties: { sessionExpiryInterval: 100 } }
const payloads = (client: WorldClient) =>
  client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ payload }) => String(payload))

describe("SUBSCRIBE", () => {
  it("answers each filter, in order", async () => {
    const world = await MqttWorld.make({ permissions: { publish: () => true, subscribe: (filter) => filter !== "no" } })
    const client = world.connect("a")
    const subscriptions = ["ok", "a/#/b", "no", "$share/g/x", "$share//x"].map((topic) => ({ topic, qos: 1 as const }))
    expect(client.ask({ cmd: "subscribe", messageId: 3, subscriptions })).toMatchObject([
      { cmd: "suback", messageId: 3, granted: [1, 0x8f, 0x87, 1, 0x8f] }
    ])
    const old = world.connect("b", { version: 4 })
    expect(old.ask({ cmd: "subscribe", messageId: 3, subscriptions })).toMatchObject([{ granted: [1, 0x80, 0x80, 1, 0x80] }])
  })

  it("brings retained messages as Retain Handling says [MQTT-3.3.1-9 to -11]", async () => {
    const world = await MqttWorld.make()
    world.connect("p").publish("a/1", "kept", { retain: true, qos: 1, messageId: 1 })
    const client = world.connect("s")
    const got = (rh: 0 | 1 | 2) => client.subscribe("a/#", { qos: 1, rh }).filter(({ cmd }) => cmd === "publish").length
    expect([got(2), got(1), got(0), got(0)]).toEqual([0, 0, 1, 1])
    client.ask({ cmd: "unsubscribe", messageId: 1, unsubscriptions: ["a/#"] })
    expect(client.subscribe("a/#", { qos: 1, rh: 1 })).toMatchObject([
      { cmd: "suback" },
      { cmd: "publish", retain: true, topic: "a/1" }
    ])
    expect(client.subscribe("$share/g/a/#", { qos: 1 })).toMatchObject([{ cmd: "suback" }])
  })

  it("gets retained messages within the receive maximum, however many there are", async () => {
    const world = await MqttWorld.make()
    const publisher = world.connect("p")
    for (let index = 0; index < 50; index++) publisher.publish(`r/${index}`, `${index}`, { retain: true, qos: 1, messageId: 1 })
    const client = world.connect("s", { properties: { receiveMaximum: 3 } })
    let packets = client.subscribe("r/#", { qos: 1 }).filter(({ cmd }) => cmd === "publish")
    let count = 0
    while (packets.length > 0) {
      expect(packets.length).toBeLessThanOrEqual(3)
      count += packets.length
      for (const { messageId } of packets) client.send({ cmd: "puback", messageId: messageId as number, reasonCode: 0 } as never)
      packets = client.take()
    }
    expect(count).toBe(50)
  })

  it("passes RETAIN on only where asked [MQTT-3.3.1-12], [MQTT-3.3.1-13], and not one's own where No Local", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("s")
    client.subscribe("a", { rap: true })
    client.subscribe("b", { rap: false })
    client.subscribe("c", { nl: true })
    const publisher = world.connect("p")
    publisher.publish("a", "x", { retain: true })
    publisher.publish("b", "x", { retain: true })
    expect(client.take()).toMatchObject([
      { topic: "a", retain: true },
      { topic: "b", retain: false }
    ])
    expect(client.publish("c", "x")).toEqual([])
    expect(client.subscribe("$share/g/a", { nl: true })).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }])
  })

  it("puts the identifiers of all that match on one message [MQTT-3.3.4-4]", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("s")
    client.subscribe("a/+", { qos: 0 }, { subscriptionIdentifier: 7 })
    client.subscribe("a/#", { qos: 0 }, { subscriptionIdentifier: 9 })
    world.connect("p").publish("a/b", "x")
    const packets = client.take()
    expect(packets).toHaveLength(1)
    expect(packets).toMatchObject([{ properties: { subscriptionIdentifier: expect.arrayContaining([7, 9]) } }])
  })

  it("loses nothing that waits when it replaces one [MQTT-3.8.4-4]", async () => {
    const world = await MqttWorld.make()
    world.connect("s", persistent).subscribe("a", { qos: 1 })
    world.tenant.registry.kick("s")
    world.settle()
    const publisher = world.connect("p")
    publisher.publish("a", "1", { qos: 1, messageId: 1 })
    const client = world.client(5)
    client.send({ cmd: "connect", clientId: "s", keepalive: 0, ...persistent } as never)
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 1 }] } as never)
    world.settle()
    expect(payloads(client)).toEqual(["1"])
  })

  it("ends with UNSUBSCRIBE [MQTT-3.10.4-1]", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("s")
    client.subscribe("a")
    expect(client.ask({ cmd: "unsubscribe", messageId: 4, unsubscriptions: ["a", "b"] })).toMatchObject([
      { cmd: "unsuback", messageId: 4, granted: [0, 0x11] }
    ])
    world.connect("p").publish("a", "x")
    expect(client.take()).toEqual([])
  })

  it("is bounded by subscriptionsPerClientMax", async () => {
    const world = await MqttWorld.make({ mqtt: { subscriptionsPerClientMax: 1 } })
    const client = world.connect("s")
    expect([client.subscribe("a"), client.subscribe("b"), client.subscribe("a", { qos: 1 })]).toMatchObject([
      [{ granted: [0] }],
      [{ granted: [0x97] }],
      [{ granted: [1] }]
    ])
  })

  it("with $exclusive/ belongs to one client at a time", async () => {
    const world = await MqttWorld.make()
    const first = world.connect("a")
    const second = world.connect("b")
    expect(first.subscribe("$exclusive/x")).toMatchObject([{ granted: [0] }])
    expect(second.subscribe("$exclusive/x")).toMatchObject([{ granted: [0x97] }])
    second.publish("x", "1")
    expect(payloads(first)).toEqual(["1"])
    first.cut()
    expect(second.subscribe("$exclusive/x")).toMatchObject([{ granted: [0] }])
  })
})

describe("shared subscriptions", () => {
  it("give each message to one member; what a member left unacknowledged goes to another", async () => {
    const world = await MqttWorld.make()
    const members = ["a", "b"].map((clientId) => world.connect(clientId, persistent))
    for (const member of members) member.subscribe("$share/g/t", { qos: 1 })
    const publisher = world.connect("p")
    for (let messageId = 1; messageId <= 4; messageId++) publisher.publish("t", `${messageId}`, { qos: 1, messageId })
    const [a, b] = members as [WorldClient, WorldClient]
    expect(payloads(a)).toEqual(["1", "3"])
    const held = b.take()
    expect(held.map(({ payload }) => String(payload))).toEqual(["2", "4"])
    b.ask({ cmd: "puback", messageId: held[0]?.["messageId"] as number, reasonCode: 0 } as never)
    b.cut()
    world.settle()
    expect(payloads(a)).toEqual(["4"])
  })

  it("leave a QoS 2 message with the member that has begun it [MQTT-4.8.2-4]", async () => {
    const world = await MqttWorld.make()
    const a = world.connect("a", persistent)
    a.subscribe("$share/g/t", { qos: 2 })
    const publisher = world.connect("p")
    publisher.publish("t", "1", { qos: 2, messageId: 1 })
    expect(a.take()).toMatchObject([{ cmd: "publish", qos: 2, dup: false }])
    a.cut()
    const b = world.connect("b", persistent)
    b.subscribe("$share/g/t", { qos: 2 })
    expect(payloads(b)).toEqual([])
    expect(world.connect("a", persistent).take()).toMatchObject([{ cmd: "publish", qos: 2, dup: true }])
  })
})
