/**
 * What a client must not send: every such packet ends its connection, with the reason code in 5.0, and nobody else's.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5, fields = {}) => RawClient.connect(broker.port, version, fields)

/** What is wrong, the bytes, the reason code of 5.0. */
type Vector = readonly [what: string, hex: string, reasonCode: number]

const old: ReadonlyArray<Vector> = [
  ["ill-formed UTF-8 in a topic [MQTT3-1.5.3-1] [MQTT3-3.3.2-1]", "30 04 0002 c328", 0x81],
  ["a surrogate in a topic [MQTT3-1.5.3-1]", "30 05 0003 eda080", 0x81],
  ["U+0000 in a topic [MQTT3-1.5.3-2] [MQTT3-4.7.3-2]", "30 04 0002 6100", 0x81],
  ["U+0000 in a filter [MQTT3-1.5.3-2] [MQTT3-4.7.3-2]", "8207 0001 0002 6100 00", 0x81],
  ["reserved flags of PUBACK [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]", "41020001", 0x81],
  ["reserved flags of PUBREC [MQTT3-2.2.2-2]", "52020001", 0x81],
  ["reserved flags of PUBREL [MQTT3-2.2.2-2] [MQTT3-3.6.1-1]", "60020001", 0x81],
  ["reserved flags of PUBCOMP [MQTT3-2.2.2-2]", "74020001", 0x81],
  ["reserved flags of SUBSCRIBE [MQTT3-2.2.2-2] [MQTT3-3.8.1-1]", "8006 0001 0001 61 00", 0x81],
  ["reserved flags of UNSUBSCRIBE [MQTT3-2.2.2-2] [MQTT3-3.10.1-1]", "a005 0001 0001 61", 0x81],
  ["reserved flags of PINGREQ [MQTT3-2.2.2-2]", "c100", 0x81],
  ["reserved flags of DISCONNECT [MQTT3-2.2.2-2] [MQTT3-3.14.1-1]", "e100", 0x81],
  ["packet id 0 in PUBLISH [MQTT3-2.3.1-1]", "32 05 0001 61 0000", 0x82],
  ["packet id 0 in SUBSCRIBE [MQTT3-2.3.1-1]", "8206 0000 0001 61 00", 0x82],
  ["packet id 0 in UNSUBSCRIBE [MQTT3-2.3.1-1]", "a205 0000 0001 61", 0x82],
  ["DUP with QoS 0 [MQTT3-3.3.1-2]", "38 03 0001 61", 0x81],
  ["QoS 3 [MQTT3-3.3.1-4]", "36 05 0001 61 0001", 0x81],
  ["a + in a topic name [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]", "30 05 0003 612f2b", 0x90],
  ["a # in a topic name [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]", "30 05 0003 612f23", 0x90],
  ["a topic name of no length [MQTT3-4.7.3-1]", "30 02 0000", 0x82],
  ["a filter of no length [MQTT3-4.7.3-1]", "8205 0001 0000 00", 0x82],
  ["a filter that is not UTF-8 [MQTT3-3.8.3-1]", "8207 0001 0002 c328 00", 0x81],
  ["SUBSCRIBE without a filter [MQTT3-3.8.3-3]", "82020001", 0x82],
  ["SUBSCRIBE with reserved bits [MQTT3-3.8.3-4]", "8206 0001 0001 61 04", 0x81],
  ["SUBSCRIBE with QoS 3 [MQTT3-3.8.3-4]", "8206 0001 0001 61 03", 0x81],
  ["UNSUBSCRIBE that is not UTF-8 [MQTT3-3.10.3-1]", "a206 0001 0002 c328", 0x81],
  ["UNSUBSCRIBE without a filter [MQTT3-3.10.3-2]", "a2020001", 0x82],
  ["a remaining length of five bytes [MQTT3-4.8.0-1]", "30ffffffff01", 0x81],
  ["packet type 0 [MQTT3-4.8.0-1]", "0000", 0x81],
  ["packet type 15 [MQTT3-4.8.0-1]", "f000", 0x82],
  ["a packet only servers send [MQTT3-4.8.0-1]", "d000", 0x82]
]

