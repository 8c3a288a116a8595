/**
 * Members of one shared subscription that come and go under random commands, while the process crashes and loses what was not
 * durable: every message is acknowledged by a member, QoS 2 reaches one member once, and nobody gets more than its receive
 * maximum. A member whose session ends with its connection takes with it what it had begun to get at QoS 2 [MQTT-4.8.2-5].
 */
import * as fc from "fast-check"
import { expect, it } from "vitest"
import type { Packet } from "./support/MemoryConnection.js"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"
import { PublisherModel } from "./support/PublisherModel.js"

const receiveMaximum = 2

class Member {
  client: WorldClient | undefined
  private receivedIds = new Set<number>()
  private answers: Array<{ readonly cmd: string; readonly messageId: number }> = []
  private subscribed = false

  constructor(
    readonly clientId: string,
    readonly expirySeconds: number,
    private readonly received: (payload: string) => void
  ) {}

  connect(world: MqttWorld): void {
    this.answers = []
    const properties = { sessionExpiryInterval: this.expirySeconds, receiveMaximum }
    this.client = world.client(5)
    this.client.send({ cmd: "connect", clientId: this.clientId, clean: false, keepalive: 0, properties } as never)
  }

  cut(): void {
    this.client?.cut()
    this.client = undefined
  }

  step(): void {
    for (const packet of this.client?.take() ?? []) this.receive(packet)
  }

  private receive(packet: Packet): void {
    const messageId = packet["messageId"] as number
    switch (packet.cmd) {
      case "connack":
        expect(packet["reasonCode"]).toBe(0)
        if (packet["sessionPresent"] !== true) this.receivedIds = new Set()
        if (packet["sessionPresent"] !== true || !this.subscribed) {
          const subscriptions = [{ topic: "$share/g/t/#", qos: 2 }]
          this.client?.send({ cmd: "subscribe", messageId: 1, subscriptions } as never)
        }
        return
      case "suback":
        this.subscribed = true
        return
      case "publish": {
        const isNew = packet["qos"] !== 2 || !this.receivedIds.has(messageId)
        if (packet["qos"] === 2) this.receivedIds.add(messageId)
        if (isNew) this.received(String(packet["payload"]))
        this.answers.push({ cmd: packet["qos"] === 2 ? "pubrec" : "puback", messageId })
        expect(this.answers.length).toBeLessThanOrEqual(receiveMaximum)
        return
      }
      case "pubrel":
        this.receivedIds.delete(messageId)
        this.answers.push({ cmd: "pubcomp", messageId })
        return
      default:
        throw new Error(`${this.clientId} got ${JSON.stringify(packet)}`)
    }
  }

  answer(count: number): void {
    for (const { cmd, messageId } of this.answers.splice(0, count)) this.client?.send({ cmd, messageId, reasonCode: 0 } as never)
  }

  get idle(): boolean {
    return this.answers.length === 0
  }
}

type Command =
  | { readonly do: "publish"; readonly qos: 1 | 2 }
  | { readonly do: "answer"; readonly who: number; readonly count: number }
  | { readonly do: "cut" | "connect"; readonly who: number }
  | { readonly do: "settle" | "tick" | "step" | "save" }
  | { readonly do: "commit"; readonly shard: number; readonly count: number }
  /** Everything goes on, but nothing that is written to one topic becomes durable. */
  | { readonly do: "turns"; readonly stuck: string; readonly count: number }
  | { readonly do: "crash"; readonly extra: number }

const who = fc.nat(2)
const only = <A extends string>(...names: Array<A>) => fc.record({ do: fc.constantFrom(...names) })
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("publish" as const), qos: fc.constantFrom(1 as const, 2 as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("answer" as const), who, count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("cut" as const, "connect" as const), who }) },
  { weight: 4, arbitrary: only("settle") },
  { weight: 12, arbitrary: only("tick", "step") },
  { weight: 1, arbitrary: only("save") },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("commit" as const), shard: fc.nat(9), count: fc.integer({ min: 1, max: 4 }) })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("turns" as const),
      stuck: fc.constantFrom("__groups", "__sessions", "none"),
      count: fc.integer({ min: 1, max: 4 })
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("crash" as const), extra: fc.nat(2) }) }
)

