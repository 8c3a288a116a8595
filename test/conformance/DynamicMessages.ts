/**
 * Dynamic keys of topics, rates and messages that are kept.
 */
import { describe, expect } from "vitest"
import { until } from "../support/Until.js"
import type { DynamicWorld } from "./DynamicWorld.js"
import { unique } from "./RawClient.js"

export const dynamicMessages = ({ shows, set, unset, metric, connect, published }: DynamicWorld): void => {
  describe("topics and subscriptions", () => {
    shows(["mqtt.topicLevelsMax", "mqtt.topicLengthMax"], "longer topics are refused", async () => {
      const client = await connect()
      expect(await published(client, "a/b/c/d")).toBeLessThan(0x80)
      await set("mqtt.topicLevelsMax", 3)
      expect(await published(client, "a/b/c/d")).toBe(0x90)
      await set("mqtt.topicLengthMax", 4)
      expect(await published(client, "a/b")).toBeLessThan(0x80)
      expect(await published(client, "a/b/c")).toBe(0x90)
      expect(await client.subscribe("a/b/c")).toEqual([0x8f])
    })

    shows("mqtt.subscriptionsPerClientMax", "one more is refused", async () => {
      const client = await connect()
      expect(await client.subscribe([unique(), unique()])).toEqual([0, 0])
      await set("mqtt.subscriptionsPerClientMax", 3)
      expect(await client.subscribe([unique(), unique()])).toEqual([0, 0x97])
    })

    shows("mqtt.rewrite", "the next message goes where the rules say", async () => {
      const [from, to] = [unique(), unique()]
      const client = await connect()
      await client.subscribe([from, to])
      await client.publish(from, "1", 0)
      await client.expectPublish(from, "1")
      await set("mqtt.rewrite", [{ action: "publish", source: from, regex: ".+", dest: to }])
      await client.publish(from, "2", 0)
      await client.expectPublish(to, "2")
      await unset("mqtt.rewrite")
      await client.publish(from, "3", 0)
      await client.expectPublish(from, "3")
    })

    shows("mqtt.automaticSubscriptions", "clients that connect get them", async () => {
      const inbox = unique()
      const before = await connect()
      await set("mqtt.automaticSubscriptions", [{ filter: `${inbox}/%c`, qos: 0 }])
      const after = await connect()
      await before.publish(`${inbox}/${before.clientId}`, "x", 0)
      await before.publish(`${inbox}/${after.clientId}`, "x", 0)
      await after.expectPublish(`${inbox}/${after.clientId}`)
      await before.expectNothing()
    })

    shows("mqtt.exclusive.enabled", "exclusive subscriptions", async () => {
      const client = await connect()
      await set("mqtt.exclusive.enabled", false)
      expect(await client.subscribe(`$exclusive/${unique()}`)).toEqual([0x8f])
      await unset("mqtt.exclusive.enabled")
      expect(await client.subscribe(`$exclusive/${unique()}`)).toEqual([0])
    })

    shows("mqtt.sharedSubscription.strategy", "a group that is there chooses anew", async () => {
      const topic = unique()
      const members = [await connect(), await connect()]
      const publisher = await connect()
      for (const member of members) await member.subscribe(`$share/g/${topic}`)
      await set("mqtt.sharedSubscription.strategy", "sticky")
      for (let count = 0; count < 4; count++) await publisher.publish(topic, "x", 1)
      const counts = await Promise.all(
        members.map(async (member) => {
          member.send({ cmd: "pingreq" })
          let count = 0
          while ((await member.nextPacket()).cmd === "publish") count++
          return count
        })
      )
      expect(counts.sort()).toEqual([0, 4])
    })

    shows("mqtt.userPropertiesMax", "more end the connection", async () => {
      const client = await connect()
      await set("mqtt.userPropertiesMax", 1)
      const properties = { userProperties: { a: ["1", "2"] } }
      client.send(client.publishPacket(unique(), "x", 0, 0, { properties }))
      await client.expectEnd(0x97)
    })

    shows("mqtt.filtersPerPacketMax", "more in one packet end the connection", async () => {
      const [client, other] = [await connect(), await connect()]
      await set("mqtt.filtersPerPacketMax", 2)
      expect(await client.subscribe([unique(), unique()])).toEqual([0, 0])
      const subscriptions = [unique(), unique(), unique()].map((topic) => ({ topic, qos: 0 as const }))
      client.send({ cmd: "subscribe", messageId: 9, subscriptions })
      await client.expectEnd(0x97)
      await unset("mqtt.filtersPerPacketMax")
      expect(await other.subscribe([unique(), unique(), unique()])).toEqual([0, 0, 0])
    })

    shows("mqtt.unfinishedPackets.bytesMax", "there is less room for them", async () => {
      // Each of a million bytes, of which most come.
      const begun = Buffer.concat([Buffer.from([0x30, 0xbd, 0x84, 0x3d, 0, 1, 0x74, 0]), Buffer.alloc(700_000)])
      const both = [await connect(), await connect()]
      await set("mqtt.unfinishedPackets.bytesMax", 1024 * 1024)
      for (const client of both) client.sendBytes(begun)
      await Promise.any(both.map((client) => client.expectEnd(0x97)))
    })

    shows("auth.defaultAcl", "what no rule speaks of", async () => {
      const client = await connect()
      expect(await published(client, unique())).toBeLessThan(0x80)
      await set("auth.defaultAcl", "deny")
      expect(await published(client, unique())).toBe(0x87)
      expect(await client.subscribe(unique())).toEqual([0x87])
      await unset("auth.defaultAcl")
      expect(await published(client, unique())).toBeLessThan(0x80)
    })
  })

  describe("rates: who waits goes on where the rate is no more", () => {
    for (const [key, most] of [
      ["limits.client.messagesPerSecond", 1],
      ["limits.client.bytesPerSecond", 10],
      ["limits.tenant.messagesPerSecond", 1],
      ["limits.tenant.bytesPerSecond", 10]
    ] as const) {
      shows(key, "a client from before is slowed", async () => {
        const client = await connect()
        const before = await metric("effectmq_mqtt_rate_limited_total")
        await set(key, most)
        // Worth a hundred seconds and more.
        client.sendBytes(Buffer.concat(Array.from({ length: 200 }, () => client.encode(client.publishPacket("rate", "x", 0, 0)))))
        await until(async () => (await metric("effectmq_mqtt_rate_limited_total")) > before, "it is slowed")
        client.send({ cmd: "pingreq" })
        await unset(key)
        await client.expectPacket("pingresp")
      })
    }
  })

  describe("messages that are kept", () => {
    for (const [key, value] of [
      ["mqtt.retained.messagesMax", 0],
      ["mqtt.retained.bytesMax", 0],
      ["mqtt.retained.payloadBytesMax", 3]
    ] as const) {
      shows(key, "what is over it is not retained", async () => {
        const [kept, lost] = [unique(), unique()]
        const client = await connect()
        await client.publish(kept, "1234", 1, { retain: true })
        await set(key, value)
        await client.publish(lost, "1234", 1, { retain: true })
        await client.subscribe([kept, lost])
        await client.expectPublish(kept)
        await client.expectNothing()
        await unset(key)
      })
    }

    shows(
      ["mqtt.delayed.enabled", "mqtt.delayed.secondsMax", "mqtt.delayed.countMax", "mqtt.delayed.bytesMax"],
      "bounds",
      async () => {
        const client = await connect()
        const topic = unique()
        await set("mqtt.delayed.secondsMax", 100)
        expect(await published(client, `$delayed/101/${topic}`)).toBe(0x90)
        expect(await published(client, `$delayed/100/${topic}`)).toBeLessThan(0x80)
        await set("mqtt.delayed.countMax", 1)
        expect(await published(client, `$delayed/100/${topic}`)).toBe(0x97)
        await unset("mqtt.delayed.countMax")
        await set("mqtt.delayed.bytesMax", 0)
        expect(await published(client, `$delayed/100/${topic}`)).toBe(0x97)
        await set("mqtt.delayed.enabled", false)
        await client.subscribe(`$delayed/100/${topic}`)
        await client.publish(`$delayed/100/${topic}`, "now", 0)
        await client.expectPublish(`$delayed/100/${topic}`, "now")
      }
    )

    shows(["mqtt.session.queueMax", "mqtt.session.queueDrop"], "what a slow client loses", async () => {
      const topic = unique()
      const [slow, publisher] = [await connect({ properties: { receiveMaximum: 1 } }), await connect()]
      await slow.subscribe(topic, 1)
      await set("mqtt.session.queueMax", 1)
      for (const text of ["1", "2", "3"]) await publisher.publish(topic, text)
      await slow.acknowledge(await slow.expectPublish(topic, "1"))
      const third = await slow.expectPublish(topic, "3")
      await set("mqtt.session.queueDrop", "newest")
      for (const text of ["4", "5"]) await publisher.publish(topic, text)
      await slow.acknowledge(third)
      await slow.acknowledge(await slow.expectPublish(topic, "4"))
      await slow.expectNothing()
    })

    shows("mqtt.session.inflightMax", "of connections to come", async () => {
      const topic = unique()
      const before = await connect()
      await set("mqtt.session.inflightMax", 1)
      const [after, publisher] = [await connect(), await connect()]
      for (const client of [before, after]) await client.subscribe(topic, 1)
      for (const text of ["1", "2"]) await publisher.publish(topic, text)
      for (const text of ["1", "2"]) await before.expectPublish(topic, text)
      const first = await after.expectPublish(topic, "1")
      await after.expectNothing()
      await after.acknowledge(first)
      await after.expectPublish(topic, "2")
    })

    shows("mqtt.session.offlineMax", "what waits for a client that is away", async () => {
      const topic = unique()
      const fields = { clientId: unique(), properties: { sessionExpiryInterval: 1000 } }
      const away = await connect(fields)
      await away.subscribe(topic, 1)
      await away.disconnect()
      const publisher = await connect()
      await set("mqtt.session.offlineMax", 2)
      for (const text of ["1", "2", "3", "4"]) await publisher.publish(topic, text)
      const back = await connect({ ...fields, clean: false })
      for (const text of ["3", "4"]) await back.acknowledge(await back.expectPublish(topic, text))
      await back.disconnect({ properties: { sessionExpiryInterval: 0 } })
    })

    shows("mqtt.session.progressIntervalMs", "progress is written soon", async () => {
      const topic = unique()
      const client = await connect({ properties: { sessionExpiryInterval: 1000 } })
      await client.subscribe(topic, 1)
      await set("mqtt.session.progressIntervalMs", 10)
      const writes = () => metric("effectmq_wal_sync_seconds_count")
      await (await connect()).publish(topic)
      const publish = await client.expectPublish(topic)
      const before = await writes()
      await client.acknowledge(publish)
      await until(async () => (await writes()) > before, "it is written")
      await client.disconnect({ properties: { sessionExpiryInterval: 0 } })
    })
  })
}
