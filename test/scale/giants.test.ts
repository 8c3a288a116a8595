/**
 * Packets as large as there may be, and in pieces as small as there are: they come through whole, memory stays bounded, and others
 * are served.
 *
 * EFFECTMQ_SCALE_GIANTS, _PROPERTIES: how many.
 */
import { createHash } from "node:crypto"
import { afterEach, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { LeanClient, openAll } from "./LeanClient.js"
import * as packets from "./Packets.js"
import { begin, end, figures, mebibytes, meter, type Stage, size, watchMemory } from "./Scale.js"
import { told } from "./Witness.js"

const mebibyte = 1024 * 1024
const packetSizeMax = mebibyte
const packetTooLarge = 0x95

const digest = (payload: Buffer) => createHash("sha256").update(payload).digest("base64")

/** A PUBLISH of so many bytes, whose payload is different for each seed. */
const publishOf = (sizeBytes: number, topic: string, packetId: number, seed: number, version: packets.Version = 5) => {
  const overhead = packets.publish(topic, Buffer.alloc(sizeBytes), 1, { packetId, version }).length - sizeBytes
  const payload = Buffer.alloc(sizeBytes - overhead)
  for (let at = 0; at < payload.length; at += 4093) payload[at] = seed + at
  const bytes = packets.publish(topic, payload, 1, { packetId, version })
  expect(bytes.length).toBe(sizeBytes)
  return { bytes, payload }
}

/** Writes the bytes piece by piece, each in a turn of its own so that they are read apart. */
const dribble = async (client: LeanClient, bytes: Buffer, pieceOf: (at: number) => number): Promise<void> => {
  for (let at = 0; at < bytes.length && !client.closed; ) {
    const upTo = Math.min(bytes.length, at + pieceOf(at))
    client.write(bytes.subarray(at, upTo))
    at = upTo
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe("giant packets", () => {
  let stage: Stage
  afterEach(() => end(stage))

  const giants = size("GIANTS", 40)
  it(`of ${giants} clients in pieces of all sizes come through whole; one byte more ends the connection`, async () => {
    stage = await begin()
    const { broker, witness } = stage
    // Its session persists: what there is no room for in memory waits in the log.
    const subscriber = await LeanClient.open("subscriber", { port: broker.port, clean: false, expirySeconds: 3600 })
    await subscriber.subscribe(["giant/#"], 1)
    const came = new Map<string, Array<string>>()
    subscriber.onPublish = ({ topic, payload }) => came.set(topic, [...(came.get(topic) ?? []), digest(payload)])
    const clients = await openAll(giants, 50, (index) =>
      LeanClient.open(`giant-${index}`, { port: broker.port, version: index % 2 === 0 ? 5 : 4 })
    )
    const memory = watchMemory(broker)
    const before = memory.most()
    const sent = new Map<string, Array<string>>()
    const versionOf = (index: number): packets.Version => (index % 2 === 0 ? 5 : 4)
    const { seen } = await witness.during(async () => {
      await Promise.all(
        clients.map(async (client, index) => {
          const topic = `giant/${index}`
          const giant = publishOf(packetSizeMax, topic, 1, index, versionOf(index))
          const small = publishOf(60, topic, 2, index, versionOf(index))
          sent.set(
            topic,
            [giant, small].map(({ payload }) => digest(payload))
          )
          // The head of each byte by byte, the rest in pieces of some length; the last of one and the first of the next together.
          const bytes = Buffer.concat([giant.bytes, small.bytes])
          const piece = 8191 + 997 * (index % 40)
          await dribble(client, bytes, (at) => (at < 40 || at > bytes.length - 100 ? 1 + (index % 3) : piece))
          await until(() => client.pubacks === 2 || client.closed, `both of ${topic} are acknowledged`, 60_000)
        })
      )
      await until(() => [...came.values()].flat().length === 2 * giants, "all of them have come", 60_000)
    })
    expect(new Map([...came].sort())).toEqual(new Map([...sent].sort()))
    const grown = memory.stop() - before
    expect(grown).toBeLessThan(256 * mebibyte + 2 * giants * mebibyte)

    await Promise.all(
      clients.map(async (client, index) => {
        client.write(publishOf(packetSizeMax + 1, `giant/${index}`, 3, index, versionOf(index)).bytes)
        await until(() => client.closed, "the connection is ended")
      })
    )
    const codes = clients.map((client) => client.disconnectCode)
    // Those of 3.1.1 cannot be told; others are, where they listen and do not only write.
    for (const [index, code] of codes.entries())
      expect(versionOf(index) === 5 ? [packetTooLarge, undefined] : [undefined]).toContain(code)
    expect(codes).toContain(packetTooLarge)
    expect([...came.values()].flat().length).toBe(2 * giants)
    expect(seen.closed).toBe(false)
    figures(`${giants} packets of 1 MiB in pieces`, `at most ${mebibytes(grown)} more; ${told(seen)}`)
  })

  it("one byte at a time, as large as a client sends them, hold up nobody", async () => {
    stage = await begin()
    const { broker, witness } = stage
    const clients = await openAll(20, 20, (index) => LeanClient.open(`drop-${index}`, { port: broker.port }))
    await Promise.all(clients.map((client, index) => client.subscribe([`drop/${index}`], 1)))
    const { seen } = await witness.during(() =>
      Promise.all(
        clients.map(async (client, index) => {
          let came = ""
          client.onPublish = ({ payload }) => {
            came = digest(payload)
          }
          const { bytes, payload } = publishOf(3000, `drop/${index}`, 1, index)
          await dribble(client, bytes, () => 1)
          await until(() => client.pubacks === 1 && came !== "", "it has come back", 60_000)
          expect(came).toBe(digest(payload))
        })
      )
    )
    expect(seen.closed).toBe(false)
    figures("20 packets of 3000 bytes, one byte at a time", told(seen))
  })

  const properties = size("PROPERTIES", 60)
  it(`of ${properties} user properties by the ten thousand cost no more than there is for them, wherever they wait`, async () => {
    const bytesMax = 16 * mebibyte
    stage = await begin({
      settings: {
        "mqtt.userPropertiesMax": 20_000,
        "mqtt.retained.bytesMax": bytesMax,
        "mqtt.delayed.bytesMax": bytesMax
      }
    })
    const { broker, witness } = stage
    const slow = { port: broker.port, clean: false, expirySeconds: 3600, acknowledges: false }
    // One whose messages wait in memory, one whose messages are in the log too.
    const readers = [
      await LeanClient.open("live", { port: broker.port, acknowledges: false }),
      await LeanClient.open("logged", slow)
    ]
    for (const reader of readers) {
      await reader.subscribe(["many/#"], 1)
      reader.socket.pause()
    }
    const pairs = Buffer.concat(
      Array.from({ length: 20_000 }, (_, index) => {
        const name = `name ${index}`
        return Buffer.concat([Buffer.from([0x26, 0, name.length]), Buffer.from(name), Buffer.from([0, 1, 0x78])])
      })
    )
    const publish = (topic: string, packetId: number, retain: boolean) => {
      const length = Buffer.from([(pairs.length & 127) | 128, ((pairs.length >> 7) & 127) | 128, pairs.length >> 14])
      const name = Buffer.from(topic)
      const head = Buffer.from([0, name.length])
      const id = Buffer.from([packetId >> 8, packetId & 255])
      return packets.packet(retain ? 0x33 : 0x32, Buffer.concat([head, name, id, length, pairs, Buffer.from("x")]))
    }
    const publisher = await LeanClient.open("publisher", { port: broker.port })
    const memory = watchMemory(broker)
    const before = memory.most()
    const { seen } = await witness.during(async () => {
      for (let index = 0; index < properties && !publisher.closed; index++) {
        const topic = [`many/${index}`, `kept/${index}`, `$delayed/3000/${index}`][index % 3] as string
        publisher.write(publish(topic, index + 1, index % 3 === 1))
        await until(() => publisher.pubacks > index - 4 || publisher.closed, "some are acknowledged", 60_000)
      }
      await until(() => publisher.pubacks === properties, "all are acknowledged", 60_000)
    })
    const grown = memory.stop() - before
    // Each is 2.5 MB of texts: all that are retained would be three times what may be.
    expect(await meter(broker, "effectmq_messaging_retained_bytes")).toBeLessThanOrEqual(bytesMax + mebibyte)
    expect(await meter(broker, "effectmq_messaging_retained_refused_total")).toBeGreaterThan(0)
    expect(await meter(broker, "effectmq_messaging_delayed_bytes")).toBeLessThanOrEqual(bytesMax)
    expect(grown).toBeLessThan(400 * mebibyte)
    expect(seen.closed).toBe(false)
    // What is in the log is not lost for that.
    const [, logged] = readers as [LeanClient, LeanClient]
    logged.cut()
    const again = await LeanClient.open("logged", { ...slow, acknowledges: true })
    await until(
      () => again.publishes === properties / 3,
      () => `${properties / 3} have come: ${again.publishes}`,
      60_000
    )
    figures(
      `${properties} publishes of 20,000 user properties`,
      `at most ${mebibytes(grown)} more, ${await meter(broker, "effectmq_messaging_retained_refused_total")} not retained; ${told(seen)}`
    )
  })
})
