/**
 * Every dynamic key, changed on a broker that runs: that it takes effect, and what a connection from before keeps.
 */
import type { KeyName } from "@effectmq/schemas/config/Settings"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Broker, isStandIn, startBroker } from "./broker.js"
import { type ConnectFields, RawClient, unique } from "./RawClient.js"

describe.skipIf(isStandIn)("dynamic configuration", () => {
  let broker: Broker
  beforeAll(async () => {
    broker = await startBroker({ "sys.intervalSeconds": 0 })
  })
  afterAll(() => broker?.stop())

  const api = async (method: string, path: string, body?: unknown) => {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
    const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1/${path}`, init)
    const text = await response.text()
    if (response.status >= 400) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === "" ? undefined : JSON.parse(text)
  }

  const changed = new Set<KeyName>()
  const set = async (key: KeyName, value: unknown) => {
    changed.add(key)
    await api("PUT", `config/${key}`, { value })
  }
  const unset = async (key: KeyName) => {
    changed.delete(key)
    await api("DELETE", `config/${key}`)
  }
  afterEach(async () => {
    for (const key of changed) await unset(key)
  })

  const open = (version: 3 | 4 | 5 = 5) => RawClient.open(broker.port, version)
  const connect = (fields: ConnectFields = {}) => RawClient.connect(broker.port, 5, fields)

  const shown = new Set<KeyName>()
  const shows = (keys: KeyName | ReadonlyArray<KeyName>, what: string, test: () => Promise<void>) => {
    const all: ReadonlyArray<KeyName> = typeof keys === "string" ? [keys] : keys
    for (const key of all) shown.add(key)
    it(`${all.join(", ")}: ${what}`, test)
  }

  // --- told in CONNACK: a connection keeps it

  shows("mqtt.maxPacketSizeBytes", "new connections are told, old ones keep theirs", async () => {
    const topic = unique()
    const before = await connect()
    await set("mqtt.maxPacketSizeBytes", 200)
    const after = await open()
    expect((await after.connect()).properties?.maximumPacketSize).toBe(200)
    await before.publish(topic, "x".repeat(1000))
    after.send(after.publishPacket(topic, "x".repeat(1000), 0, 0))
    await after.expectEnd(0x95)
    await set("mqtt.maxPacketSizeBytes", 4 * 1024 * 1024)
    const large = await connect()
    await large.publish(topic, "x".repeat(2 * 1024 * 1024))
  })
})
