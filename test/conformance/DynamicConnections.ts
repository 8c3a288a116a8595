/**
 * Dynamic keys of what a connection is told, and of who may connect.
 */
import { describe, expect } from "vitest"
import { until } from "../support/Until.js"
import type { DynamicWorld } from "./DynamicWorld.js"
import { clockPast, unique } from "./RawClient.js"

export const dynamicConnections = ({ shows, api, set, unset, open, connect, told, answered, published }: DynamicWorld): void => {
  describe("what CONNACK tells: a connection keeps it, new ones are told anew", () => {
    shows("mqtt.maxPacketSizeBytes", "larger and smaller packets", async () => {
      const topic = unique()
      const before = await connect()
      await set("mqtt.maxPacketSizeBytes", 200)
      expect(await told()).toMatchObject({ maximumPacketSize: 200 })
      const after = await connect()
      expect(await published(before, topic, "x".repeat(1000))).toBeLessThan(0x80)
      after.send(after.publishPacket(topic, "x".repeat(1000), 0, 0))
      await after.expectEnd(0x95)
      await set("mqtt.maxPacketSizeBytes", 2 * 1024 * 1024)
      expect(await published(await connect(), topic, "x".repeat(1536 * 1024))).toBeLessThan(0x80)
    })

    shows("mqtt.maximumQos", "QoS 2 goes on where it was told", async () => {
      const before = await connect()
      await set("mqtt.maximumQos", 0)
      expect(await told()).toMatchObject({ maximumQoS: 0 })
      await before.publish(unique(), "x", 2)
      const after = await connect()
      expect(await after.subscribe(unique(), 2)).toEqual([0])
      after.send(after.publishPacket(unique(), "x", 1, 1))
      await after.expectEnd(0x9b)
    })

    shows("mqtt.retainAvailable", "retained publishes", async () => {
      const before = await connect()
      await set("mqtt.retainAvailable", false)
      expect(await told()).toMatchObject({ retainAvailable: false })
      await before.publish(unique(), "", 1, { retain: true })
      const after = await connect()
      after.send(after.publishPacket(unique(), "x", 0, 0, { retain: true }))
      await after.expectEnd(0x9a)
    })

    shows(
      ["mqtt.wildcardSubscriptionAvailable", "mqtt.sharedSubscription.enabled", "mqtt.subscriptionIdentifiersAvailable"],
      "filters",
      async () => {
        const topic = unique()
        const before = await connect()
        await set("mqtt.wildcardSubscriptionAvailable", false)
        await set("mqtt.sharedSubscription.enabled", false)
        await set("mqtt.subscriptionIdentifiersAvailable", false)
        expect(await told()).toMatchObject({
          wildcardSubscriptionAvailable: false,
          sharedSubscriptionAvailable: false,
          subscriptionIdentifiersAvailable: false
        })
        expect(await before.subscribe([`${topic}/#`, `$share/g/${topic}`], 0, { identifier: 1 })).toEqual([0, 0])
        const after = await connect()
        expect(await after.subscribe([`${topic}/#`, `$share/g/${topic}`])).toEqual([0xa2, 0x9e])
        after.send({
          cmd: "subscribe",
          messageId: 9,
          subscriptions: [{ topic, qos: 0 }],
          properties: { subscriptionIdentifier: 1 }
        })
        await after.expectEnd(0xa1)
      }
    )

    shows("mqtt.receiveMaximum", "how much a client may leave unacknowledged", async () => {
      await set("mqtt.receiveMaximum", 7)
      expect(await told()).toMatchObject({ receiveMaximum: 7 })
    })

    shows("mqtt.topicAliasMax", "aliases", async () => {
      const alias = (topicAlias: number) => ({ properties: { topicAlias } })
      const before = await connect()
      await set("mqtt.topicAliasMax", 1)
      expect(await told()).toMatchObject({ topicAliasMaximum: 1 })
      await before.publish(unique(), "x", 1, alias(2))
      const after = await connect()
      after.send(after.publishPacket(unique(), "x", 0, 0, alias(2)))
      await after.expectEnd(0x94)
    })

    shows("mqtt.keepAliveSecondsMax", "keep alive", async () => {
      await set("mqtt.keepAliveSecondsMax", 5)
      expect(await told({ keepalive: 60 })).toMatchObject({ serverKeepAlive: 5 })
    })

    shows("mqtt.responseInformation", "response information", async () => {
      const properties = { requestResponseInformation: true }
      expect(await told({ properties })).not.toHaveProperty("responseInformation")
      await set("mqtt.responseInformation", "answers/%c")
      expect(await told({ properties, clientId: "me" })).toMatchObject({ responseInformation: "answers/me" })
    })

    shows("mqtt.session.expirySecondsMax", "how long sessions last", async () => {
      await set("mqtt.session.expirySecondsMax", 10)
      expect(await told({ properties: { sessionExpiryInterval: 100 } })).toMatchObject({ sessionExpiryInterval: 10 })
    })
  })

  describe("who may connect", () => {
    shows("mqtt.clientIdLengthMax", "longer ids are refused", async () => {
      const clientId = "x".repeat(100)
      await connect({ clientId })
      await set("mqtt.clientIdLengthMax", 99)
      expect(await answered({ clientId })).toBe(0x85)
    })

    shows("mqtt.strictClientIds", "ids of MQTT 3.1", async () => {
      const clientId = "x".repeat(24)
      await set("mqtt.strictClientIds", true)
      expect(await answered({ clientId }, 3)).toBe(2)
      await unset("mqtt.strictClientIds")
      expect(await answered({ clientId }, 3)).toBe(0)
    })

    shows("mqtt.tenantInUsername", "a tenant in the user name", async () => {
      expect(await answered({ username: "nosuch:bob" })).toBe(0x87)
      await set("mqtt.tenantInUsername", false)
      expect(await answered({ username: "nosuch:bob" })).toBe(0)
    })

    shows("mqtt.session.persistentMax", "one session more", async () => {
      await set("mqtt.session.persistentMax", 0)
      expect(await answered({ properties: { sessionExpiryInterval: 100 } })).toBe(0x97)
      expect(await answered()).toBe(0)
    })

    shows("mqtt.connectTimeoutSeconds", "who says nothing is ended", async () => {
      await set("mqtt.connectTimeoutSeconds", 1)
      await (await open()).expectClosed()
    })

    for (const key of ["limits.connectionsMax", "limits.connectionsPerAddressMax"] as const) {
      shows(key, "one more is turned away, those that are there stay", async () => {
        const [first, second] = [await connect(), await connect()]
        await set(key, 1)
        await (await open()).expectClosed()
        await first.expectNothing()
        await second.expectNothing()
        await set(key, 3)
        await connect()
        await (await open()).expectClosed()
      })
    }

    shows("limits.connectionsPerSecond", "a burst is turned away", async () => {
      await set("limits.connectionsPerSecond", 1)
      const burst = await Promise.all(Array.from({ length: 20 }, () => open()))
      const ended = await Promise.all(
        burst.map((client) =>
          client.connect().then(
            () => false,
            () => true
          )
        )
      )
      expect(ended).toContain(true)
      await unset("limits.connectionsPerSecond")
      await Promise.all(Array.from({ length: 20 }, () => connect()))
    })

    shows(
      ["mqtt.flapping.enabled", "mqtt.flapping.connectsMax", "mqtt.flapping.windowSeconds", "mqtt.flapping.banSeconds"],
      "who comes again and again is banned",
      async () => {
        const clientId = unique()
        await set("mqtt.flapping.connectsMax", 2)
        for (let times = 0; times < 3; times++) await connect({ clientId })
        await set("mqtt.flapping.windowSeconds", 1)
        await set("mqtt.flapping.banSeconds", 1000)
        await set("mqtt.flapping.enabled", true)
        await connect({ clientId })
        await connect({ clientId })
        // Of another window, and so of another count.
        await clockPast(Date.now() + 1000)
        await connect({ clientId })
        await set("mqtt.flapping.windowSeconds", 1000)
        await connect({ clientId })
        const nowMs = Date.now()
        expect(await answered({ clientId })).toBe(0x8a)
        // It holds before it is written down for the cluster.
        let untilMs: number | undefined
        await until(async () => {
          const bans: ReadonlyArray<{ value: string; untilMs: number }> = await api("GET", "bans")
          untilMs = bans.find(({ value }) => value === clientId)?.untilMs
          return untilMs !== undefined
        }, "the ban is written down")
        expect(Math.round(((untilMs ?? 0) - nowMs) / 100_000)).toBe(10)
      }
    )
  })
}
