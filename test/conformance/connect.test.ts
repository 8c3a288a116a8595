/**
 * CONNECT and CONNACK: sections 3.1 and 3.2 of both specifications.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { clockPast, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const open = (version: 3 | 4 | 5) => RawClient.open(broker.port, version)
const connect = (version: 3 | 4 | 5, fields = {}) => RawClient.connect(broker.port, version, fields)

/** A refused CONNECT: 3.1.1 closes without a word, 5.0 may say why first. */
const expectRefused = async (client: RawClient, reasonCode: number) => {
  if (client.version === 5) await client.expectPacket("connack", { reasonCode, sessionPresent: false })
  await client.expectClosed()
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length), bytes])
}

/** CONNECT with these flags and these fields in its payload, whether they belong together or not. */
const connectBytes = (version: 4 | 5, flags: number, ...payload: ReadonlyArray<Buffer>): Buffer => {
  const head = Buffer.concat([text("MQTT"), Buffer.of(version, flags, 0, 0), ...(version === 5 ? [Buffer.of(0)] : [])])
  const body = Buffer.concat([head, ...payload])
  return Buffer.concat([Buffer.of(0x10, body.length), body])
}

/** In 5.0 the will has properties in front. */
const willOf = (version: 4 | 5, topic: string): Array<Buffer> => [
  ...(version === 5 ? [Buffer.of(0)] : []),
  text(topic),
  text("gone")
]

