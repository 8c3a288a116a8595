/**
 * Dynamic keys of how messages are stored, and for how long.
 */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { until } from "../support/Until.js"
import type { DynamicWorld } from "./DynamicWorld.js"
import { clockPast, unique } from "./RawClient.js"

const expiry = { sessionExpiryInterval: 1000 }

export const dynamicStorage = ({ shows, api, folder, set, unset, metric, connect, published }: DynamicWorld): void => {
  /** A topic of which a session that is away waits for messages, and how to end it. */
  const away = async () => {
    const topic = unique()
    const fields = { clientId: unique(), properties: expiry }
    const client = await connect(fields)
    await client.subscribe(topic, 1)
    await client.disconnect()
    const back = () => connect({ ...fields, clean: false })
    const end = () => api("DELETE", `sessions/${fields.clientId}`)
    return { topic, back, end }
  }
  const syncs = () => metric("effectmq_wal_sync_seconds_count")

  describe("the log of messages", () => {
    for (const [key, value, what] of [
      ["mqtt.log.retentionSeconds", 1, "what is older goes at once"],
      ["mqtt.log.retentionBytes", 1, "what is more goes at once"]
    ] as const) {
      shows(key, what, async () => {
        const publisher = await connect()
        const firstOf = async ({ topic, back }: Awaited<ReturnType<typeof away>>) =>
          (await (await back()).expectPublish(topic)).payload.toString()
        // Retention runs beside all else, each time that it is set.
        await until(async () => {
          const session = await away()
          await publisher.publish(session.topic, "old", 1)
          await clockPast(Date.now() + 1000)
          await publisher.publish(session.topic, "new", 1)
          await set(key, value)
          const first = await firstOf(session)
          await session.end()
          await unset(key)
          return first === "new"
        }, "the old one is gone")
        const session = await away()
        await publisher.publish(session.topic, "kept", 1)
        await publisher.publish(session.topic, "new", 1)
        expect(await firstOf(session)).toBe("kept")
        await session.end()
      })
    }

    shows("mqtt.log.durability", "the next message waits for a sync, or for none", async () => {
      const { topic, end } = await away()
      const publisher = await connect()
      await set("mqtt.log.durability", "os")
      await until(async () => {
        const before = await syncs()
        await publisher.publish(topic, "x", 1)
        return (await syncs()) === before
      }, "nothing is synced")
      await set("mqtt.log.durability", "fsync")
      await until(async () => {
        const before = await syncs()
        await publisher.publish(topic, "x", 1)
        return (await syncs()) > before
      }, "the message is synced")
      await end()
    })

    shows("storage.wal.syncIntervalMs", "what waits for a sync waits less", async () => {
      const { topic, end } = await away()
      const publisher = await connect()
      await set("storage.wal.syncIntervalMs", 60_000)
      await set("mqtt.log.durability", "interval")
      await until(async () => {
        const before = await syncs()
        await publisher.publish(topic, "x", 1)
        return (await syncs()) === before
      }, "the sync is put off")
      const before = await syncs()
      await set("storage.wal.syncIntervalMs", 1)
      await until(async () => (await syncs()) > before, "it comes")
      await end()
    })

    shows("storage.segmentBytes", "segments are closed sooner", async () => {
      const segments = () => readdirSync(join(folder, "shards", "segments")).filter((name) => name.endsWith(".log")).length
      const { topic, end } = await away()
      const publisher = await connect()
      const before = segments()
      await set("storage.segmentBytes", 65_536)
      // More than one file of the write-ahead log holds: it is written behind, some MiB at a time.
      const payload = Buffer.alloc(1_000_000)
      for (let count = 0; count < 70; count++) await publisher.publish(topic, payload, 1)
      await until(() => segments() >= before + 8, "there are many")
      await end()
    })
  })

  shows("storage.memory.bytesMax", "topics in memory take more or less", async () => {
    const [name, topic] = [unique(), unique()]
    await api("PUT", `topics/${name}`, { engine: "memory", mqttFilter: topic })
    const publisher = await connect()
    const payload = Buffer.alloc(700_000)
    await until(async () => (await published(publisher, topic, payload)) === 0, "the topic takes it")
    await set("storage.memory.bytesMax", 1024 * 1024)
    expect(await published(publisher, topic, payload)).toBe(0x97)
    await unset("storage.memory.bytesMax")
    expect(await published(publisher, topic, payload)).toBe(0)
    await api("DELETE", `topics/${name}`)
  })
}
