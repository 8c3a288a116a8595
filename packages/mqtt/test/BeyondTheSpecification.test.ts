import { describe, expect, it } from "vitest"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const received = (client: WorldClient) => client.take().map((packet) => `${packet.topic}=${packet.payload}`)
const expiring = { properties: { sessionExpiryInterval: 1000 } }
const published = { qos: 1, messageId: 1 } as const

describe("exclusive subscriptions", () => {
  it("are for one client at a time, and refused to others with 0x97, before 5.0 with 0x80", async () => {
    const world = await MqttWorld.make()
    const [holder, other, old] = [world.connect("holder"), world.connect("other"), world.connect("old", { version: 4 })]
    expect(holder.subscribe("$exclusive/a/b", { qos: 1 })).toMatchObject([{ cmd: "suback", granted: [1] }])
    expect(holder.subscribe("$exclusive/a/b")).toMatchObject([{ granted: [0] }])
    expect(other.subscribe("$exclusive/a/b")).toMatchObject([{ granted: [0x97] }])
    expect(old.subscribe("$exclusive/a/b")).toMatchObject([{ granted: [0x80] }])
    expect(other.subscribe("$exclusive/a/c")).toMatchObject([{ granted: [0] }])
    other.publish("a/b", "x")
    expect(received(holder)).toEqual(["a/b=x"])
    expect(received(other)).toEqual([])
  })

  it("are free again after UNSUBSCRIBE, and when the session ends", async () => {
    const world = await MqttWorld.make()
    const [one, two] = [world.connect("one"), world.connect("two")]
    one.subscribe("$exclusive/a")
    one.ask({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["$exclusive/a"] })
    expect(two.subscribe("$exclusive/a")).toMatchObject([{ granted: [0] }])
    two.cut()
    expect(one.subscribe("$exclusive/a")).toMatchObject([{ granted: [0] }])
  })

  it("stay with a session that is away, also over a crash", async () => {
    const world = await MqttWorld.make()
    const holder = world.connect("holder", expiring)
    holder.subscribe("$exclusive/a", { qos: 1 })
    holder.cut()
    expect(world.connect("other").subscribe("$exclusive/a")).toMatchObject([{ granted: [0x97] }])
    const again = await world.crash()
    expect(again.connect("other").subscribe("$exclusive/a")).toMatchObject([{ granted: [0x97] }])
    expect(again.connect("holder", { ...expiring, clean: false }).subscribe("$exclusive/a")).toMatchObject([{ granted: [0] }])
  })

  it("have no wildcard, and can be turned off", async () => {
    const world = await MqttWorld.make()
    expect(world.connect("a").subscribe("$exclusive/a/+")).toMatchObject([{ granted: [0x8f] }])
    const off = await MqttWorld.make({ mqtt: { exclusiveEnabled: false } })
    expect(off.connect("a").subscribe("$exclusive/a")).toMatchObject([{ granted: [0x8f] }])
  })

  it("leave a plain subscription to the same topic alone, and the other way round", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("a")
    client.subscribe("$exclusive/t")
    client.subscribe("t")
    client.ask({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["t"] })
    world.connect("b").publish("t", "1")
    expect(received(client)).toEqual(["t=1"])
    client.subscribe("t")
    client.ask({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["$exclusive/t"] })
    world.connect("b").publish("t", "2")
    expect(received(client)).toEqual(["t=2"])
  })
})