describe.each([4, 5] as const)("version %i", (version) => {
  it("the first packet is CONNECT, or the connection closes [MQTT3-3.1.0-1] [MQTT5-3.1.0-1]", async () => {
    for (const bytes of ["c000", "30 03 0001 61", "8206 0001 0001 61 00", "e000", "4002 0001"]) {
      const client = await open(version)
      client.sendBytes(bytes)
      await client.expectClosed()
    }
  })

  it("a second CONNECT ends the connection [MQTT3-3.1.0-2] [MQTT5-3.1.0-2]", async () => {
    const client = await connect(version)
    client.send(client.connectPacket())
    await client.expectEnd(0x82)
  })

  it("another protocol's name ends the connection [MQTT3-3.1.2-1] [MQTT5-3.1.2-1]", async () => {
    const client = await open(version)
    client.sendBytes(Buffer.concat([Buffer.of(0x10, 13), text("MQTX"), Buffer.of(version, 2, 0, 0), text("a")]))
    await client.expectClosed()
  })

  it("the reserved flag is 0 [MQTT3-3.1.2-3] [MQTT5-3.1.2-3]", async () => {
    const client = await open(version)
    client.sendBytes(connectBytes(version, 3, text(unique())))
    await expectRefused(client, 0x81)
  })

  it("without a will there is no will QoS and no will retain [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15] [MQTT5-3.1.2-11] [MQTT5-3.1.2-13]", async () => {
    for (const flags of [0x0a, 0x12, 0x22]) {
      const client = await open(version)
      client.sendBytes(connectBytes(version, flags, text(unique())))
      await expectRefused(client, 0x81)
    }
  })

  it("the will QoS is not 3 [MQTT3-3.1.2-14] [MQTT5-3.1.2-12]", async () => {
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0x1e, text(unique()), ...willOf(version, "a")))
    await expectRefused(client, 0x81)
  })

  it("with a will, its topic and payload are there [MQTT3-3.1.2-9] [MQTT5-3.1.2-9]", async () => {
    const will = willOf(version, unique())
    for (const part of [[], will.slice(0, -2), will.slice(0, -1)]) {
      const client = await open(version)
      client.sendBytes(connectBytes(version, 0x06, text(unique()), ...part))
      await expectRefused(client, 0x81)
    }
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0x06, text(unique()), ...will))
    await client.expectPacket("connack", { [version === 5 ? "reasonCode" : "returnCode"]: 0 })
  })

  it("without their flags there is no user name and no password [MQTT3-3.1.2-18] [MQTT3-3.1.2-20] [MQTT5-3.1.2-16] [MQTT5-3.1.2-18]", async () => {
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0x02, text(unique()), text("user")))
    await expectRefused(client, 0x81)
    const other = await open(version)
    other.sendBytes(connectBytes(version, 0x82, text(unique()), text("user"), text("secret")))
    await expectRefused(other, 0x81)
  })

  it("with their flags there are a user name and a password [MQTT3-3.1.2-19] [MQTT3-3.1.2-21] [MQTT5-3.1.2-17] [MQTT5-3.1.2-19]", async () => {
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0x82, text(unique())))
    await expectRefused(client, 0x81)
    const other = await open(version)
    other.sendBytes(connectBytes(version, 0xc2, text(unique()), text("user")))
    await expectRefused(other, 0x81)
  })

  it("the payload's fields come in their order [MQTT3-3.1.3-1] [MQTT3-3.1.3-3] [MQTT5-3.1.3-1] [MQTT5-3.1.3-3]", async () => {
    const topic = unique("will")
    const watcher = await connect(version)
    await watcher.subscribe(topic)
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0xc6, text(unique()), ...willOf(version, topic), text("user"), text("secret")))
    const connack = await client.expectPacket("connack")
    // Whether a user who is not known is let in is not the matter here; but it was the user who was judged.
    if ((connack.reasonCode ?? connack.returnCode) !== 0) {
      expect([4, 5, 0x86, 0x87]).toContain(connack.reasonCode ?? connack.returnCode)
      return
    }
    client.destroy()
    await watcher.expectPublish(topic, "gone")
  })

  it("client id, will topic and user name are UTF-8 [MQTT3-3.1.3-4] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11] [MQTT5-3.1.3-4] [MQTT5-3.1.3-11] [MQTT5-3.1.3-12]", async () => {
    const bad = Buffer.from("0002c328", "hex")
    const properties = version === 5 ? [Buffer.of(0)] : []
    for (const [flags, payload] of [
      [0x02, [bad]],
      [0x06, [text(unique()), ...properties, bad, text("gone")]],
      [0x82, [text(unique()), bad]]
    ] as const) {
      const client = await open(version)
      client.sendBytes(connectBytes(version, flags, ...payload))
      await expectRefused(client, 0x81)
    }
  })

  it("no extension is needed to publish and subscribe, and TCP is the transport [MQTT3-7.0.0-2] [MQTT3-7.1.1-1] [MQTT5-4.2-1]", async () => {
    const topic = unique()
    const watcher = await open(version)
    watcher.sendBytes(connectBytes(version, 0x02, text(unique())))
    await watcher.expectPacket("connack")
    await watcher.subscribe(topic)
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0x02, text(unique())))
    await client.expectPacket("connack")
    await client.publish(topic, "plain", 1)
    await watcher.expectPublish(topic, "plain")
  })

  it("client ids of 1 to 23 letters and digits are taken [MQTT3-3.1.3-5] [MQTT5-3.1.3-5]", async () => {
    const id = unique("Z09")
    for (const clientId of [id, id.padEnd(23, "aZ0")]) {
      const client = await connect(version, { clientId })
      await client.disconnect()
    }
  })

  it("a client that brings no id gets one of its own [MQTT3-3.1.3-6] [MQTT5-3.1.3-6] [MQTT5-3.1.3-7] [MQTT5-3.2.2-16]", async () => {
    const one = await open(version)
    const two = await open(version)
    const first = await one.connect({ clientId: "" })
    const second = await two.connect({ clientId: "" })
    if (version === 5) {
      const ids = [first, second].map(({ properties }) => properties?.assignedClientIdentifier)
      expect(ids.every((id) => typeof id === "string" && id.length > 0)).toBe(true)
      expect(ids[0]).not.toBe(ids[1])
    }
    // Neither has taken the other's place.
    await one.expectNothing()
    await two.expectNothing()
  })

  it("CONNACK comes first, once, with its reserved bits 0 [MQTT3-3.2.0-1] [MQTT3-3.1.4-4] [MQTT5-3.2.0-1] [MQTT5-3.2.0-2] [MQTT5-3.2.2-1] [MQTT5-3.1.4-5]", async () => {
    const topic = unique()
    const client = await open(version)
    const packets = [
      client.encode(client.connectPacket()),
      client.encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] }),
      client.encode(client.publishPacket(topic, "early", 1, 2)),
      client.encode({ cmd: "pingreq" })
    ]
    client.sendBytes(Buffer.concat(packets))
    const connack = await client.expectPacket("connack")
    expect(connack.reasonCode ?? connack.returnCode).toBe(0)
    expect(connack.bytes[2]).toBe(0)
    await client.expectPacket("suback", { messageId: 1 })
    const rest = [await client.nextPacket(), await client.nextPacket(), await client.nextPacket()]
    expect(rest.map(({ cmd }) => cmd).sort()).toEqual(["pingresp", "puback", "publish"])
  })

  it("nothing of what follows a refused CONNECT is done [MQTT3-3.1.4-5] [MQTT5-3.1.4-6]", async () => {
    const topic = unique()
    const watcher = await connect(version)
    await watcher.subscribe(topic)
    const client = await open(version)
    client.sendBytes(
      Buffer.concat([connectBytes(version, 3, text(unique())), client.encode(client.publishPacket(topic, "no", 0, 0))])
    )
    await expectRefused(client, 0x81)
    const other = await connect(version)
    await other.publish(topic, "yes")
    await watcher.expectPublish(topic, "yes")
  })

  it("what is no CONNECT by its form is refused [MQTT3-3.1.4-1] [MQTT3-3.2.2-6] [MQTT5-3.1.4-1]", async () => {
    const client = await open(version)
    client.sendBytes(connectBytes(version, 0x02, text(unique()), Buffer.of(0)))
    await expectRefused(client, 0x81)
  })

  it("a client id that the server does not take is refused [MQTT3-3.1.3-9] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5] [MQTT5-3.1.3-8] [MQTT5-3.2.2-6] [MQTT5-3.2.2-7] [MQTT5-3.2.2-8]", async () => {
    const client = await open(version)
    client.send(client.connectPacket({ clientId: "x".repeat(60_000), clean: false }))
    await client.expectPacket("connack", { sessionPresent: false, ...(version === 5 ? { reasonCode: 0x85 } : { returnCode: 2 }) })
    await client.expectClosed()
  })

  it("silence of one and a half times the keep alive ends the connection [MQTT3-3.1.2-24] [MQTT5-3.1.2-22] [MQTT5-3.2.2-22]", async () => {
    const client = await connect(version, { keepalive: 1 })
    const start = Date.now()
    await client.expectEnd(0x8d)
    expect(Date.now() - start).toBeGreaterThanOrEqual(1490)
  })

  it("PINGREQ is answered, and keeps the connection [MQTT3-3.12.4-1] [MQTT5-3.12.4-1]", async () => {
    const client = await connect(version, { keepalive: 1 })
    const end = Date.now() + 2000
    while (Date.now() < end) {
      client.send({ cmd: "pingreq" })
      const { bytes } = await client.expectPacket("pingresp")
      expect(bytes.toString("hex")).toBe("d000")
      await clockPast(Date.now() + 200)
    }
  })
})

