import { noClientEvents } from "../src/core/ClientEvents.js"
import { LoadAverages } from "@effectmq/mqtt/features/core/LoadAverages"
import { figureText, levelsOfMeter } from "@effectmq/mqtt/features/core/SysFigures"
import { MeterTable } from "@effectmq/metrics/core/MeterTable"
import { describe, expect, it } from "vitest"
import { figuresOf } from "../src/MqttMeters.js"
import type { Packet } from "./support/MemoryConnection.js"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const textsOf = (packets: ReadonlyArray<Packet>) =>
  new Map(packets.map((packet) => [packet.topic as string, String(packet.payload)]))

const texts = (client: WorldClient) => textsOf(client.take())

const events = (client: WorldClient) =>
  client.take().map((packet) => [packet.topic, JSON.parse((packet.payload as Buffer).toString())])

const publish = (world: MqttWorld, meters: ReadonlyMap<string, number> = new Map()) =>
  world.tenant.sys?.publish(figuresOf(world.context.counters, world.tenant, meters), meters)

describe("$SYS statistics", () => {
  it("by the names of Mosquitto are retained, and published again only when they change", async () => {
    const world = await MqttWorld.make()
    world.connect("other", { properties: { sessionExpiryInterval: 100 } }).cut()
    publish(world)
    const client = world.connect("reader")
    const first = textsOf(client.subscribe("$SYS/broker/#"))
    expect(first.get("$SYS/broker/clients/total")).toBe("1")
    expect(first.get("$SYS/broker/clients/connected")).toBe("0")
    expect(first.get("$SYS/broker/clients/disconnected")).toBe("1")
    expect(first.get("$SYS/broker/uptime")).toBe("0 seconds")
    expect(first.get("$SYS/broker/version")).toBe("effectmq version 0.2.0")
    expect(first.get("$SYS/broker/load/connections/1min")).toBe("0.00")
    world.advance(60_000)
    publish(world)
    const second = texts(client)
    expect(second.get("$SYS/broker/uptime")).toBe("60 seconds")
    expect(second.get("$SYS/broker/clients/connected")).toBe("1")
    expect(second.get("$SYS/broker/clients/maximum")).toBe("2")
    expect(second.get("$SYS/broker/load/connections/1min")).toBe("0.63")
    expect(second.has("$SYS/broker/version")).toBe(false)
    expect(second.has("$SYS/broker/retained messages/count")).toBe(true)
  })

  it("go on when the clock is set", async () => {
    const world = await MqttWorld.make()
    publish(world)
    for (const byMs of [-172_800_000, 86_400_000]) {
      const connections = world.connect(`c${byMs}`)
      world.time.setClock(byMs)
      world.advance(60_000)
      publish(world)
      connections.cut()
    }
    const client = world.connect("reader")
    const now = textsOf(client.subscribe("$SYS/broker/#"))
    expect(now.get("$SYS/broker/uptime")).toBe("120 seconds")
    expect(now.get("$SYS/broker/load/connections/1min")).toBe("0.86")
  })

  it("are never written to a shard", async () => {
    const world = await MqttWorld.make()
    for (let turn = 0; turn < 3; turn++) {
      world.advance(10_000)
      publish(world)
      world.settle()
    }
    expect([...world.shards].map((shard) => shard.endOffset()).filter((end) => end > 0)).toEqual([])
  })

  it("by the names of EMQX come while somebody listens, with every meter", async () => {
    const world = await MqttWorld.make({ mqtt: { nodeName: "n1" } })
    const meters = new MeterTable()
    meters.counter("effectmq_network_sent_bytes_total", "Sent", { transport: "tcp" }).value = 70
    meters.counter("effectmq_network_sent_bytes_total", "Sent", { transport: "ws" }).value = 7
    const client = world.connect("reader")
    client.subscribe("$SYS/brokers/#")
    client.subscribe("$SYS/brokers")
    world.connect("gone").publish("a", "abc", { qos: 1, messageId: 1 })
    texts(client)
    publish(world, meters.snapshot())
    const found = texts(client)
    expect(found.get("$SYS/brokers")).toBe("n1")
    expect(found.get("$SYS/brokers/n1/version")).toBe("0.2.0")
    expect(found.get("$SYS/brokers/n1/stats/live_connections/count")).toBe("2")
    expect(found.get("$SYS/brokers/n1/stats/subscriptions/max")).toBe("2")
    expect(found.get("$SYS/brokers/n1/metrics/messages/received")).toBe("1")
    expect(found.get("$SYS/brokers/n1/metrics/packets/sent")).toMatch(/^[1-9]/)
    expect(found.get("$SYS/brokers/n1/metrics/bytes/sent")).toBe("77")
    expect(found.get("$SYS/brokers/n1/metrics/network_sent_bytes_total/ws")).toBe("7")
    expect(new Date(found.get("$SYS/brokers/n1/datetime") as string).getTime()).toBe(world.time.nowMs())
    world.advance(1000)
    publish(world)
    const again = texts(client)
    expect(again.has("$SYS/brokers/n1/version")).toBe(false)
    expect(again.get("$SYS/brokers/n1/uptime")).toBe("1000")
  })

  it("are off where the interval is 0", async () => {
    const world = await MqttWorld.make({ mqtt: { sysIntervalMs: 0 } })
    const client = world.connect("reader")
    client.subscribe("$SYS/#")
    world.connect("other")
    expect(client.take()).toEqual([])
    expect(world.tenant.registry.events).toBe(noClientEvents)
  })
})

