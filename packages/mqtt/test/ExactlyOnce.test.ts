/**
 * A publisher and a persistent subscriber, both obeying the protocol, under random commands: connections break, acknowledgements
 * dawdle, the process crashes and loses what was not durable. Whatever happens, QoS 2 arrives once and QoS 1 at least once, in
 * order, within the receive maximum.
 */
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"
import type { Packet } from "./support/MemoryConnection.js"
import { PublisherModel } from "./support/PublisherModel.js"

const topics = ["t/a", "t/b", "t/c"]
const receiveMaximum = 5

/** Receives; its own state outlives connections, as that of a client that keeps its session does. */
class SubscriberModel {
  client: WorldClient | undefined
  readonly received: Array<{ readonly payload: string; readonly topic: string; readonly qos: number; readonly dup: boolean }> = []
  private readonly receivedIds = new Set<number>()
  private answers: Array<{ readonly cmd: string; readonly messageId: number }> = []
  private open = new Set<number>()
  connected = false
  everSubscribed = false

  connect(world: MqttWorld): void {
    const before = this.client
    this.client = world.client(5)
    this.client.send({
      cmd: "connect",
      clientId: "subscriber",
      clean: false,
      keepalive: 0,
      properties: { sessionExpiryInterval: 1000, receiveMaximum }
    } as never)
    before?.cut()
    this.connected = false
    this.answers = []
    this.open = new Set()
  }

  step(): void {
    for (const packet of this.client?.take() ?? []) this.receive(packet)
  }

  private receive(packet: Packet): void {
    const messageId = packet["messageId"] as number
    switch (packet.cmd) {
      case "connack":
        this.connected = true
        if (packet["sessionPresent"] !== true) this.receivedIds.clear()
        if (!this.everSubscribed) {
          const subscriptions = topics.map((topic) => ({ topic, qos: 2 }))
          this.client?.send({ cmd: "subscribe", messageId: 9999, subscriptions } as never)
        } else {
          expect(packet["sessionPresent"]).toBe(true)
        }
        return
      case "suback":
        this.everSubscribed = true
        return
      case "publish": {
        const { payload, topic, qos, dup } = packet as unknown as { payload: Buffer; topic: string; qos: number; dup: boolean }
        this.open.add(messageId)
        expect(this.open.size, "the receive maximum is kept").toBeLessThanOrEqual(receiveMaximum)
        if (qos === 2 && this.receivedIds.has(messageId)) {
          expect(dup).toBe(true)
        } else {
          this.received.push({ payload: payload.toString(), topic, qos, dup })
          if (qos === 2) this.receivedIds.add(messageId)
        }
        this.answers.push({ cmd: qos === 2 ? "pubrec" : "puback", messageId })
        return
      }
      case "pubrel":
        this.receivedIds.delete(messageId)
        this.answers.push({ cmd: "pubcomp", messageId })
        return
      default:
        throw new Error(`the subscriber got ${JSON.stringify(packet)}`)
    }
  }

  /** Sends the first so many of the answers it owes. */
  answer(count: number): void {
    if (!this.connected) return
    for (const { cmd, messageId } of this.answers.splice(0, count)) {
      if (cmd !== "pubrec") this.open.delete(messageId)
      this.client?.send({ cmd, messageId, reasonCode: 0 } as never)
    }
  }

  get idle(): boolean {
    return this.connected && this.answers.length === 0
  }
}

type Command =
  | { readonly do: "publish"; readonly topic: number; readonly qos: 1 | 2 }
  | { readonly do: "answer"; readonly count: number }
  | { readonly do: "cut" | "connect"; readonly who: "publisher" | "subscriber" }
  | { readonly do: "tick" | "save" | "step" }
  | { readonly do: "commit" | "read"; readonly count: number }
  | { readonly do: "crash"; readonly extra: number }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("publish" as const), topic: fc.nat(2), qos: fc.constantFrom(1 as const, 2 as const) })
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("answer" as const), count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom("tick" as const, "step" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom("commit" as const, "read" as const), count: fc.integer({ min: 1, max: 5 }) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("save" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("cut" as const, "connect" as const),
      who: fc.constantFrom("publisher" as const, "subscriber" as const)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const), extra: fc.nat(2) }) }
)

const run = async (commands: ReadonlyArray<Command>): Promise<void> => {
  const publisher = new PublisherModel()
  const subscriber = new SubscriberModel()
  const models = { publisher, subscriber }
  let world = await MqttWorld.make({ feedQueueMax: 4, mqtt: { receiveMaximum: 50 } })
  for (const shard of world.shards) shard.slowReads = shard.id.topic === "__mqtt"

  const step = () => {
    publisher.step()
    subscriber.step()
  }
  const settle = async () => {
    for (let round = 0; round < 3; round++) {
      world.settle()
      // A read that was answered goes on in a later turn of the event loop.
      await new Promise(setImmediate)
    }
    world.settle()
    step()
  }
  /** Both clients connected, nothing left to do. */
  const rest = async () => {
    for (const model of [subscriber, publisher]) if (model.client === undefined || model.client.closed) model.connect(world)
    for (let round = 0; round < 300; round++) {
      await settle()
      subscriber.answer(100)
      if (publisher.idle && subscriber.idle) {
        await settle()
        if (publisher.idle && subscriber.idle) return
      }
    }
    throw new Error("no rest")
  }

  await rest()
  for (const one of commands) {
    switch (one.do) {
      case "publish":
        publisher.publish(topics[one.topic] as string, one.qos)
        break
      case "answer":
        subscriber.answer(one.count)
        break
      case "cut":
        models[one.who].client?.cut()
        models[one.who].connected = false
        break
      case "connect":
        models[one.who].connect(world)
        break
      case "tick":
        await new Promise(setImmediate)
        world.time.endTick()
        break
      case "commit":
        for (const shard of world.shards) shard.commit(one.count)
        break
      case "read":
        for (const shard of world.shards) shard.completeReads(one.count)
        await new Promise(setImmediate)
        break
      case "save":
        world.save()
        break
      case "step":
        step()
        break
      case "crash":
        for (const model of [publisher, subscriber]) {
          model.client = undefined
          model.connected = false
        }
        world = await world.crash(one.extra)
        break
    }
  }
  await rest()

  for (const { payload, qos, topic } of publisher.published) {
    const times = subscriber.received.filter((message) => message.payload === payload)
    expect(times.length, `message ${payload} of QoS ${qos}`).toBeGreaterThanOrEqual(1)
    if (qos === 2) expect(times.length, `message ${payload} of QoS 2`).toBe(1)
    expect(times[0]?.topic).toBe(topic)
  }
  // First arrivals of one topic and QoS come in the order of publishing [MQTT-4.6.0-6].
  for (const topic of topics) {
    for (const qos of [1, 2]) {
      const first = new Set(
        subscriber.received.filter((one) => one.topic === topic && one.qos === qos).map(({ payload }) => Number(payload))
      )
      const order = [...first]
      expect(order).toEqual([...order].sort((a, b) => a - b))
    }
  }
}

it("keeps QoS 1 and 2 over broken connections and crashes", async () => {
  await fc.assert(fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 120, size: "max" }), run), { numRuns: 60 })
})