describe("delayed publishes", () => {
  it("come after so many seconds, on the topic behind", async () => {
    const world = await MqttWorld.make()
    const reader = world.connect("reader")
    reader.subscribe("#")
    const client = world.connect("a")
    expect(client.publish("$delayed/5/a/b", "x", published)).toMatchObject([{ cmd: "puback", reasonCode: 0 }])
    world.advance(4999)
    world.settle()
    expect(received(reader)).toEqual([])
    world.advance(1)
    world.settle()
    expect(received(reader)).toEqual(["a/b=x"])
  })

  it("come at a time since 1970 where the number is one", async () => {
    const world = await MqttWorld.make()
    const reader = world.connect("reader")
    reader.subscribe("#")
    const atSeconds = world.time.nowMs() / 1000 + 60
    world.connect("a").publish(`$delayed/${atSeconds}/a`, "x", published)
    world.connect("b").publish("$delayed/1000000000/long/ago", "y", published)
    world.advance(0)
    expect(received(reader)).toEqual(["long/ago=y"])
    world.advance(60_000)
    expect(received(reader)).toEqual(["a=x"])
  })

  it.each([
    "$delayed/a",
    "$delayed/x/a",
    "$delayed/-1/a",
    "$delayed/1/",
    "$delayed//a",
    "$delayed/1/a/+",
    "$delayed/1/$delayed/1/a"
  ])("are refused as %s", async (topic) => {
    const world = await MqttWorld.make()
    const answer = world.connect("a").publish(topic, "x", published)
    if (topic.includes("+")) expect(answer).toMatchObject([{ cmd: "disconnect" }])
    else expect(answer).toMatchObject([{ cmd: "puback", reasonCode: 0x90 }])
  })

  it("have a longest delay", async () => {
    const world = await MqttWorld.make({ mqtt: { delayedSecondsMax: 100 } })
    const client = world.connect("a")
    const nowSeconds = world.time.nowMs() / 1000
    const codes = ["100", "101", `${nowSeconds + 100}`, `${nowSeconds + 101}`].map(
      (seconds) => client.publish(`$delayed/${seconds}/a`, "x", published)[0]?.reasonCode
    )
    expect(codes).toEqual([0, 0x90, 0, 0x97])
  })

  it("are ordinary topics where they are turned off", async () => {
    const world = await MqttWorld.make({ mqtt: { delayedEnabled: false } })
    const reader = world.connect("reader")
    reader.subscribe("$delayed/#")
    world.connect("a").publish("$delayed/1/a", "x")
    expect(received(reader)).toEqual(["$delayed/1/a=x"])
  })
})

describe("automatic subscriptions", () => {
  const automatic = (filter: string) => ({ filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }) as const

  it("are made as a client connects, with its own id and retained messages", async () => {
    const world = await MqttWorld.make({ mqtt: { automaticSubscriptions: [automatic("inbox/%c"), automatic("all/#")] } })
    world.connect("first").publish("inbox/me", "kept", { retain: true })
    const client = world.connect("me")
    expect(received(client)).toEqual(["inbox/me=kept"])
    expect([...(world.tenant.registry.get("me")?.subscriptions.keys() ?? [])]).toEqual(["inbox/me", "all/#"])
    world.connect("other").publish("inbox/me", "x")
    world.connect("other").publish("inbox/you", "y")
    expect(received(client)).toEqual(["inbox/me=x"])
  })

  it("make no wildcard of a client id", async () => {
    const world = await MqttWorld.make({ mqtt: { automaticSubscriptions: [automatic("inbox/%c")] } })
    const client = world.connect("+")
    expect(world.tenant.registry.get("+")?.subscriptionCount).toBe(0)
    world.connect("other").publish("inbox/somebody", "secret")
    expect(received(client)).toEqual([])
  })

  it("are there once when the session comes back", async () => {
    const world = await MqttWorld.make({ mqtt: { automaticSubscriptions: [automatic("inbox/%c")] } })
    world.connect("me", expiring).cut()
    const client = world.connect("me", { ...expiring, clean: false })
    world.connect("other").publish("inbox/me", "x", published)
    expect(received(client)).toEqual(["inbox/me=x"])
  })
})

