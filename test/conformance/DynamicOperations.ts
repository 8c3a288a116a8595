/**
 * Dynamic keys of what an operator sees.
 */
import { describe, expect } from "vitest"
import { until } from "../support/Until.js"
import type { DynamicWorld } from "./DynamicWorld.js"
import { clockPast, unique } from "./RawClient.js"

export const dynamicOperations = ({ shows, request, api, set, unset, open, connect, lines }: DynamicWorld): void => {
  describe("what an operator sees", () => {
    shows("log.level", "more and fewer lines", async () => {
      const provoke = async () => {
        const client = await open()
        client.send({ cmd: "pingreq" })
        await client.expectClosed()
      }
      const debugged = () => lines.filter((line) => line.includes("protocol error")).length
      await provoke()
      expect(debugged()).toBe(0)
      await set("log.level", "debug")
      await provoke()
      await until(() => debugged() === 1, "the line is there")
    })

    shows("metrics.enabled", "they are served or not", async () => {
      await set("metrics.enabled", false)
      expect((await request("GET", "/metrics")).status).toBe(404)
      expect((await request("GET", "/health/live")).status).toBe(200)
      await unset("metrics.enabled")
      expect((await request("GET", "/metrics")).status).toBe(200)
    })

    shows("sys.intervalSeconds", "$SYS topics come and go", async () => {
      const watcher = await connect()
      await watcher.subscribe(["$SYS/broker/version", "$SYS/brokers/+/clients/+/connected"])
      await connect()
      await watcher.expectNothing()
      await set("sys.intervalSeconds", 3600)
      await watcher.expectPublish("$SYS/broker/version")
      await connect()
      expect((await watcher.expectPacket("publish")).topic).toMatch(/connected$/)
      await unset("sys.intervalSeconds")
      await watcher.expectPublish("$SYS/broker/version", "")
    })

    shows(
      [
        "mqtt.slowSubscribers.enabled",
        "mqtt.slowSubscribers.thresholdMs",
        "mqtt.slowSubscribers.countMax",
        "mqtt.slowSubscribers.windowSeconds"
      ],
      "who is slow",
      async () => {
        const slow = () => api("GET", "slow-subscribers")
        const topic = unique()
        const clients = [await connect(), await connect()]
        for (const client of clients) await client.subscribe(topic, 1)
        const deliver = async () => {
          await (await connect()).publish(topic, "x", 1)
          const publishes = await Promise.all(clients.map((client) => client.expectPublish(topic)))
          await clockPast(Date.now() + 20)
          for (const [index, publish] of publishes.entries()) {
            await clients[index]?.acknowledge(publish)
            await clients[index]?.expectNothing()
          }
        }
        await set("mqtt.slowSubscribers.thresholdMs", 3_600_000)
        await deliver()
        expect(await slow()).toEqual([])
        await set("mqtt.slowSubscribers.thresholdMs", 5)
        await deliver()
        expect(await slow()).toHaveLength(2)
        await set("mqtt.slowSubscribers.countMax", 1)
        expect(await slow()).toHaveLength(1)
        await set("mqtt.slowSubscribers.enabled", false)
        expect(await slow()).toEqual([])
        await deliver()
        expect(await slow()).toEqual([])
        await set("mqtt.slowSubscribers.enabled", true)
        await deliver()
        expect(await slow()).toHaveLength(1)
        await set("mqtt.slowSubscribers.windowSeconds", 1)
        await until(async () => (await slow()).length === 0, "it is forgotten")
      }
    )

    const active = async (): Promise<ReadonlyArray<string>> =>
      (await api("GET", "alarms")).active.map(({ name }: { name: string }) => name)

    shows(["alarms.memoryPercent", "alarms.eventLoopDelayMs", "alarms.walSyncMs"], "alarms are raised and clear", async () => {
      const alarms = ["memory-high", "event-loop-slow", "storage-slow"]
      const raised = async () => (await active()).filter((name) => alarms.includes(name))
      const topic = unique()
      const fields = { clientId: unique(), properties: { sessionExpiryInterval: 1000 } }
      const away = await connect(fields)
      await away.subscribe(topic, 1)
      await away.disconnect()
      await set("alarms.memoryPercent", 1)
      await set("alarms.eventLoopDelayMs", 1)
      await set("alarms.walSyncMs", 1)
      // The broker is in this process: what keeps it busy makes its syncs seem long.
      const busy = setInterval(() => {
        for (const from = performance.now(); performance.now() - from < 20; );
      }, 10)
      try {
        const publisher = await connect()
        const publishing = { current: true }
        const published = (async () => {
          while (publishing.current) await publisher.publish(topic, "x", 1)
        })()
        await until(async () => (await raised()).length === alarms.length, "they are raised", 25_000)
        publishing.current = false
        await published
      } finally {
        clearInterval(busy)
      }
      await unset("alarms.memoryPercent")
      await unset("alarms.eventLoopDelayMs")
      await unset("alarms.walSyncMs")
      await until(async () => (await raised()).length === 0, "they clear", 25_000)
      await api("DELETE", `sessions/${fields.clientId}`)
    })

    shows("alarms.nearLimitPercent", "an alarm is raised", async () => {
      await connect()
      await set("limits.connectionsMax", 50)
      await set("alarms.nearLimitPercent", 1)
      await until(async () => (await active()).includes("connections-near-limit"), "the alarm is raised")
    })
  })
}