describe("$SYS events", () => {
  it("tell what happens to clients", async () => {
    const world = await MqttWorld.make({ mqtt: { nodeName: "n1" } })
    const client = world.connect("reader")
    client.subscribe("$SYS/brokers/+/clients/#")
    client.take()
    const other = world.connect("a/b", { version: 4, keepalive: 30 })
    expect(events(client)).toMatchObject([
      [
        "$SYS/brokers/n1/clients/a%2Fb/connected",
        {
          clientid: "a/b",
          username: null,
          ipaddress: "127.0.0.1",
          proto_name: "MQTT",
          proto_ver: 4,
          keepalive: 30,
          clean_start: true,
          expiry_interval: 0,
          connected_at: world.time.nowMs(),
          ts: world.time.nowMs()
        }
      ]
    ])
    other.subscribe("x/+", { qos: 1 })
    other.ask({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["x/+"] })
    expect(events(client)).toMatchObject([
      ["$SYS/brokers/n1/clients/a%2Fb/subscribed", { clientid: "a/b", topic: "x/+", subopts: { qos: 1, nl: 0, rap: 0, rh: 0 } }],
      ["$SYS/brokers/n1/clients/a%2Fb/unsubscribed", { clientid: "a/b", topic: "x/+" }]
    ])
    world.connect("a/b", { version: 4 })
    expect(events(client)[0]).toMatchObject(["$SYS/brokers/n1/clients/a%2Fb/disconnected", { reason: "takenover" }])
  })

  it("are not made where nobody listens", async () => {
    const world = await MqttWorld.make()
    const before = world.tenant.space.counters.messagesIn
    const client = world.connect("a")
    client.subscribe("#")
    client.cut()
    expect(world.tenant.space.counters.messagesIn).toBe(before)
    const reader = world.connect("reader")
    reader.subscribe("$SYS/a")
    expect(world.tenant.space.routes.watchesSys).toBe(true)
    reader.ask({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["$SYS/a"] })
    expect(world.tenant.space.routes.watchesSys).toBe(false)
  })

  it("tell of alarms", async () => {
    const world = await MqttWorld.make({ mqtt: { nodeName: "n1" } })
    const client = world.connect("reader")
    client.subscribe("$SYS/brokers/n1/alarms/+")
    const alarm = { name: "full", message: "it is full", raisedAtMs: 5, clearedAtMs: undefined }
    world.tenant.sys?.alarmChanged(alarm)
    world.tenant.sys?.alarmChanged({ ...alarm, clearedAtMs: 9 })
    const details = { name: "full", message: "it is full", details: {}, activate_at: 5 }
    expect(events(client)).toEqual([
      ["$SYS/brokers/n1/alarms/activate", { ...details, deactivate_at: "infinity", activated: true }],
      ["$SYS/brokers/n1/alarms/deactivate", { ...details, deactivate_at: 9, activated: false }]
    ])
  })
})

describe("topics below $SYS", () => {
  it("are not for clients to publish to", async () => {
    const world = await MqttWorld.make()
    const reader = world.connect("reader")
    reader.subscribe("$SYS/#")
    const client = world.connect("a")
    expect(client.publish("$SYS/broker/uptime", "x", { qos: 1, messageId: 1 })).toMatchObject([
      { cmd: "puback", reasonCode: 0x87 }
    ])
    expect(client.publish("$delayed/1/$SYS/a", "x", { qos: 1, messageId: 2 })).toMatchObject([
      { cmd: "puback", reasonCode: 0x87 }
    ])
    expect(reader.take().filter((packet) => !String(packet.topic).includes("/clients/"))).toEqual([])
  })
})

describe("the pure parts", () => {
  it("turn meters into levels", () => {
    expect(levelsOfMeter("effectmq_connections")).toBe("connections")
    expect(levelsOfMeter('effectmq_x_total{reason="a/b+c#",type="say \\"x\\""}')).toBe('x_total/a_b_c_/say "x"')
  })

  it("write figures as numbers", () => {
    expect([1, 0.1234567, Number.NaN, Number.POSITIVE_INFINITY].map(figureText)).toEqual(["1", "0.123457", undefined, undefined])
  })

  it("average what happens per minute", () => {
    const load = new LoadAverages()
    load.look(1000, 0)
    expect(load.perMinute).toEqual([0, 0, 0])
    for (let minute = 1; minute <= 120; minute++) load.look(1000 + 60 * minute, minute * 60_000)
    expect(load.perMinute.map(Math.round)).toEqual([60, 60, 60])
    const before = [...load.perMinute]
    load.look(1e9, 120 * 60_000)
    expect(load.perMinute).toEqual(before)
    load.look(1000 + 60 * 120, 121 * 60_000)
    expect((load.perMinute[0] as number) < (load.perMinute[2] as number)).toBe(true)
  })
})
