/**
 * What a server that offers less must say and refuse: maximum QoS, retain, wildcards, keep alive, response information.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, isStandIn, startBroker } from "./broker.js"
import { type ConnectFields, RawClient, unique } from "./RawClient.js"

describe.skipIf(isStandIn)("a broker that offers less", () => {
  let broker: Broker
  beforeAll(async () => {
    broker = await startBroker({
      "mqtt.maximumQos": 1,
      "mqtt.retainAvailable": false,
      "mqtt.wildcardSubscriptionAvailable": false,
      "mqtt.sharedSubscription.enabled": false,
      "mqtt.subscriptionIdentifiersAvailable": false,
      "mqtt.topicAliasMax": 0,
      "mqtt.keepAliveSecondsMax": 1,
      "mqtt.responseInformation": "answers/%c"
    })
  })
  afterAll(() => broker?.stop())

  const open = (version: 3 | 4 | 5) => RawClient.open(broker.port, version)
  const connect = (version: 3 | 4 | 5, fields: ConnectFields = {}) => RawClient.connect(broker.port, version, fields)

  it("says so in CONNACK [MQTT5-3.2.2-9]", async () => {
    const client = await open(5)
    const { properties } = await client.connect()
    expect(properties).toMatchObject({
      maximumQoS: 1,
      retainAvailable: false,
      wildcardSubscriptionAvailable: false,
      sharedSubscriptionAvailable: false,
      subscriptionIdentifiersAvailable: false
    })
  })

  it("still takes subscriptions of a higher QoS [MQTT5-3.2.2-10]", async () => {
    const client = await connect(5)
    const [granted] = await client.subscribe(unique(), 2)
    expect(granted).toBeLessThanOrEqual(1)
  })

  it("refuses publishes above its QoS [MQTT5-3.2.2-11]", async () => {
    const client = await connect(5)
    client.send(client.publishPacket(unique(), "x", 2, 1))
    await client.expectEnd(0x9b)
  })

  it("refuses retained publishes [MQTT5-3.2.2-14]", async () => {
    const client = await connect(5)
    client.send(client.publishPacket(unique(), "x", 0, 0, { retain: true }))
    await client.expectEnd(0x9a)
  })

  it("refuses a will above its QoS [MQTT5-3.2.2-12]", async () => {
    const client = await open(5)
    client.send(client.connectPacket({ will: { topic: "w", payload: Buffer.from("x"), qos: 2 } }))
    await client.expectPacket("connack", { reasonCode: 0x9b })
    await client.expectClosed()
  })

  it("refuses a retained will [MQTT5-3.2.2-13]", async () => {
    const client = await open(5)
    client.send(client.connectPacket({ will: { topic: "w", payload: Buffer.from("x"), retain: true } }))
    await client.expectPacket("connack", { reasonCode: 0x9a })
    await client.expectClosed()
  })

  it("refuses filters with wildcards [MQTT3-3.8.3-2]", async () => {
    const old = await connect(4)
    expect(await old.subscribe(["a/+", "a/b"])).toEqual([0x80, 0])
    const five = await connect(5)
    expect(await five.subscribe(["a/#", "a/b", "$share/g/a"])).toEqual([0xa2, 0, 0x9e])
  })

  it("refuses topic aliases [MQTT5-3.2.2-18]", async () => {
    const client = await connect(5)
    client.send(client.publishPacket(unique(), "x", 0, 0, { properties: { topicAlias: 1 } }))
    await client.expectEnd(0x94)
  })

  it("tells its keep alive, and keeps it [MQTT5-3.1.2-21] [MQTT5-3.2.2-21]", async () => {
    const client = await open(5)
    const { properties } = await client.connect({ keepalive: 600 })
    expect(properties?.serverKeepAlive).toBe(1)
    await client.expectEnd(0x8d)
  })

  it("gives response information only to those who ask [MQTT5-3.1.2-28]", async () => {
    const asking = await open(5)
    const answer = await asking.connect({ properties: { requestResponseInformation: true } })
    expect(answer.properties?.responseInformation).toBe(`answers/${asking.clientId}`)
    const silent = await open(5)
    expect((await silent.connect()).properties?.responseInformation).toBeUndefined()
  })
})