const five: ReadonlyArray<Vector> = [
  ["ill-formed UTF-8 in a topic [MQTT5-1.5.4-1] [MQTT5-3.3.2-1]", "30 05 0002 c328 00", 0x81],
  ["a surrogate in a topic [MQTT5-1.5.4-1]", "30 06 0003 eda080 00", 0x81],
  ["U+0000 in a topic [MQTT5-1.5.4-2] [MQTT5-4.7.3-2]", "30 05 0002 6100 00", 0x81],
  ["an overlong remaining length [MQTT5-1.5.5-1]", "c08000", 0x81],
  ["an overlong property length [MQTT5-1.5.5-1]", "30 06 0001 61 8000 78", 0x81],
  ["a user property's name that is not UTF-8 [MQTT5-1.5.7-1]", "30 0b 0001 61 07 26 0002c328 0000", 0x81],
  ["a user property's value that is not UTF-8 [MQTT5-1.5.7-1]", "30 0b 0001 61 07 26 0000 0002c328", 0x81],
  ["no property length [MQTT5-2.2.2-1]", "30 03 0001 61", 0x81],
  ["reserved flags of PUBACK [MQTT5-2.1.3-1]", "41020001", 0x81],
  ["reserved flags of PUBREC [MQTT5-2.1.3-1]", "52020001", 0x81],
  ["reserved flags of PUBREL [MQTT5-2.1.3-1] [MQTT5-3.6.1-1]", "60020001", 0x81],
  ["reserved flags of PUBCOMP [MQTT5-2.1.3-1]", "74020001", 0x81],
  ["reserved flags of SUBSCRIBE [MQTT5-2.1.3-1] [MQTT5-3.8.1-1]", "8007 0001 00 0001 61 00", 0x81],
  ["reserved flags of UNSUBSCRIBE [MQTT5-2.1.3-1] [MQTT5-3.10.1-1]", "a006 0001 00 0001 61", 0x81],
  ["reserved flags of PINGREQ [MQTT5-2.1.3-1]", "c100", 0x81],
  ["reserved flags of DISCONNECT [MQTT5-2.1.3-1] [MQTT5-3.14.1-1]", "e100", 0x81],
  ["reserved flags of AUTH [MQTT5-2.1.3-1] [MQTT5-3.15.1-1]", "f100", 0x81],
  ["packet id 0 in PUBLISH [MQTT5-2.2.1-3]", "32 06 0001 61 0000 00", 0x82],
  ["packet id 0 in SUBSCRIBE [MQTT5-2.2.1-3]", "8207 0000 00 0001 61 00", 0x82],
  ["packet id 0 in UNSUBSCRIBE [MQTT5-2.2.1-3]", "a206 0000 00 0001 61", 0x82],
  ["DUP with QoS 0 [MQTT5-3.3.1-2]", "38 04 0001 61 00", 0x81],
  ["QoS 3 [MQTT5-3.3.1-4]", "36 06 0001 61 0001 00", 0x81],
  ["a + in a topic name [MQTT5-3.3.2-2] [MQTT5-4.7.0-1]", "30 06 0003 612f2b 00", 0x90],
  ["a # in a topic name [MQTT5-3.3.2-2] [MQTT5-4.7.0-1]", "30 06 0003 612f23 00", 0x90],
  ["a topic name of no length and no alias [MQTT5-4.7.3-1]", "30 03 0000 00", 0x82],
  ["topic alias 0 [MQTT5-3.3.2-8]", "30 07 0001 61 03230000", 0x94],
  ["a topic alias above the maximum [MQTT5-3.3.2-9] [MQTT5-3.2.2-17]", "30 07 0001 61 0323ffff", 0x94],
  ["a topic alias that stands for nothing yet", "30 06 0000 03230001", 0x82],
  ["a response topic that is not UTF-8 [MQTT5-3.3.2-13]", "30 09 0001 61 05080002c328", 0x81],
  ["a response topic with a wildcard [MQTT5-3.3.2-14]", "30 08 0001 61 040800012b", 0x82],
  ["a content type that is not UTF-8 [MQTT5-3.3.2-19]", "30 09 0001 61 05030002c328", 0x81],
  ["a subscription identifier in PUBLISH [MQTT5-3.3.4-6]", "30 06 0001 61 020b01", 0x82],
  ["a property twice [MQTT5-4.13.1-1]", "30 08 0001 61 0401000101", 0x82],
  ["a filter that is not UTF-8 [MQTT5-3.8.3-1]", "8208 0001 00 0002 c328 00", 0x81],
  ["a filter of no length [MQTT5-4.7.3-1]", "8206 0001 00 0000 00", 0x82],
  ["SUBSCRIBE without a filter [MQTT5-3.8.3-2]", "8203000100", 0x82],
  ["no local on a shared subscription [MQTT5-3.8.3-4]", "8210 0001 00 000a 2473686172652f672f61 04", 0x82],
  ["SUBSCRIBE with reserved bits [MQTT5-3.8.3-5]", "8207 0001 00 0001 61 40", 0x81],
  ["UNSUBSCRIBE that is not UTF-8 [MQTT5-3.10.3-1]", "a207 0001 00 0002 c328", 0x81],
  ["UNSUBSCRIBE without a filter [MQTT5-3.10.3-2]", "a203000100", 0x82],
  ["PUBACK with another packet's reason code [MQTT5-3.4.2-1]", "4003000192", 0x82],
  ["PUBREC with another packet's reason code [MQTT5-3.5.2-1]", "5003000192", 0x82],
  ["PUBREL with another packet's reason code [MQTT5-3.6.2-1]", "6203000187", 0x82],
  ["PUBCOMP with another packet's reason code [MQTT5-3.7.2-1]", "7003000187", 0x82],
  ["DISCONNECT with another packet's reason code [MQTT5-3.14.2-1]", "e00110", 0x82],
  ["AUTH without an authentication method in CONNECT [MQTT5-4.12.0-7]", "f009 18 07 15 0001 78 16 0000", 0x82],
  ["a remaining length of five bytes [MQTT5-4.13.1-1]", "30ffffffff01", 0x81],
  ["packet type 0 [MQTT5-4.13.1-1] [MQTT5-4.13.2-1]", "0000", 0x81],
  ["a packet only servers send [MQTT5-4.13.1-1] [MQTT5-4.13.2-1]", "d000", 0x82]
]

