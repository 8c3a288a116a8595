import { RateLimiter } from "@effectmq/security/core/RateLimiter"
import type { TenantQuota } from "@effectmq/schemas/metadata/Tenant"
import { describe, expect, it } from "vitest"
import { pauseFor } from "../src/core/ConnectionMachine.js"
import { MqttWorld } from "./support/MqttWorld.js"

const rate = (messagesPerSecond: number, bytesPerSecond = 0) => ({ messagesPerSecond, bytesPerSecond })

describe("a client over its rate", () => {
  it("is not read from until that is made up for", async () => {
    const world = await MqttWorld.make({ mqtt: { clientRate: rate(10) } })
    const client = world.connect("a")
    const { connection } = client
    for (let index = 0; index < 10; index++) client.publish("t", "x")
    expect(connection.paused).toBe(0)
    for (let index = 0; index < 5; index++) client.publish("t", "x")
    expect(connection.paused).toBe(pauseFor.rate)
    expect(world.context.counters.publishesReceived).toBe(15)
    world.advance(499)
    expect(connection.paused).toBe(pauseFor.rate)
    world.advance(1)
    expect(connection.paused).toBe(0)
  })

  it("is slowed by bytes as well, whether or not they make a whole packet", async () => {
    const world = await MqttWorld.make({ mqtt: { clientRate: rate(0, 1000) } })
    const client = world.connect("a", { version: 4 })
    world.advance(1000)
    // The beginning of a PUBLISH of 16,384 bytes.
    client.raw(Buffer.concat([Buffer.from([0x30, 0x80, 0x80, 0x01, 0, 1, 0x74]), Buffer.alloc(2493)]))
    expect(client.connection.paused).toBe(pauseFor.rate)
    world.advance(1499)
    expect(client.connection.paused).toBe(pauseFor.rate)
    world.advance(1)
    expect(client.connection.paused).toBe(0)
  })

  it("is not taken for silent meanwhile", async () => {
    const world = await MqttWorld.make({ mqtt: { clientRate: rate(1) } })
    const client = world.connect("a", { keepalive: 1 })
    for (let index = 0; index < 10; index++) client.publish("t", "x")
    client.machine.onIdle()
    expect(client.closed).toBe(false)
    world.advance(9000)
    expect(client.connection.paused).toBe(0)
    client.machine.onIdle()
    expect(client.closed).toBe(true)
  })

  it("slows nobody else, where it is not the tenant's rate", async () => {
    const world = await MqttWorld.make({ mqtt: { clientRate: rate(1) } })
    const [loud, quiet] = [world.connect("loud"), world.connect("quiet")]
    for (let index = 0; index < 3; index++) loud.publish("t", "x")
    quiet.publish("t", "x")
    expect([loud.connection.paused, quiet.connection.paused]).toEqual([pauseFor.rate, 0])
  })
})

describe("a tenant over its rate", () => {
  it("has each of its clients that publish slowed", async () => {
    const world = await MqttWorld.make({ mqtt: { tenantRate: rate(10) } })
    const clients = ["a", "b", "c"].map((name) => world.connect(name))
    for (let index = 0; index < 5; index++) for (const client of clients.slice(0, 2)) client.publish("t", "x")
    expect(clients.map(({ connection }) => connection.paused)).toEqual([0, 0, 0])
    for (const client of clients.slice(0, 2)) client.publish("t", "x")
    expect(clients.map(({ connection }) => connection.paused)).toEqual([pauseFor.rate, pauseFor.rate, 0])
  })

  it("follows its quota when that changes", async () => {
    const limiter = new RateLimiter({})
    const world = await MqttWorld.make({ quotas: { quota: () => ({}), rate: () => limiter } })
    const client = world.connect("a")
    for (let index = 0; index < 50; index++) client.publish("t", "x")
    expect(client.connection.paused).toBe(0)
    limiter.configure({ messagesPerSecond: 1 })
    client.publish("t", "x")
    client.publish("t", "x")
    expect(client.connection.paused).toBe(pauseFor.rate)
  })
})

