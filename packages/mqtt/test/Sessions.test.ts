import { describe, expect, it } from "vitest"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const persistent = (seconds = 100) => ({ clean: false, properties: { sessionExpiryInterval: seconds } })
const will = (delay = 0, more: object = {}) => ({
  will: {
    topic: "w",
    payload: Buffer.from("gone"),
    qos: 1 as const,
    retain: false,
    properties: { willDelayInterval: delay },
    ...more
  }
})
const payloads = (client: WorldClient) =>
  client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ payload }) => String(payload))

describe("wills", () => {
  const watch = async () => {
    const world = await MqttWorld.make()
    const watcher = world.connect("watcher")
    watcher.subscribe("w")
    return { world, watcher }
  }

  it("are published when the connection breaks [MQTT-3.1.2-8], not after a goodbye [MQTT-3.14.4-3]", async () => {
    const { world, watcher } = await watch()
    world.connect("a", will()).cut()
    world.settle()
    expect(payloads(watcher)).toEqual(["gone"])
    world.connect("a", will()).ask({ cmd: "disconnect", reasonCode: 0 } as never)
    expect(payloads(watcher)).toEqual([])
    world.connect("a", will()).ask({ cmd: "disconnect", reasonCode: 4 } as never)
    expect(payloads(watcher)).toEqual(["gone"])
  })

  it("wait for their delay, and are not published where the client is back in time [MQTT-3.1.3-9]", async () => {
    const { world, watcher } = await watch()
    world.connect("a", { ...will(10), ...persistent() }).cut()
    world.advance(5000)
    const again = world.connect("a", { ...will(10), ...persistent() })
    world.advance(20_000)
    expect(payloads(watcher)).toEqual([])
    again.cut()
    world.advance(10_001)
    world.settle()
    expect(payloads(watcher)).toEqual(["gone"])
    world.advance(10_001)
    expect(payloads(watcher)).toEqual([])
  })

  it("do not outwait their session", async () => {
    const { world, watcher } = await watch()
    world.connect("a", { ...will(50), ...persistent(5) }).cut()
    world.advance(5001)
    expect(payloads(watcher)).toEqual(["gone"])
    world.connect("b", will(50)).cut()
    expect(payloads(watcher)).toEqual(["gone"])
    world.connect("c", { ...will(50), ...persistent() }).cut()
    world.connect("c", { clean: true })
    expect(payloads(watcher)).toEqual(["gone"])
  })

  it("are none where the connection ended, or was taken over, before it was accepted", async () => {
    const { world, watcher } = await watch()
    const events: Array<string> = []
    world.tenant.registry.events = {
      ...world.tenant.registry.events,
      connected: ({ clientId }) => events.push(`${clientId} connected`),
      disconnected: ({ clientId }, reason) => events.push(`${clientId} ${reason}`)
    }
    /** What waits for its session to be durable. */
    const begin = () => {
      const client = world.client()
      client.send({ cmd: "connect", clientId: "a", keepalive: 0, ...persistent(), ...will() } as never)
      return client
    }
    const first = begin()
    const second = begin()
    expect(first.take()).toMatchObject([{ cmd: "connack", reasonCode: 0x88 }])
    second.cut()
    const third = begin()
    world.settle()
    expect(third.take()).toMatchObject([{ cmd: "connack", reasonCode: 0 }])
    expect(payloads(watcher)).toEqual([])
    expect(events).toEqual(["a connected"])
    third.cut()
    world.settle()
    expect(payloads(watcher)).toEqual(["gone"])
    expect(events).toEqual(["a connected", "a connection-lost"])
  })

  it("of a connection that was taken over are published, unless they wait and the session goes on", async () => {
    const { world, watcher } = await watch()
    world.connect("a", { ...will(0), ...persistent() })
    world.connect("a", persistent())
    expect(payloads(watcher)).toEqual(["gone"])
    world.connect("b", { ...will(5), ...persistent() })
    world.connect("b", persistent())
    world.advance(10_000)
    expect(payloads(watcher)).toEqual([])
    world.connect("c", { ...will(5), ...persistent() })
    world.connect("c", { clean: true })
    expect(payloads(watcher)).toEqual(["gone"])
  })

  it("of persistent sessions survive a crash", async () => {
    const { world } = await watch()
    world.connect("keeper", persistent()).subscribe("w", { qos: 1 })
    world.connect("a", { ...will(3, { properties: { willDelayInterval: 3, contentType: "t" } }), ...persistent() })
    const again = await world.crash()
    again.advance(3001)
    again.settle()
    expect(again.connect("keeper", persistent()).take()).toMatchObject([
      { topic: "w", payload: Buffer.from("gone"), qos: 1, properties: { contentType: "t" } }
    ])
    again.settle()
    const third = await again.crash()
    third.advance(10_000)
    expect(third.tenant.registry.willsPublished).toBe(0)
  })

  it("may not be published where their client may not", async () => {
    const world = await MqttWorld.make({ permissions: { publish: () => false, subscribe: () => true } })
    expect(world.connect("a", will()).connack).toMatchObject({ reasonCode: 0x87 })
  })
})