describe("protocol levels", () => {
  it("3.1.1: an unknown level is answered with 1 [MQTT3-3.1.2-2]", async () => {
    const client = await open(4)
    client.sendBytes(Buffer.concat([Buffer.of(0x10, 13), text("MQTT"), Buffer.of(3, 2, 0, 0), text("a")]))
    await client.expectPacket("connack", { returnCode: 1, sessionPresent: false })
    await client.expectClosed()
  })

  it("5: an unknown level is answered with 0x84 [MQTT5-3.1.2-2]", async () => {
    const client = await open(5)
    client.sendBytes(Buffer.concat([Buffer.of(0x10, 14), text("MQTT"), Buffer.of(6, 2, 0, 0, 0), text("a")]))
    await client.expectPacket("connack", { reasonCode: 0x84, sessionPresent: false })
    await client.expectClosed()
  })

  it("3.1 is spoken", async () => {
    const topic = unique()
    const client = await connect(3)
    expect(await client.subscribe(topic, 1)).toEqual([1])
    client.send(client.publishPacket(topic, "hello", 1, 77))
    await client.expectPublish(topic, "hello", { qos: 1 })
    await client.expectPacket("puback", { messageId: 77 })
  })
})

describe("only 3.1.1", () => {
  it("no password without a user name [MQTT3-3.1.2-22]", async () => {
    const client = await open(4)
    client.sendBytes(connectBytes(4, 0x42, text(unique()), text("secret")))
    await client.expectClosed()
  })

  it("no client id without clean session [MQTT3-3.1.3-8]", async () => {
    const client = await open(4)
    client.sendBytes(connectBytes(4, 0, text("")))
    await client.expectPacket("connack", { returnCode: 2, sessionPresent: false })
    await client.expectClosed()
  })
})

describe("only 5.0", () => {
  it("a client id of no length is given one also without clean start [MQTT5-3.1.3-6]", async () => {
    const client = await open(5)
    client.sendBytes(connectBytes(5, 0, text("")))
    const connack = await client.expectPacket("connack", { reasonCode: 0, sessionPresent: false })
    expect(connack.properties?.assignedClientIdentifier).toMatch(/./)
  })

  it("a reason string that would not fit is left out [MQTT5-3.2.2-19]", async () => {
    const client = await open(5)
    client.send(client.connectPacket({ clientId: "x".repeat(60_000), properties: { maximumPacketSize: 20 } }))
    const connack = await client.expectPacket("connack", { reasonCode: 0x85 })
    expect(connack.bytes.length).toBeLessThanOrEqual(20)
    await client.expectClosed()
  })

  it("values that may not be are protocol errors", async () => {
    for (const properties of [{ receiveMaximum: 0 }, { maximumPacketSize: 0 }]) {
      const client = await open(5)
      client.send(client.connectPacket({ properties }))
      await expectRefused(client, 0x82)
    }
  })

  it("Response Information is not given to who did not ask [MQTT5-3.1.2-28]", async () => {
    const client = await open(5)
    const connack = await client.connect({ properties: { requestResponseInformation: false } })
    expect(connack.properties?.responseInformation).toBeUndefined()
  })
})
