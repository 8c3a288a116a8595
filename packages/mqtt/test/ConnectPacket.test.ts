import { describe, expect, it } from "vitest"
import { MqttWorld } from "./support/MqttWorld.js"

describe("CONNECT", () => {
  it("is answered by CONNACK, in every version", async () => {
    const world = await MqttWorld.make()
    for (const version of [3, 4, 5] as const) {
      const client = world.connect(`c${version}`, { version })
      expect(client.connack).toMatchObject({
        cmd: "connack",
        sessionPresent: false,
        [version === 5 ? "reasonCode" : "returnCode"]: 0
      })
      expect(client.connection.isEstablished).toBe(true)
    }
  })

  it("gets an id where it brings none [MQTT-3.1.3-6]", async () => {
    const world = await MqttWorld.make()
    expect(world.connect("").connack).toMatchObject({ properties: { assignedClientIdentifier: "assigned1" } })
  })

  it("takes over from the connection before it with 0x8E [MQTT-3.1.4-3]", async () => {
    const world = await MqttWorld.make()
    const first = world.connect("a")
    const second = world.connect("a")
    expect(first.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x8e }])
    expect(first.closed).toBe(true)
    expect(second.closed).toBe(false)
    expect(world.tenant.registry.connectedCount).toBe(1)
  })

  it("finds its session again, and not where it asks for a clean start [MQTT-3.1.2-4]", async () => {
    const world = await MqttWorld.make()
    const properties = { sessionExpiryInterval: 100 }
    world.connect("a", { properties }).cut()
    expect(world.connect("a", { properties, clean: false }).connack).toMatchObject({ sessionPresent: true })
    expect(world.connect("a", { properties, clean: true }).connack).toMatchObject({ sessionPresent: false })
  })

  it("is not answered before a persistent session's header is durable", async () => {
    const world = await MqttWorld.make()
    const client = world.client(5)
    client.send({ cmd: "connect", clientId: "a", clean: true, keepalive: 0, properties: { sessionExpiryInterval: 10 } } as never)
    expect(client.take()).toEqual([])
    world.settle()
    expect(client.take()).toMatchObject([{ cmd: "connack", reasonCode: 0 }])
  })

  it("sets the idle time to one and a half times the keep alive [MQTT-3.1.2-22]", async () => {
    const world = await MqttWorld.make({ mqtt: { keepAliveSecondsMax: 60 } })
    expect(world.connect("a", { keepalive: 20 }).connection.idleTimeoutMs).toBe(30_000)
    const client = world.connect("b", { keepalive: 600 })
    expect(client.connack).toMatchObject({ properties: { serverKeepAlive: 60 } })
    expect(client.connection.idleTimeoutMs).toBe(90_000)
    client.machine.onIdle()
    expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x8d }])
  })

  it("says in CONNACK what is not as usual", async () => {
    const world = await MqttWorld.make({
      mqtt: {
        maximumQos: 1,
        retainAvailable: false,
        receiveMaximum: 10,
        sharedSubscriptionAvailable: false,
        sessionExpirySecondsMax: 5
      }
    })
    expect(world.connect("a", { properties: { sessionExpiryInterval: 100 } }).connack).toMatchObject({
      properties: {
        maximumQoS: 1,
        retainAvailable: false,
        receiveMaximum: 10,
        sharedSubscriptionAvailable: false,
        sessionExpiryInterval: 5,
        topicAliasMaximum: 64
      }
    })
  })

  it("is refused with a will that the server does not support", async () => {
    const world = await MqttWorld.make({ mqtt: { maximumQos: 1, retainAvailable: false } })
    const will = (qos: 0 | 2, retain: boolean) => ({ topic: "w", payload: Buffer.from("x"), qos, retain })
    expect(world.connect("a", { will: will(2, false) }).connack).toMatchObject({ reasonCode: 0x9b })
    expect(world.connect("b", { will: will(0, true) }).connack).toMatchObject({ reasonCode: 0x9a })
  })

  it("a second one ends the connection [MQTT-3.1.0-2]", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("a")
    const answer = client.ask({ cmd: "connect", clientId: "a", clean: true, keepalive: 0 } as never)
    expect(answer).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }])
    expect(client.closed).toBe(true)
  })

  it("says goodbye with 0x8B when the node stops", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("a")
    client.machine.onShutdown()
    expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x8b }])
  })
})