describe("rewriting", () => {
  const rule = (action: "publish" | "subscribe" | "all", source: string, regex: string, dest: string) => ({
    action,
    source,
    regex,
    dest
  })

  it("changes topics of publishes and filters of subscriptions, behind $share/ and $exclusive/ too", async () => {
    const world = await MqttWorld.make({ mqtt: { rewrite: [rule("all", "x/#", "^x/(.+)$", "y/$1")] } })
    const [plain, shared, exclusive, direct] = ["plain", "shared", "exclusive", "direct"].map((name) => world.connect(name)) as [
      WorldClient,
      WorldClient,
      WorldClient,
      WorldClient
    ]
    plain.subscribe("x/1")
    shared.subscribe("$share/g/x/1")
    exclusive.subscribe("$exclusive/x/1")
    direct.subscribe("y/1")
    world.connect("a").publish("x/1", "m")
    expect([plain, shared, exclusive, direct].map(received)).toEqual([["y/1=m"], ["y/1=m"], ["y/1=m"], ["y/1=m"]])
    expect(plain.ask({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["x/1"] })).toMatchObject([{ granted: [0] }])
    world.connect("a").publish("x/1", "m")
    expect(received(plain)).toEqual([])
  })

  it("can make a publish a delayed one, and reaches the topic behind $delayed", async () => {
    const rewrite = [rule("publish", "x/#", "^x/(.+)$", "y/$1"), rule("publish", "later/#", "^later/(.+)$", "$delayed/5/$1")]
    const world = await MqttWorld.make({ mqtt: { rewrite } })
    const reader = world.connect("reader")
    reader.subscribe("#")
    world.connect("a").publish("later/x/1", "one", published)
    world.connect("b").publish("$delayed/5/x/1", "two", published)
    expect(received(reader)).toEqual([])
    world.advance(5000)
    expect(received(reader)).toEqual(["x/1=one", "y/1=two"])
  })

  it("never leads below $SYS", async () => {
    const world = await MqttWorld.make({ mqtt: { rewrite: [rule("publish", "to/#", "^to/(.+)$", "$1")] } })
    const client = world.connect("a")
    expect(client.publish("to/$SYS/broker/uptime", "x", published)).toMatchObject([{ reasonCode: 0x87 }])
    expect(client.publish("to/$share/g/a", "x", published)).toMatchObject([{ reasonCode: 0x90 }])
    expect(client.publish("to/a", "x", published)).toMatchObject([{ reasonCode: 0x10 }])
  })

  it("of two filters to one leaves the other be when one goes", async () => {
    const world = await MqttWorld.make({ mqtt: { rewrite: [rule("all", "+/1", "^./1$", "z/1")] } })
    const client = world.connect("a")
    client.subscribe("x/1")
    client.subscribe("y/1")
    client.ask({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["x/1"] })
    world.connect("b").publish("z/1", "m")
    expect(received(client)).toEqual(["z/1=m"])
  })
})

describe("slow subscribers", () => {
  it("are those that acknowledge late, by what they were late for", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("slow")
    client.subscribe("a/+", { qos: 1 })
    world.connect("b").publish("a/1", "m", published)
    const [packet] = client.take()
    world.advance(700)
    client.ask({ cmd: "puback", messageId: packet?.messageId as number })
    expect(world.tenant.slow.list(world.time.nowMs())).toMatchObject([{ clientId: "slow", topic: "a/1", latencyMs: 700 }])
  })

  it("are not those that were away, or that read old retained messages", async () => {
    const world = await MqttWorld.make()
    const client = world.connect("away", expiring)
    client.subscribe("a/+", { qos: 1 })
    client.cut()
    world.connect("b").publish("a/1", "m", { ...published, retain: true })
    world.advance(3600_000)
    const again = world.connect("away", { ...expiring, clean: false })
    for (const packet of again.take()) again.ask({ cmd: "puback", messageId: packet.messageId as number })
    const fresh = world.connect("fresh")
    for (const packet of fresh.subscribe("a/1", { qos: 1 })) {
      if (packet.cmd === "publish") fresh.ask({ cmd: "puback", messageId: packet.messageId as number })
    }
    expect(world.tenant.slow.slowDeliveries).toBe(0)
  })
})
