/**
 * Dynamic configuration as a cluster keeps it: on every node, observers too, after restarts, and beside a file that changes.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { freePort } from "../support/BrokerProcess.js"
import { until } from "../support/Until.js"
import { type Broker, isStandIn, type Settings, startBroker } from "./broker.js"
import { RawClient } from "./RawClient.js"

describe.skipIf(isStandIn)("dynamic configuration", () => {
  const folder = mkdtempSync(join(tmpdir(), "effectmq-dynamic-"))
  const running = new Set<Broker>()
  afterAll(async () => {
    for (const broker of running) await broker.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const start = async (name: string, settings: Settings, onLog?: (line: string) => void): Promise<Broker> => {
    const broker = await startBroker({ "data.dir": join(folder, name), ...settings }, onLog)
    running.add(broker)
    return broker
  }
  const stop = async (broker: Broker) => {
    running.delete(broker)
    await broker.stop()
  }

  const config = async (broker: Broker, method: string, key: string, value?: unknown) => {
    const init = value === undefined ? { method } : { method, body: JSON.stringify({ value }) }
    const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1/config/${key}`, init)
    return { status: response.status, body: await response.json() }
  }

  /** What CONNACK tells a client that connects now. */
  const told = async (broker: Broker) => {
    const client = await RawClient.open(broker.port, 5)
    const { properties } = await client.connect()
    client.destroy()
    return properties ?? {}
  }

  it("reaches all nodes of a cluster, an observer among them, and one that was away", async () => {
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()]
    const listed = ports.slice(0, 3).map((port, index) => `${index + 1}@127.0.0.1:${port}`)
    const settings = (nodeId: number, more: Settings = {}): Settings => ({
      "node.id": nodeId,
      "cluster.nodes": listed.join(","),
      "cluster.rpc.port": ports[nodeId - 1] as number,
      ...more
    })
    const voters = await Promise.all([1, 2, 3].map((nodeId) => start(`node-${nodeId}`, settings(nodeId))))
    const observer = await start("node-4", settings(4, { "cluster.observer": true, "mqtt.maximumQos": 0 }))
    const all = [...voters, observer]
    const everywhere = (maximumQoS: number | undefined, nodes: ReadonlyArray<Broker>) =>
      until(async () => {
        const properties = await Promise.all(nodes.map(told))
        return properties.every((each) => each.maximumQoS === maximumQoS)
      }, "all nodes tell it")

    expect((await config(observer, "PUT", "mqtt.maximumQos", 1)).status).toBe(200)
    await everywhere(1, all)
    expect((await config(observer, "GET", "mqtt.maximumQos")).body).toMatchObject({
      value: 1,
      source: "dynamic",
      hidden: { value: 0, source: "flag --set mqtt.maximumQos" }
    })
    await stop(voters[2] as Broker)
    expect((await config(voters[1] as Broker, "DELETE", "mqtt.maximumQos")).status).toBe(200)
    await everywhere(undefined, voters.slice(0, 2))
    await everywhere(0, [observer])
    expect((await config(voters[0] as Broker, "PUT", "mqtt.maximumQos", 0)).status).toBe(200)
    const back = await start("node-3", settings(3))
    await everywhere(0, [back, observer])
  })

  it("holds after a restart, and is left aside where it does not fit what the node is started with", async () => {
    const key = "mqtt.maxPacketSizeBytes"
    const first = await start("alone", {})
    expect((await config(first, "PUT", key, 2_000_000)).status).toBe(200)
    expect((await config(first, "PUT", "mqtt.maximumQos", 1)).status).toBe(200)
    await stop(first)

    const second = await start("alone", { [key]: 1000 })
    expect(await told(second)).toMatchObject({ maximumPacketSize: 2_000_000, maximumQoS: 1 })
    await stop(second)

    const lines: Array<string> = []
    const tight = { [key]: 1000, "mqtt.unfinishedPackets.bytesMax": 1_500_000, "log.level": "warn" }
    const third = await start("alone", tight, (line) => lines.push(line))
    expect(await told(third)).toMatchObject({ maximumPacketSize: 1000, maximumQoS: 1 })
    expect(lines.filter((line) => line.includes("left aside"))).toEqual([expect.stringContaining(`${key} = 2000000 (dynamic)`)])
    expect((await config(third, "GET", key)).body).toMatchObject({
      value: 1000,
      source: `flag --set ${key}`,
      problem: expect.stringContaining("mqtt.unfinishedPackets.bytesMax is at least mqtt.maxPacketSizeBytes")
    })
    expect(await config(third, "PUT", key, 1_600_000)).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining("mqtt.unfinishedPackets.bytesMax is at least mqtt.maxPacketSizeBytes") }
    })
    expect((await config(third, "PUT", key, 1_400_000)).body).toMatchObject({ value: 1_400_000, source: "dynamic" })
    expect(await told(third)).toMatchObject({ maximumPacketSize: 1_400_000 })
  })
})