describe("3.1.1", () => {
  it.each(old)("%s", async (_what, hex) => {
    const client = await connect(4)
    client.sendBytes(hex)
    await client.expectClosed()
  })
})

describe("5.0", () => {
  it.each(five)("%s", async (_what, hex, reasonCode) => {
    const client = await connect(5)
    client.sendBytes(hex)
    await client.expectEnd(reasonCode)
  })
})

describe.each([4, 5] as const)("version %i", (version) => {
  it("U+FEFF stays in topics and filters [MQTT3-1.5.3-3] [MQTT5-1.5.4-3]", async () => {
    const topic = `\ufeff${unique()}`
    const client = await connect(version)
    await client.subscribe(topic)
    client.send(client.publishPacket(topic, "marked", 0, 0))
    await client.expectPublish(topic, "marked")
    client.send(client.publishPacket(topic.slice(1), "unmarked", 0, 0))
    await client.expectNothing()
  })

  it("topics and filters of 65,535 bytes are the most there can be, and a broker may take less [MQTT3-4.7.3-3] [MQTT5-4.7.3-3]", async () => {
    // What is longer cannot be said: the length has two bytes. The longest the broker takes is delivered whole.
    const topic = unique().padEnd(4096, "x")
    const client = await connect(version)
    await client.subscribe(topic)
    client.send(client.publishPacket(topic, "long", 0, 0))
    await client.expectPublish(topic, "long")
  })

  it("a packet larger than the broker takes ends the connection before it is whole [MQTT5-3.2.2-15]", async () => {
    const client = await connect(version)
    client.sendBytes("30 ffffff7f")
    await client.expectEnd(0x95)
  })

  it("one client's error is no other client's matter [MQTT5-4.13.2-1]", async () => {
    const other = await connect(version)
    const topic = unique()
    await other.subscribe(topic)
    const client = await connect(version)
    client.sendBytes("0000")
    await client.expectEnd(0x81)
    other.send(other.publishPacket(topic, "well", 0, 0))
    await other.expectPublish(topic, "well")
  })
})

describe("5.0 announces", () => {
  it("what it can take in CONNACK", async () => {
    const client = await RawClient.open(broker.port, 5)
    const { properties = {} } = await client.connect()
    expect(properties.receiveMaximum ?? 65_535).toBeGreaterThan(0)
    expect(properties.maximumPacketSize ?? 1).toBeGreaterThan(0)
  })
})
