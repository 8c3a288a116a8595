/**
 * Tenants: clients of one see nothing of another. No specification asks for them; see docs/protocols/mqtt-extensions.md.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, isStandIn, startBroker } from "./broker.js"
import { RawClient, unique } from "./RawClient.js"

const api = async (broker: Broker, method: string, path: string, body?: unknown) => {
  const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
}

const connack = async (broker: Broker, version: 4 | 5, fields: { readonly username: string; readonly password?: string }) => {
  const client = await RawClient.open(broker.port, version)
  client.send(client.connectPacket(fields))
  const { reasonCode, returnCode } = await client.expectPacket("connack")
  client.destroy()
  return reasonCode ?? returnCode
}

describe.skipIf(isStandIn)("tenants", () => {
  let broker: Broker
  beforeAll(async () => {
    broker = await startBroker()
    await api(broker, "PUT", "/tenants/shop", {})
    await api(broker, "PUT", "/users/ann", { password: "of default" })
    await api(broker, "PUT", "/users/ann?tenant=shop", { password: "of shop" })
  })
  afterAll(() => broker?.stop())

  const ofDefault = { username: "ann", password: "of default" }
  const ofShop = { username: "shop:ann", password: "of shop" }

  it.each([4, 5] as const)(
    "version %i: a client of another tenant does not see topics, retained or not, nor share client ids",
    async (version) => {
      const topic = unique()
      const clientId = unique("c")
      const here = await RawClient.connect(broker.port, version, { ...ofDefault, clientId })
      const there = await RawClient.connect(broker.port, version, { ...ofShop, clientId })
      await here.subscribe(`${topic}/#`)
      await here.publish(`${topic}/kept`, "of default", 0, { retain: true })
      await here.expectPublish(`${topic}/kept`, "of default")
      await there.subscribe("#")
      await there.expectNothing()
      await there.publish(`${topic}/now`, "of shop", 0)
      await there.expectPublish(`${topic}/now`, "of shop")
      await here.expectNothing()
      for (const client of [here, there]) client.destroy()
    }
  )

  it("a password holds in its own tenant only", async () => {
    expect(await connack(broker, 5, { ...ofShop, password: ofDefault.password })).toBe(0x86)
    expect(await connack(broker, 5, { ...ofDefault, password: ofShop.password })).toBe(0x86)
    expect(await connack(broker, 5, { ...ofDefault, username: "default:ann" })).toBe(0)
  })

  it("a tenant that does not exist is not authorized", async () => {
    expect(await connack(broker, 5, { ...ofShop, username: "shpo:ann" })).toBe(0x87)
    expect(await connack(broker, 4, { ...ofShop, username: "shpo:ann" })).toBe(5)
  })

  it("a tenant's quota bounds its clients and nobody else's", async () => {
    await api(broker, "PUT", "/tenants/small", { connectionsMax: 2 })
    await api(broker, "PUT", "/users/ann?tenant=small", { password: "x" })
    const ofSmall = { username: "small:ann", password: "x" }
    const clients = [await RawClient.connect(broker.port, 5, ofSmall), await RawClient.connect(broker.port, 5, ofSmall)]
    expect(await connack(broker, 5, ofSmall)).toBe(0x97)
    expect(await connack(broker, 5, ofDefault)).toBe(0)
    for (const client of clients) client.destroy()
  })

  it("a deleted tenant takes its sessions and retained messages with it", async () => {
    await api(broker, "PUT", "/tenants/gone", {})
    await api(broker, "PUT", "/users/bob?tenant=gone", { password: "x" })
    const bob = { username: "gone:bob", password: "x", clientId: unique("c"), clean: false }
    const client = await RawClient.connect(broker.port, 4, bob)
    await client.subscribe("a", 1)
    await client.publish("kept", "x", 1, { retain: true })
    await api(broker, "DELETE", "/users/bob?tenant=gone")
    await api(broker, "DELETE", "/tenants/gone")
    await client.expectClosed()
    expect(await connack(broker, 5, bob)).toBe(0x87)
    await api(broker, "PUT", "/tenants/gone", {})
    await api(broker, "PUT", "/users/bob?tenant=gone", { password: "x" })
    const again = await RawClient.open(broker.port, 4)
    expect(await again.connect(bob)).toMatchObject({ sessionPresent: false })
    await again.subscribe("#")
    await again.expectNothing()
    again.destroy()
  })
})

describe.skipIf(isStandIn)("a listener of a tenant", () => {
  it("lets nobody in until there is that tenant, then into it; user names can be left alone", async () => {
    const broker = await startBroker({ "mqtt.tenant": "shop", "mqtt.tenantInUsername": false })
    try {
      expect(await connack(broker, 5, { username: "ann" })).toBe(0x87)
      await api(broker, "PUT", "/tenants/shop", {})
      await api(broker, "PUT", "/users/ann?tenant=shop", { password: "x" })
      await api(broker, "PUT", "/users/bob", { password: "x" })
      // The whole is the name, and nobody of this tenant has it.
      expect(await connack(broker, 5, { username: "default:bob", password: "x" })).toBe(0x86)
      const client = await RawClient.connect(broker.port, 5, { username: "ann", password: "x", clientId: "c" })
      const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1/sessions/c?tenant=shop`)
      expect(await response.json()).toMatchObject({ tenant: "shop", user: "ann" })
      client.destroy()
    } finally {
      await broker.stop()
    }
  })
})
