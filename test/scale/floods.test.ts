/**
 * Clients that take less than they ask for, or give more than they may: memory stays bounded, others are served, and what is
 * dropped is counted.
 *
 * EFFECTMQ_SCALE_FLOOD_SECONDS: how long each flood lasts.
 */
import { afterEach, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { LeanClient, openAll } from "./LeanClient.js"
import * as packets from "./Packets.js"
import { begin, end, figures, mebibytes, meter, metrics, type Stage, size, watchMemory } from "./Scale.js"
import { told } from "./Witness.js"

const floodMs = size("FLOOD_SECONDS", 5) * 1000
const payload = Buffer.alloc(1000, "x")
const slowClients = 20
/** The broker bounds what it holds for one client: 1 MiB of output, 16 MiB each of messages in flight and waiting. The rest is garbage. */
const growthBytesMax = 512 * 1024 * 1024

const dropped = async (stage: Stage, reason: string) =>
  meter(stage.broker, `effectmq_mqtt_dropped_messages_total{reason="${reason}"}`)

/** Publishes as fast as it is acknowledged, or as the system takes it, for a while; gives how many. */
const flood = async (publisher: LeanClient, topic: string, qos: 0 | 1): Promise<number> => {
  const untilMs = performance.now() + floodMs
  let sent = 0
  while (performance.now() < untilMs && !publisher.closed) {
    await publisher.publishAll(1000, () => ({ topic, payload }), qos)
    sent += 1000
    // Others of this process have a turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return sent
}

describe("floods", () => {
  let stage: Stage
  afterEach(() => end(stage))

  for (const qos of [0, 1] as const) {
    it(`of QoS ${qos} past readers that do not read`, async () => {
      stage = await begin()
      const { broker, witness } = stage
      const slow = await openAll(slowClients, slowClients, (index) => LeanClient.open(`slow-${index}`, { port: broker.port }))
      await Promise.all(slow.map((client) => client.subscribe(["flood/#"], qos)))
      const quick = await LeanClient.open("quick", { port: broker.port })
      await quick.subscribe(["flood/#"], qos)
      for (const client of slow) client.socket.pause()
      const publisher = await LeanClient.open("publisher", { port: broker.port })
      const memory = watchMemory(broker)
      const before = memory.most()
      const { result: sent, seen } = await witness.during(() => flood(publisher, "flood/x", qos))
      const grown = memory.stop() - before
      // The one that reads is not held up by those that do not; at QoS 1 it misses nothing.
      if (qos === 1)
        await until(
          () => quick.publishes === sent,
          () => `quick has all ${sent}: ${quick.publishes}`
        )
      expect(quick.publishes).toBeGreaterThan(0)
      expect(seen.closed).toBe(false)
      expect(grown).toBeLessThan(growthBytesMax)
      const lost = await dropped(stage, qos === 0 ? "saturated" : "queue-full")
      expect(lost).toBeGreaterThan(0)
      // Each message came to a slow reader or was counted as dropped, once.
      for (const client of slow) client.socket.resume()
      const all = sent * (slowClients + 1)
      const come = () => slow.reduce((sum, client) => sum + client.publishes, quick.publishes)
      await until(
        async () => come() + (await dropped(stage, qos === 0 ? "saturated" : "queue-full")) === all,
        () => `${all} messages have come or are counted: ${come()} have come`,
        60_000
      )
      expect(slow.filter((client) => client.closed)).toEqual([])
      figures(
        `QoS ${qos} past ${slowClients} that do not read`,
        `${sent} messages of ${payload.length} bytes, ${lost} dropped, at most ${mebibytes(grown)} more; ${told(seen)}`
      )
    })
  }

  it("of QoS 1 past persistent sessions that never acknowledge and connect again and again", async () => {
    stage = await begin()
    const { broker, witness } = stage
    const options = { port: broker.port, clean: false, expirySeconds: 3600, acknowledges: false }
    const publisher = await LeanClient.open("publisher", { port: broker.port })
    const memory = watchMemory(broker)
    const first = await LeanClient.open("deaf", options)
    await first.subscribe(["flood/#"], 1)
    const before = memory.most()
    let flooding = true
    let connects = 0
    const { result: sent, seen } = await witness.during(async () => {
      const connecting = (async () => {
        while (flooding) {
          // Without a word to the one before: it is taken over.
          const client = await LeanClient.open("deaf", options)
          expect(client.connackCode).toBe(0)
          connects++
          if (connects % 2 === 0) client.socket.pause()
          await until(() => client.publishes > 0 || connects % 2 === 0 || !flooding || client.closed, "something came")
        }
      })()
      const published = await flood(publisher, "flood/x", 1)
      flooding = false
      await connecting
      return published
    })
    const grown = memory.stop() - before
    expect(grown).toBeLessThan(growthBytesMax)
    expect(seen.closed).toBe(false)
    expect(connects).toBeGreaterThan(10)
    // Nothing is lost for it: once it acknowledges, all of it comes.
    const received = new Set<number>()
    let count = 0
    const last = LeanClient.make("deaf", { ...options, acknowledges: true })
    last.onPublish = ({ packetId, dup }) => {
      count++
      if (dup) received.add(packetId)
    }
    await until(
      () => count >= sent,
      () => `${sent} messages have come: ${count}`,
      60_000
    )
    expect(count).toBe(sent)
    figures(
      "QoS 1 past one that never acknowledges",
      `${sent} messages, ${connects} connects, ${received.size} were sent again, at most ${mebibytes(grown)} more; ${told(seen)}`
    )
  })

  it("of QoS 2 by publishers that never send PUBREL", async () => {
    stage = await begin()
    const { broker, witness } = stage
    const receiveMaximum = 1024
    const identifiers = 65_535
    const subscriber = await LeanClient.open("subscriber", { port: broker.port })
    await subscriber.subscribe(["flood/#"], 0)
    const memory = watchMemory(broker)
    const before = memory.most()
    const { result: publishers, seen } = await witness.during(async () => {
      const opened: Array<LeanClient> = []
      for (const version of [4, 5] as const) {
        for (const persistent of [false, true]) {
          const expiry = version === 5 ? { expirySeconds: 3600 } : {}
          const options = { port: broker.port, version, clean: !persistent, ...(persistent ? expiry : {}) }
          const client = await LeanClient.open(`halfway-${version}-${persistent}`, options)
          opened.push(client)
          for (let packetId = 1; packetId <= identifiers && !client.closed; packetId += 500) {
            const some = Array.from({ length: Math.min(500, identifiers + 1 - packetId) }, (_, index) =>
              packets.publish("flood/two", payload, 2, { packetId: packetId + index, version })
            )
            client.write(Buffer.concat(some))
            await client.drained()
          }
          // One of 5.0 is told that this is too many; one of 3.1.1 knows no such limit and is only slowed.
          const all = () => client.closed || client.counts[packets.pubrec] === identifiers
          await until(all, () => `${client.clientId}: PUBREC or the end; ${client.counts[packets.pubrec]} have come`, 60_000)
        }
      }
      return opened
    })
    const grown = memory.stop() - before
    expect(grown).toBeLessThan(growthBytesMax)
    expect(publishers.slice(0, 2).map((client) => client.counts[packets.pubrec])).toEqual([identifiers, identifiers])
    for (const client of publishers.slice(2)) {
      expect(client.disconnectCode).toBe(0x93)
      expect(client.counts[packets.pubrec]).toBeLessThanOrEqual(receiveMaximum)
    }
    expect(seen.closed).toBe(false)
    figures(
      "QoS 2 without PUBREL",
      `PUBREC: ${publishers.map((client) => client.counts[packets.pubrec]).join(", ")}; at most ${mebibytes(grown)} more; ${told(seen)}`,
      `sessions now: ${(await metrics(broker)).get("effectmq_mqtt_sessions")}`
    )
  })
})
