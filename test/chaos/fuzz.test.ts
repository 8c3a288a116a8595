/**
 * Random and mutated bytes on a live broker for a bounded time: it stays up, its memory stays bounded, and two clients that
 * talk meanwhile notice nothing.
 *
 * EFFECTMQ_FUZZ_SECONDS: how long (12). EFFECTMQ_CHAOS_SEED: repeats the bytes of a run.
 */
import { createConnection, type Socket } from "node:net"
import mqttPacket, { type Packet } from "mqtt-packet"
import { afterEach, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { SessionClient } from "../support/SessionClient.js"
import { until } from "../support/Until.js"
import { type Random, randomFrom } from "./Random.js"

const seconds = Number(process.env.EFFECTMQ_FUZZ_SECONDS ?? 12)
const seed = Number(process.env.EFFECTMQ_CHAOS_SEED ?? Date.now() % 1_000_000)
const fuzzersTcp = 12
const fuzzersWs = 4
const residentGrowthBytesMax = 300 * 1024 * 1024

/** Well-formed packets of both versions to start from. */
const conversation = (version: 4 | 5, name: string): Array<Buffer> => {
  const properties = version === 5 ? { properties: { userProperties: { a: "b" } } } : {}
  const packets: Array<Packet> = [
    {
      cmd: "connect",
      clientId: name,
      protocolId: "MQTT",
      protocolVersion: version,
      clean: version === 4,
      keepalive: 30,
      will: { topic: "fuzz/will", payload: Buffer.from("gone"), qos: 1, retain: false },
      ...(version === 5 ? { properties: { sessionExpiryInterval: 5, topicAliasMaximum: 10, receiveMaximum: 10 } } : {})
    },
    {
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [
        { topic: "fuzz/#", qos: 2 },
        { topic: "$share/g/fuzz/+", qos: 1 }
      ]
    },
    { cmd: "publish", topic: "fuzz/a", payload: "zero", qos: 0, retain: false, dup: false, ...properties },
    { cmd: "publish", topic: "fuzz/b", payload: "one", qos: 1, retain: true, dup: false, messageId: 2, ...properties },
    { cmd: "publish", topic: "fuzz/c", payload: "two", qos: 2, retain: false, dup: false, messageId: 3, ...properties },
    { cmd: "pubrel", messageId: 3 },
    { cmd: "puback", messageId: 1 },
    { cmd: "pubrec", messageId: 1 },
    { cmd: "pubcomp", messageId: 1 },
    { cmd: "unsubscribe", messageId: 4, unsubscriptions: ["fuzz/+"] },
    { cmd: "pingreq" },
    { cmd: "disconnect" }
  ]
  return packets.map((packet) => mqttPacket.generate(packet, { protocolVersion: version }))
}

const randomBytes = (random: Random, length: number) => Buffer.from(Array.from({ length }, () => random(256)))

/** One thing done to a packet. */
const mutate = (random: Random, packet: Buffer): Buffer => {
  const at = random(packet.length)
  switch (random(8)) {
    case 0: {
      const flipped = Buffer.from(packet)
      flipped[at] = (flipped[at] as number) ^ (1 << random(8))
      return flipped
    }
    case 1:
      return packet.subarray(0, at)
    case 2:
      return Buffer.concat([packet.subarray(0, at), randomBytes(random, 1 + random(20)), packet.subarray(at)])
    case 3:
      return Buffer.concat([packet.subarray(0, at), packet.subarray(Math.min(packet.length, at + 1 + random(4)))])
    case 4:
      return Buffer.concat([packet, packet])
    case 5: {
      // A length that promises more than there is, or more than allowed.
      const long = Buffer.from([0xff, 0xff, 0xff, random(256)])
      return Buffer.concat([packet.subarray(0, 1), long, packet.subarray(2)])
    }
    case 6: {
      const zeroed = Buffer.from(packet)
      return zeroed.fill(random(2) === 0 ? 0 : 0xff, at, Math.min(packet.length, at + 4))
    }
    default:
      return packet
  }
}

/** The bytes one connection sends: random ones, or a conversation of which some packets are mutated. */
const bytesOf = (random: Random, name: string): Array<Buffer> => {
  if (random(6) === 0) return [randomBytes(random, 1 + random(3000))]
  const packets = conversation(random(2) === 0 ? 4 : 5, name)
  const [connect, ...others] = packets as [Buffer, ...Array<Buffer>]
  const first = random(5) === 0 ? mutate(random, connect) : connect
  const rest = Array.from({ length: random(30) }, () => others[random(others.length)] as Buffer)
  return [first, ...rest.map((packet) => (random(3) === 0 ? mutate(random, packet) : packet))]
}

describe("random bytes", () => {
  let broker: BrokerProcess | undefined
  const witnesses: Array<SessionClient> = []

  afterEach(async () => {
    for (const witness of witnesses.splice(0)) witness.vanish()
    await broker?.remove()
  })

  it(`disturb nobody for ${seconds} s (seed ${seed})`, { timeout: 90_000 + seconds * 1000 }, async () => {
    broker = await BrokerProcess.start({ settings: { "log.level": "error", "auth.allowAnonymous": true } })
    const { port, wsPort } = broker
    const deadline = performance.now() + seconds * 1000
    const random = randomFrom(seed)
    let connections = 0

    const sendTcp = (parts: ReadonlyArray<Buffer>) =>
      new Promise<void>((resolve) => {
        const socket: Socket = createConnection({ port, host: "127.0.0.1" })
        socket.setTimeout(300, () => socket.destroy())
        socket.on("error", () => undefined)
        socket.on("close", () => resolve())
        socket.on("data", () => undefined)
        socket.on("connect", () => {
          for (const part of parts) socket.write(part)
          if (random(2) === 0) socket.end()
        })
      })
    const sendWs = (parts: ReadonlyArray<Buffer>) =>
      new Promise<void>((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${wsPort}/mqtt`, "mqtt")
        const timer = setTimeout(() => socket.terminate(), 300)
        socket.on("error", () => undefined)
        socket.on("close", () => {
          clearTimeout(timer)
          resolve()
        })
        socket.on("open", () => {
          for (const part of parts) socket.send(random(20) === 0 ? part.toString("latin1") : part)
        })
      })
    const fuzz = async (name: string, send: (parts: ReadonlyArray<Buffer>) => Promise<void>) => {
      while (performance.now() < deadline) {
        connections++
        const bytes = bytesOf(random, name)
        // Now and then all bytes one by one, or all at once.
        const how = random(4)
        const parts =
          how === 0 ? [Buffer.concat(bytes)] : how === 1 ? [...Buffer.concat(bytes)].map((b) => Buffer.from([b])) : bytes
        await send(parts)
      }
    }

    const listener = new SessionClient({ port, clientId: "witness-listener" })
    const speaker = new SessionClient({ port, clientId: "witness-speaker" })
    witnesses.push(listener, speaker)
    await until(() => listener.connected && speaker.connected, "witnesses are connected")
    await listener.subscribe("witness/#", 2)
    const residentBefore = broker.residentBytes()
    let residentMost = residentBefore

    let spoken = 0
    const speak = async () => {
      while (performance.now() < deadline) {
        for (let i = 0; i < 10; i++) expect(await speaker.publish(`witness/${i}`, `w:${spoken++}`, 2)).toBe(0)
        residentMost = Math.max(residentMost, broker?.residentBytes() ?? 0)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    await Promise.all([
      speak(),
      ...Array.from({ length: fuzzersTcp }, (_, i) => fuzz(`fuzz-${i}`, sendTcp)),
      ...Array.from({ length: fuzzersWs }, (_, i) => fuzz(`fuzz-ws-${i}`, sendWs))
    ])

    await until(
      () => listener.received.length >= spoken,
      () => `${spoken} messages; there are ${listener.received.length}`
    )
    expect(listener.received.map((message) => message.payload)).toEqual(Array.from({ length: spoken }, (_, i) => `w:${i}`))
    expect([...listener.faults, ...speaker.faults]).toEqual([])
    expect([listener.connects, speaker.connects]).toEqual([1, 1])
    expect(broker.isRunning).toBe(true)
    expect(residentMost - residentBefore).toBeLessThan(residentGrowthBytesMax)
    expect(connections).toBeGreaterThan(100)
    const mebibytes = (bytes: number) => Math.round(bytes / 1024 / 1024)
    console.info(
      `${connections} connections of bytes, ${spoken} messages of the witness, ` +
        `resident ${mebibytes(residentBefore)} to at most ${mebibytes(residentMost)} MiB`
    )
  })
})
