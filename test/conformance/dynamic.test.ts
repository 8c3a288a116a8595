/**
 * Every dynamic key, changed on a broker that runs: that it takes effect, and what a connection from before keeps.
 */
import { atStartReason } from "@effectmq/schemas/config/AtStart"
import { type KeyName, keyNames } from "@effectmq/schemas/config/Settings"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { type Broker, isStandIn, startBroker } from "./broker.js"
import { clockPast, type ConnectFields, RawClient, unique } from "./RawClient.js"

type Keys = KeyName | ReadonlyArray<KeyName>

const listOf = (keys: Keys): ReadonlyArray<KeyName> => (typeof keys === "string" ? [keys] : keys)

describe.skipIf(isStandIn)("dynamic configuration", () => {
  let broker: Broker
  const lines: Array<string> = []
  beforeAll(async () => {
    // So rarely that nothing of it is seen unless it is changed.
    const settings = { "sys.intervalSeconds": 0, "mqtt.session.progressIntervalMs": 60_000 }
    broker = await startBroker(settings, (line) => lines.push(line))
  })
  afterAll(() => broker?.stop())

  const request = (method: string, path: string, body?: unknown) =>
    fetch(`http://127.0.0.1:${broker.adminPort}${path}`, body === undefined ? { method } : { method, body: JSON.stringify(body) })

  const api = async (method: string, path: string, body?: unknown) => {
    const response = await request(method, `/api/v1/${path}`, body)
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

  const clients: Array<RawClient> = []
  const open = async (version: 3 | 4 | 5 = 5) => {
    const client = await RawClient.open(broker.port, version)
    clients.push(client)
    return client
  }
  const connect = async (fields: ConnectFields = {}) => {
    const client = await open()
    await client.connect(fields)
    return client
  }
  /** What CONNACK tells a client that connects now. */
  const told = async (fields: ConnectFields = {}) => (await (await open()).connect(fields)).properties ?? {}
  /** The code with which a client that connects now is refused. */
  const refused = async (fields: ConnectFields = {}, version: 3 | 4 | 5 = 5) => {
    const client = await open(version)
    client.send(client.connectPacket(fields))
    const { reasonCode, returnCode } = await client.expectPacket("connack")
    return reasonCode ?? returnCode
  }
  /** The code of the PUBACK. */
  const published = async (client: RawClient, topic: string, payload: string | Buffer = "x") => {
    const messageId = client.nextPacketId()
    client.send(client.publishPacket(topic, payload, 1, messageId))
    return (await client.expectPacket("puback", { messageId })).reasonCode ?? 0
  }
  const metric = async (name: string): Promise<number> => {
    const text = await (await request("GET", "/metrics")).text()
    const found = new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]
    if (found === undefined) throw new Error(`there is no metric ${name}`)
    return Number(found)
  }
  /** All clients of the test have gone. */
  const leave = async () => {
    for (const client of clients.splice(0)) client.destroy()
    await until(async () => (await metric("effectmq_connections")) === 0, "the clients have gone")
  }

  afterEach(async () => {
    for (const key of changed) await unset(key)
    await leave()
  })

  const shown = new Set<KeyName>()
  const shows = (keys: Keys, what: string, test: () => Promise<void>) => {
    for (const key of listOf(keys)) shown.add(key)
    it(`${listOf(keys).join(", ")}: ${what}`, test)
  }

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
      expect(await refused({ clientId })).toBe(0x85)
    })

    shows("mqtt.strictClientIds", "ids of MQTT 3.1", async () => {
      const clientId = "x".repeat(24)
      await set("mqtt.strictClientIds", true)
      expect(await refused({ clientId }, 3)).toBe(2)
      await unset("mqtt.strictClientIds")
      expect(await refused({ clientId }, 3)).toBe(0)
    })

    shows("mqtt.tenantInUsername", "a tenant in the user name", async () => {
      expect(await refused({ username: "nosuch:bob" })).toBe(0x87)
      await set("mqtt.tenantInUsername", false)
      expect(await refused({ username: "nosuch:bob" })).toBe(0)
    })

    shows("mqtt.session.persistentMax", "one session more", async () => {
      await set("mqtt.session.persistentMax", 0)
      expect(await refused({ properties: { sessionExpiryInterval: 100 } })).toBe(0x97)
      expect(await refused()).toBe(0)
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
        expect(await refused({ clientId })).toBe(0x8a)
        const bans: ReadonlyArray<{ value: string; untilMs: number }> = await api("GET", "bans")
        const left = (bans.find(({ value }) => value === clientId)?.untilMs ?? 0) - nowMs
        expect(Math.round(left / 100_000)).toBe(10)
      }
    )
  })

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
        const before = await metric("effectmq_mqtt_rate_limited")
        await set(key, most)
        // Worth a hundred seconds and more.
        client.sendBytes(Buffer.concat(Array.from({ length: 200 }, () => client.encode(client.publishPacket("rate", "x", 0, 0)))))
        await until(async () => (await metric("effectmq_mqtt_rate_limited")) > before, "it is slowed")
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
        await client.publish(kept, "", 1, { retain: true }).catch(() => undefined)
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

    shows("alarms.nearLimitPercent", "an alarm is raised", async () => {
      const active = async (): Promise<ReadonlyArray<string>> =>
        (await api("GET", "alarms")).active.map(({ name }: { name: string }) => name)
      await connect()
      await set("limits.connectionsMax", 50)
      await set("alarms.nearLimitPercent", 1)
      await until(async () => (await active()).includes("connections-near-limit"), "the alarm is raised")
    })
  })

  it("every dynamic key is shown here, or where it says", () => {
    const elsewhere: ReadonlyArray<KeyName> = [
      // services/server/test/AlarmRules.test.ts
      "alarms.memoryPercent",
      "alarms.eventLoopDelayMs",
      "alarms.walSyncMs",
      // packages/security/test/UsersAuthenticator.test.ts
      "auth.certificateUsers"
    ]
    const dynamic = keyNames.filter((name) => atStartReason(name) === undefined)
    expect([...shown, ...elsewhere].sort()).toEqual([...dynamic].sort())
  })
})
