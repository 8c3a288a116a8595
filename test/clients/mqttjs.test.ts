/**
 * MQTT.js, unchanged, as 3.1, 3.1.1 and 5.0 over TCP, TLS, WebSocket and secure WebSocket.
 */
import { connect as openClient, type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from "mqtt"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { type Certificates, makeCertificates } from "../support/Certificates.js"
import { needs } from "../support/Tool.js"
import { until } from "../support/Until.js"

const canRun = needs("MQTT.js", "openssl")
const isMosquitto = process.env.EFFECTMQ_TEST_BROKER === "mosquitto"

const protocols = { "3.1": 3, "3.1.1": 4, "5.0": 5 } as const
type ProtocolName = keyof typeof protocols

interface Received {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly properties: IPublishPacket["properties"]
}

/** A connected client, with what it received since it was made: a session's messages may come right behind CONNACK. */
class Client {
  readonly received: Array<Received> = []
  connack: IConnackPacket | undefined
  disconnectReason: number | undefined

  constructor(readonly mqtt: MqttClient) {
    mqtt.on("connect", (packet) => {
      this.connack = packet
    })
    mqtt.on("disconnect", (packet) => {
      this.disconnectReason = packet.reasonCode
    })
    mqtt.on("error", () => undefined)
    mqtt.on("message", (topic, payload, packet) => {
      const { qos, retain, properties } = packet
      this.received.push({ topic, payload: payload.toString(), qos, retain, properties })
    })
  }

  get payloads(): Array<string> {
    return this.received.map((message) => message.payload)
  }

  /** Waits for so many messages. */
  async receives(count: number): Promise<void> {
    await until(
      () => this.received.length >= count,
      () => `${count} messages; there are ${JSON.stringify(this.received)}`
    )
  }
}

describe.runIf(canRun)("MQTT.js", () => {
  let broker: BrokerProcess
  let certificates: Certificates
  const clients: Array<Client> = []
  let names = 0

  beforeAll(async () => {
    certificates = makeCertificates()
    broker = await BrokerProcess.start({ tls: { certFile: certificates.certFile, keyFile: certificates.keyFile } })
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.mqtt.endAsync(true)))
  })
  afterAll(async () => {
    await broker?.remove()
    certificates?.remove()
  })

  const urls = {
    tcp: () => `mqtt://127.0.0.1:${broker.port}`,
    tls: () => `mqtts://127.0.0.1:${broker.tlsPort}`,
    ws: () => `ws://127.0.0.1:${broker.wsPort}/mqtt`,
    wss: () => `wss://127.0.0.1:${broker.wssPort}/mqtt`
  }

  const connect = async (version: ProtocolName, options: IClientOptions = {}, url = urls.tcp()) => {
    names++
    const client = new Client(
      openClient(url, {
        protocolVersion: protocols[version],
        ...(version === "3.1" ? { protocolId: "MQIsdp" as const } : {}),
        clientId: `mqttjs-${names}`,
        reconnectPeriod: 0,
        rejectUnauthorized: false,
        ...options
      })
    )
    clients.push(client)
    await until(() => client.mqtt.connected, "CONNACK")
    return client
  }

  const transports = (isMosquitto ? ["tcp", "tls", "ws"] : ["tcp", "tls", "ws", "wss"]) as ReadonlyArray<keyof typeof urls>
  for (const transport of transports) {
    for (const version of Object.keys(protocols) as Array<ProtocolName>) {
      it(`${version} over ${transport}: all levels both ways, in order`, async () => {
        const url = urls[transport]()
        const topic = `${transport}/${version}`
        const subscriber = await connect(version, {}, url)
        await subscriber.mqtt.subscribeAsync(`${topic}/#`, { qos: 2 })
        const publisher = await connect(version, {}, url)
        for (const qos of [0, 1, 2] as const) {
          for (let i = 0; i < 20; i++) await publisher.mqtt.publishAsync(`${topic}/${qos}`, `${qos}-${i}`, { qos })
        }
        await subscriber.receives(60)
        for (const qos of [0, 1, 2]) {
          const payloads = subscriber.received.filter((message) => message.qos === qos).map((message) => message.payload)
          expect(payloads).toEqual(Array.from({ length: 20 }, (_, i) => `${qos}-${i}`))
        }
      })
    }
  }

  for (const version of ["3.1.1", "5.0"] as const) {
    it(`${version}: a session that returns gets what it missed, exactly once`, async () => {
      const session: IClientOptions = {
        clientId: `kept-${version}`,
        clean: false,
        ...(version === "5.0" ? { properties: { sessionExpiryInterval: 300 } } : {})
      }
      const before = await connect(version, session)
      await before.mqtt.subscribeAsync(`missed/${version}`, { qos: 2 })
      await before.mqtt.endAsync()
      const publisher = await connect(version)
      for (let i = 0; i < 50; i++) await publisher.mqtt.publishAsync(`missed/${version}`, String(i), { qos: 2 })
      const after = await connect(version, session)
      await after.receives(50)
      expect(after.payloads).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
    })

    it(`${version}: reconnects by itself after a restart of the broker and goes on`, async () => {
      const own = await BrokerProcess.start()
      try {
        const url = `mqtt://127.0.0.1:${own.port}`
        const lasting = version === "5.0" ? { properties: { sessionExpiryInterval: 300 } } : {}
        const options = { clean: false, reconnectPeriod: 50, ...lasting }
        const subscriber = await connect(version, options, url)
        await subscriber.mqtt.subscribeAsync("restart/#", { qos: 2 })
        const publisher = await connect(version, options, url)
        await publisher.mqtt.publishAsync("restart/1", "before", { qos: 2 })
        await subscriber.receives(1)
        await own.stop()
        await until(() => !publisher.mqtt.connected && !subscriber.mqtt.connected, "both clients notice")
        const queued = publisher.mqtt.publishAsync("restart/2", "while away", { qos: 2 })
        await own.start()
        await queued
        await publisher.mqtt.publishAsync("restart/3", "after", { qos: 2 })
        await subscriber.receives(3)
        expect(subscriber.payloads).toEqual(["before", "while away", "after"])
        await Promise.all(clients.splice(0).map((client) => client.mqtt.endAsync(true)))
      } finally {
        await own.remove()
      }
    })

    it(`${version}: a second client with the same id takes over`, async () => {
      const first = await connect(version, { clientId: `twin-${version}` })
      const second = await connect(version, { clientId: `twin-${version}` })
      await until(() => !first.mqtt.connected, "the first is disconnected")
      if (version === "5.0" && !isMosquitto) await until(() => first.disconnectReason === 0x8e, "the reason: session taken over")
      expect(second.mqtt.connected).toBe(true)
    })
  }

  describe("version 5.0", () => {
    it("carries every property of a message to the other side", async () => {
      const subscriber = await connect("5.0")
      await subscriber.mqtt.subscribeAsync("properties/+", { qos: 1, properties: { subscriptionIdentifier: 7 } })
      const publisher = await connect("5.0")
      await publisher.mqtt.publishAsync("properties/all", "body", {
        qos: 1,
        properties: {
          payloadFormatIndicator: true,
          messageExpiryInterval: 100,
          contentType: "text/plain",
          responseTopic: "answers/here",
          correlationData: Buffer.from([1, 2, 3]),
          userProperties: { colour: ["green", "blue"] }
        }
      })
      await subscriber.receives(1)
      const properties = subscriber.received[0]?.properties
      expect(properties).toMatchObject({
        payloadFormatIndicator: true,
        contentType: "text/plain",
        responseTopic: "answers/here",
        subscriptionIdentifier: 7
      })
      expect(properties?.correlationData).toEqual(Buffer.from([1, 2, 3]))
      expect({ ...properties?.userProperties }).toEqual({ colour: ["green", "blue"] })
      expect(properties?.messageExpiryInterval).toBeLessThanOrEqual(100)
      expect(properties?.messageExpiryInterval).toBeGreaterThan(50)
    })

    it("answers a request on its response topic", async () => {
      const server = await connect("5.0")
      await server.mqtt.subscribeAsync("requests/sum", { qos: 1 })
      server.mqtt.on("message", (_topic, payload, packet) => {
        const sum = (JSON.parse(payload.toString()) as Array<number>).reduce((a, b) => a + b, 0)
        const { responseTopic = "", correlationData } = packet.properties ?? {}
        server.mqtt.publish(responseTopic, String(sum), { properties: correlationData === undefined ? {} : { correlationData } })
      })
      const client = await connect("5.0")
      await client.mqtt.subscribeAsync("answers/me")
      const properties = { responseTopic: "answers/me", correlationData: Buffer.from("42") }
      await client.mqtt.publishAsync("requests/sum", "[1,2,3]", { qos: 1, properties })
      await client.receives(1)
      expect(client.received[0]?.payload).toBe("6")
      expect(client.received[0]?.properties?.correlationData).toEqual(Buffer.from("42"))
    })

    it("keeps its own messages from a subscriber with no local, and retained flags as published where asked", async () => {
      const client = await connect("5.0")
      await client.mqtt.subscribeAsync({ "local/+": { qos: 0, nl: true }, "as/published": { qos: 0, rap: true } })
      const other = await connect("5.0")
      await client.mqtt.publishAsync("local/own", "own", { qos: 1 })
      await other.mqtt.publishAsync("local/other", "other", { qos: 1 })
      await other.mqtt.publishAsync("as/published", "kept", { qos: 1, retain: true })
      await client.receives(2)
      expect(client.received.map(({ payload, retain }) => ({ payload, retain }))).toEqual([
        { payload: "other", retain: false },
        { payload: "kept", retain: true }
      ])
    })

    it("uses topic aliases both ways", async () => {
      const subscriber = await connect("5.0", { properties: { topicAliasMaximum: 5 } })
      await subscriber.mqtt.subscribeAsync("alias/#", { qos: 1 })
      const publisher = await connect("5.0", { autoAssignTopicAlias: true, properties: { topicAliasMaximum: 5 } })
      for (let i = 0; i < 20; i++) await publisher.mqtt.publishAsync(`alias/${i % 2}`, String(i), { qos: 1 })
      await subscriber.receives(20)
      expect(subscriber.received.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual(
        Array.from({ length: 20 }, (_, i) => `alias/${i % 2} ${i}`)
      )
    })

    it("publishes a will with its properties when the connection breaks", async () => {
      const watcher = await connect("5.0")
      await watcher.mqtt.subscribeAsync("wills/+", { qos: 1 })
      const properties = { contentType: "text/plain", userProperties: { why: "gone" } }
      const will = { topic: "wills/one", payload: Buffer.from("bye"), qos: 1 as const, retain: false, properties }
      const dying = await connect("5.0", { will })
      dying.mqtt.stream.destroy()
      await watcher.receives(1)
      expect(watcher.received[0]).toMatchObject({ topic: "wills/one", payload: "bye", properties: { contentType: "text/plain" } })
      expect({ ...watcher.received[0]?.properties?.userProperties }).toEqual({ why: "gone" })
    })

    it("assigns a client id, says its limits, and refuses what it must with reason codes", async () => {
      const client = await connect("5.0", { clientId: "", clean: true })
      expect(client.connack?.properties?.assignedClientIdentifier).toMatch(/./)
      const granted = await client.mqtt.subscribeAsync("granted/#", { qos: 2 })
      expect(granted.map((one) => one.qos)).toEqual([2])
      const unsubscribed = await client.mqtt.unsubscribeAsync("granted/#")
      expect(unsubscribed).toBeDefined()
    })

    it("spreads a shared subscription over its members", async () => {
      const members = [await connect("5.0"), await connect("5.0"), await connect("5.0")]
      for (const member of members) await member.mqtt.subscribeAsync("$share/workers/jobs/+", { qos: 1 })
      const publisher = await connect("5.0")
      for (let i = 0; i < 30; i++) await publisher.mqtt.publishAsync(`jobs/${i}`, String(i), { qos: 1 })
      const all = () => members.flatMap((member) => member.received)
      await until(
        () => all().length >= 30,
        () => `30 messages; there are ${all().length}`
      )
      expect(new Set(all().map((message) => message.payload)).size).toBe(30)
      for (const member of members) expect(member.received.length).toBeGreaterThan(0)
    })

    it("holds no more in flight than the receive maximum of the client", async () => {
      const session = { clientId: "narrow", clean: false }
      const properties = { sessionExpiryInterval: 300, receiveMaximum: 3 }
      let held = 0
      let most = 0
      const subscriber = await connect("5.0", {
        ...session,
        properties,
        customHandleAcks: (_topic, _message, _packet, done) => {
          held++
          most = Math.max(most, held)
          setImmediate(() => {
            held--
            done(0)
          })
        }
      })
      await subscriber.mqtt.subscribeAsync("narrow/#", { qos: 1 })
      const publisher = await connect("5.0")
      await Promise.all(Array.from({ length: 100 }, (_, i) => publisher.mqtt.publishAsync(`narrow/${i}`, "x", { qos: 1 })))
      await subscriber.receives(100)
      expect(most).toBeLessThanOrEqual(3)
    })
  })
})