describe("a tenant's quota", () => {
  const make = async (quota: TenantQuota) => {
    const limiter = new RateLimiter({})
    return MqttWorld.make({ quotas: { quota: () => quota, rate: () => limiter } })
  }

  it("bounds its clients; one that takes over is none more", async () => {
    const world = await make({ connectionsMax: 2 })
    world.connect("a")
    const second = world.connect("b")
    expect(world.connect("c").connack).toMatchObject({ reasonCode: 0x97 })
    expect(world.connect("c", { version: 4 }).connack).toMatchObject({ returnCode: 3 })
    expect(world.connect("b").connack).toMatchObject({ reasonCode: 0 })
    expect(second.closed).toBe(true)
    expect(world.tenant.registry.connectedCount).toBe(2)
  })

  it("bounds its subscriptions", async () => {
    const world = await make({ subscriptionsMax: 2 })
    const client = world.connect("a")
    client.subscribe("a")
    client.subscribe("$share/g/b")
    expect(client.subscribe("c")).toMatchObject([{ granted: [0x97] }])
    expect(client.subscribe("a", { qos: 1 })).toMatchObject([{ granted: [1] }])
    expect(world.connect("b").subscribe("c")).toMatchObject([{ granted: [0x97] }])
    client.ask({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["a"] })
    expect(world.connect("b").subscribe("c")).toMatchObject([{ granted: [0] }])
  })
})

describe("the bound on persistent sessions", () => {
  const persistent = { clean: false, properties: { sessionExpiryInterval: 100 } } as const
  const two = { mqtt: { persistentSessionsMax: 2 } }

  it("refuses a client that would have one more, and nobody else", async () => {
    const world = await MqttWorld.make(two)
    const first = world.connect("a", persistent)
    world.connect("b", { version: 4, clean: false })
    expect(world.connect("c", persistent).connack).toMatchObject({ reasonCode: 0x97, sessionPresent: false })
    expect(world.connect("c", { version: 4, clean: false }).connack).toMatchObject({ returnCode: 3 })
    expect(world.connect("c", { version: 3, clean: false }).connack).toMatchObject({ returnCode: 3 })
    // Sessions that end with their connections are not stored.
    expect(world.connect("c").connack).toMatchObject({ reasonCode: 0 })
    // Its own it has already, also where it is away, takes over or begins anew.
    first.cut()
    for (const clean of [false, true, false]) {
      expect(world.connect("a", { ...persistent, clean }).connack).toMatchObject({ reasonCode: 0, sessionPresent: !clean })
    }
    expect(world.tenant.registry.persistentCount).toBe(2)
  })

  it("has room again when a session has ended, and counts those from before a restart", async () => {
    const world = await MqttWorld.make(two)
    world.connect("a", persistent)
    world.connect("b", persistent).cut()
    world.settle()
    const again = await world.crash()
    expect(again.tenant.registry.persistentCount).toBe(2)
    expect(again.connect("c", persistent).connack).toMatchObject({ reasonCode: 0x97 })
    expect(again.connect("a", persistent).connack).toMatchObject({ reasonCode: 0, sessionPresent: true })
    again.tenant.registry.delete("b")
    expect(again.connect("c", persistent).connack).toMatchObject({ reasonCode: 0 })
    again.advance(1000)
    expect(again.tenant.registry.persistentCount).toBe(2)
  })

  it("of 0 lets nobody keep a session", async () => {
    const world = await MqttWorld.make({ mqtt: { persistentSessionsMax: 0 } })
    expect(world.connect("a", persistent).connack).toMatchObject({ reasonCode: 0x97 })
    expect(world.connect("a").connack).toMatchObject({ reasonCode: 0 })
  })

  it("takes nothing from a client that it refuses: its connection of before goes on", async () => {
    const world = await MqttWorld.make(two)
    for (const clientId of ["a", "b"]) world.connect(clientId, persistent)
    const transient = world.connect("c")
    expect(world.connect("c", persistent).connack).toMatchObject({ reasonCode: 0x97 })
    expect(transient.closed).toBe(false)
  })
})