describe("sessions", () => {
  it("expire", async () => {
    const world = await MqttWorld.make()
    world.connect("a", persistent(5)).cut()
    world.advance(4000)
    expect(world.connect("a", persistent(5)).connack).toMatchObject({ sessionPresent: true })
    world.tenant.registry.kick("a")
    world.advance(5001)
    expect(world.tenant.registry.size).toBe(0)
    expect(world.connect("a", persistent(5)).connack).toMatchObject({ sessionPresent: false })
  })

  it("end with their connection where they do not expire later, and DISCONNECT may change that", async () => {
    const world = await MqttWorld.make()
    world.connect("a").cut()
    expect(world.tenant.registry.size).toBe(0)
    world.connect("b", persistent()).ask({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 0 } } as never)
    expect(world.tenant.registry.size).toBe(0)
    const client = world.connect("c")
    const answer = client.ask({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 5 } } as never)
    expect(answer).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }])
  })

  it("of older clients last as long as may be where Clean Session is 0", async () => {
    const world = await MqttWorld.make()
    const first = world.connect("a", { version: 4, clean: false })
    first.subscribe("t", { qos: 1 })
    first.cut()
    world.connect("p").publish("t", "x", { qos: 1, messageId: 1 })
    world.advance(86_400_000)
    const second = world.connect("a", { version: 4, clean: false })
    expect(second.connack).toMatchObject({ sessionPresent: true })
    expect(payloads(second)).toEqual(["x"])
    second.cut()
    world.connect("a", { version: 4, clean: true }).cut()
    expect(world.connect("a", { version: 4, clean: false }).connack).toMatchObject({ sessionPresent: false })
  })

  it("are there after a crash with subscriptions, queued and in-flight messages, and can then end for good", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("a", { clean: false, properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } })
    client.subscribe("t/#", { qos: 2 })
    client.subscribe("u", { qos: 1 }, { subscriptionIdentifier: 3 })
    const publisher = world.connect("p")
    for (const [index, topic] of ["t/1", "u", "t/2"].entries()) publisher.publish(topic, topic, { qos: 1, messageId: index + 1 })
    expect(payloads(client)).toEqual(["t/1"])
    world.save()
    world.settle()
    const again = await world.crash()
    const back = again.connect("a", persistent())
    expect(back.connack).toMatchObject({ sessionPresent: true })
    const packets = back.take()
    expect(packets.map(({ payload }) => String(payload)).sort()).toEqual(["t/1", "t/2", "u"])
    expect(packets.find(({ topic }) => topic === "t/1")).toMatchObject({ dup: true })
    expect(packets.find(({ topic }) => topic === "u")).toMatchObject({ properties: { subscriptionIdentifier: 3 } })
    again.connect("a", { clean: true })
    again.settle()
    const third = await again.crash()
    expect(third.tenant.registry.size).toBe(0)
    expect(third.connect("a", persistent()).connack).toMatchObject({ sessionPresent: false })
  })

  it("keep filters as they were rewritten, over a crash too", async () => {
    const rewrite = [{ action: "subscribe", source: "x/#", regex: "^x/(.+)$", dest: "y/$1" }] as const
    const world = await MqttWorld.make({ mqtt: { rewrite } })
    world.connect("a", persistent()).subscribe("x/1", { qos: 1 })
    const again = await world.crash()
    const publisher = again.connect("p")
    publisher.publish("x/1", "x", { qos: 1, messageId: 1 })
    publisher.publish("y/1", "y", { qos: 1, messageId: 1 })
    const back = again.connect("a", persistent())
    expect(payloads(back)).toEqual(["y"])
    expect(back.ask({ cmd: "unsubscribe", messageId: 1, unsubscriptions: ["x/1"] })).toMatchObject([{ granted: [0] }])
    expect(again.tenant.space.routes.subscriptionCount).toBe(0)
  })

  it("get the rest of their retained messages after a crash", async () => {
    const world = await MqttWorld.make()
    const publisher = world.connect("p")
    for (const index of [1, 2, 3]) publisher.publish(`r/${index}`, `${index}`, { qos: 1, messageId: 1, retain: true })
    const client = world.connect("a", { clean: false, properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } })
    client.subscribe("r/#", { qos: 1 })
    const again = await world.crash()
    const back = again.connect("a", persistent())
    expect(new Set(payloads(back))).toEqual(new Set(["1", "2", "3"]))
    expect(back.closed).toBe(false)
  })

  it("are not told that they are kept while they cannot be", async () => {
    const world = await MqttWorld.make()
    for (let partition = 0; partition < 2; partition++) world.shard(`__sessions/${partition}`).broken = true
    const client = world.connect("a", persistent())
    expect(client.connack).toMatchObject({ cmd: "connack", reasonCode: 0x83 })
    expect(client.closed).toBe(true)
    expect(world.connect("b").connack).toMatchObject({ reasonCode: 0 })
  })

  it("are listed, and may be deleted", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("a", persistent())
    client.subscribe("t", { qos: 1 })
    expect(world.tenant.registry.list()).toMatchObject([
      { clientId: "a", connected: true, durable: true, subscriptions: 1, version: 5 }
    ])
    expect(world.tenant.registry.delete("a")).toBe(true)
    expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x98 }])
    expect(world.tenant.registry.size).toBe(0)
    expect(world.tenant.space.routes.subscriptionCount).toBe(0)
    expect(world.tenant.registry.delete("a")).toBe(false)
  })
})