const run = async (commands: ReadonlyArray<Command>, expiries: ReadonlyArray<number>): Promise<void> => {
  let world = await MqttWorld.make({ feedQueueMax: 4, mqtt: { receiveMaximum: 50 } })
  const arrivals: Array<string> = []
  const names = ["a", "b", "c"]
  const members = names.map((clientId, index) => {
    return new Member(clientId, expiries[index] as number, (payload) => arrivals.push(payload))
  })
  const publisher = new PublisherModel()
  const step = () => {
    publisher.step()
    for (const member of members) member.step()
  }
  const settle = async () => {
    for (let round = 0; round < 3; round++) {
      world.settle()
      await new Promise(setImmediate)
    }
    world.settle()
    step()
  }
  /** Everybody is connected, and nothing is left to do. */
  const rest = async () => {
    for (const one of [...members, publisher]) if (one.client === undefined || one.client.closed) one.connect(world)
    for (let round = 0, quiet = 0; round < 500 && quiet < 3; round++) {
      await settle()
      quiet = publisher.idle && members.every(({ idle }) => idle) ? quiet + 1 : 0
      for (const member of members) member.answer(100)
    }
    expect(publisher.idle).toBe(true)
  }
  await rest()
  for (const one of commands) {
    switch (one.do) {
      case "publish":
        publisher.publish("t/x", one.qos)
        break
      case "answer":
        members[one.who]?.answer(one.count)
        break
      case "cut":
        members[one.who]?.cut()
        break
      case "connect":
        if (members[one.who]?.client === undefined) members[one.who]?.connect(world)
        break
      case "settle":
        await settle()
        break
      case "tick":
        await new Promise(setImmediate)
        world.time.endTick()
        break
      case "step":
        step()
        break
      case "save":
        world.save()
        world.tenant.space.saveGroups()
        break
      case "commit": {
        const shards = [...world.shards]
        shards[one.shard % shards.length]?.commit(one.count)
        break
      }
      case "turns":
        for (let turn = 0; turn < one.count; turn++) {
          world.time.endTick()
          for (const shard of world.shards) if (shard.id.topic !== one.stuck) shard.commit()
          await new Promise(setImmediate)
          step()
        }
        break
      case "crash":
        publisher.client = undefined
        world = await world.crash(one.extra)
        for (const one of [...members, publisher]) one.connect(world)
        break
    }
  }
  await rest()
  const mayEnd = expiries.includes(0)
  for (const { payload, qos } of publisher.published) {
    const times = arrivals.filter((one) => one === payload).length
    if (qos === 1 || !mayEnd) expect(times, `message ${payload} of QoS ${qos}`).toBeGreaterThanOrEqual(1)
    if (qos === 2) expect(times, `message ${payload} of QoS 2`).toBeLessThanOrEqual(1)
  }
  for (const session of world.tenant.registry.values()) expect(session.outbound.inflightCount).toBe(0)
  const group = world.tenant.space.group("t/#", "g")
  expect(group?.feed && group.snapshot(group.feed).places).toEqual([])
}

const commands = fc.array(command, { minLength: 1, maxLength: 120, size: "max" })

it("a shared subscription loses nothing and gives QoS 2 to one member once, whatever crashes", async () => {
  await fc.assert(
    fc.asyncProperty(commands, (commands) => run(commands, [100, 100, 100])),
    { numRuns: 60 }
  )
})

it("the same with members whose sessions end with their connections", async () => {
  await fc.assert(
    fc.asyncProperty(commands, (commands) => run(commands, [100, 0, 0])),
    { numRuns: 60 }
  )
})
