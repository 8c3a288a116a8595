/** What a server may choose within the protocol: each limit at its limit, and one beyond. */
import type * as mqtt from "mqtt-packet"
import { describe, expect, it } from "vitest"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const payloads = (client: WorldClient) =>
  client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ payload }) => String(payload))

describe("client ids", () => {
  it.each([
    { version: 3, strictClientIds: true, length: 23, code: 0 },
    { version: 3, strictClientIds: true, length: 24, code: 2 },
    { version: 3, strictClientIds: false, length: 24, code: 0 },
    { version: 4, strictClientIds: true, length: 24, code: 0 },
    { version: 4, strictClientIds: false, length: 30, code: 0 },
    { version: 4, strictClientIds: false, length: 31, code: 2 },
    { version: 5, strictClientIds: false, length: 30, code: 0 },
    { version: 5, strictClientIds: false, length: 31, code: 0x85 }
  ] as const)(
    "of $length characters in version $version, strict $strictClientIds: $code",
    async ({ version, strictClientIds, length, code }) => {
      const world = await MqttWorld.make({ mqtt: { strictClientIds, clientIdLengthMax: 30 } })
      const { connack } = world.connect("x".repeat(length), { version })
      expect(connack).toMatchObject({ [version === 5 ? "reasonCode" : "returnCode"]: code })
    }
  )
})

describe("topics and filters", () => {
  const limited = () => MqttWorld.make({ mqtt: { topicLengthMax: 8, topicLevelsMax: 3 } })

  it.each([
    { topic: "12345678", isRight: true },
    { topic: "123456789", isRight: false },
    { topic: "a/b/c", isRight: true },
    { topic: "a/b/c/", isRight: false }
  ])("$topic within 8 characters and 3 levels: $isRight", async ({ topic, isRight }) => {
    const world = await limited()
    const client = world.connect("c")
    expect(client.publish(topic, "x", { qos: 1, messageId: 1 })).toMatchObject([
      { cmd: "puback", reasonCode: isRight ? 0x10 : 0x90 }
    ])
    expect(client.subscribe(topic)).toMatchObject([{ cmd: "suback", granted: [isRight ? 0 : 0x8f] }])
    expect(client.closed).toBe(false)
  })
})

describe("a queue that is full", () => {
  it.each([
    { queueDrop: "oldest", kept: ["1", "4", "5"] },
    { queueDrop: "newest", kept: ["1", "2", "3"] }
  ] as const)("drops the $queueDrop", async ({ queueDrop, kept }) => {
    const world = await MqttWorld.make({ mqtt: { queueDrop, queueMax: 2 } })
    const subscriber = world.connect("s", { properties: { receiveMaximum: 1 } })
    subscriber.subscribe("a", { qos: 1 })
    const publisher = world.connect("p")
    for (const payload of ["1", "2", "3", "4", "5"]) publisher.publish("a", payload, { qos: 1, messageId: Number(payload) })
    const got: Array<string> = []
    for (let packets = subscriber.take(); packets.length > 0; packets = subscriber.take()) {
      for (const packet of packets) {
        if (packet.cmd !== "publish") continue
        if (packet["qos"] === 1) {
          got.push(String(packet["payload"]))
          subscriber.send({ cmd: "puback", messageId: packet["messageId"], reasonCode: 0 } as mqtt.Packet)
        }
      }
    }
    expect(got).toEqual(kept)
    expect(world.tenant.counters.droppedQueueFull).toBe(2)
  })
})

describe("messages in flight", () => {
  it("are as many as the broker says, where the client would take more", async () => {
    const world = await MqttWorld.make({ mqtt: { inflightMax: 2 } })
    const subscriber = world.connect("s")
    subscriber.subscribe("a", { qos: 1 })
    const publisher = world.connect("p")
    for (const payload of ["1", "2", "3"]) publisher.publish("a", payload, { qos: 1, messageId: Number(payload) })
    expect(payloads(subscriber)).toEqual(["1", "2"])
    subscriber.send({ cmd: "puback", messageId: 1, reasonCode: 0 } as mqtt.Packet)
    expect(payloads(subscriber)).toEqual(["3"])
  })
})
