/**
 * DISCONNECT: section 3.14.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { type ConnectFields, RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5, fields: ConnectFields = {}) => RawClient.connect(broker.port, version, fields)

describe.each([4, 5] as const)("version %i", (version) => {
  it("nothing that follows DISCONNECT is done, and the connection closes [MQTT3-3.14.4-1] [MQTT3-3.14.4-2] [MQTT5-3.14.4-1] [MQTT5-3.14.4-2]", async () => {
    const topic = unique()
    const watcher = await connect(version)
    await watcher.subscribe(topic)
    const client = await connect(version)
    client.sendBytes(
      Buffer.concat([client.encode({ cmd: "disconnect" }), client.encode(client.publishPacket(topic, "late", 0, 0))])
    )
    await client.expectClosed()
    const other = await connect(version)
    await other.publish(topic, "next")
    await watcher.expectPublish(topic, "next")
  })
})

describe("only 5.0", () => {
  it("no DISCONNECT before CONNACK [MQTT5-3.14.0-1]", async () => {
    const client = await RawClient.open(broker.port, 5)
    client.sendBytes("e000")
    await client.expectClosed()
    const other = await RawClient.open(broker.port, 5)
    other.send(other.connectPacket({ properties: { receiveMaximum: 0 } }))
    await other.expectPacket("connack", { reasonCode: 0x82 })
    await other.expectClosed()
  })

  it("the broker's DISCONNECT has one of its codes, no session expiry, and is the last packet [MQTT5-3.14.2-1] [MQTT5-3.14.2-2] [MQTT5-3.14.4-1] [MQTT5-3.14.4-2]", async () => {
    const clientId = unique("c")
    const client = await connect(5, { clientId, properties: { sessionExpiryInterval: 100 } })
    const other = await connect(5, { clientId })
    const { properties, reasonCode } = await client.expectPacket("disconnect")
    expect(reasonCode).toBe(0x8e)
    expect(properties?.sessionExpiryInterval).toBeUndefined()
    await client.expectClosed()
    await other.expectNothing()
  })
})
