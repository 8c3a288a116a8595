/**
 * Persistent members of one shared subscription that come and go under random commands: every message is acknowledged by a
 * member, QoS 2 reaches one member once, and nobody gets more than its receive maximum.
 */
import * as fc from "fast-check"
import { expect, it } from "vitest"
import type { Packet } from "./support/MemoryConnection.js"
import { MqttWorld, type WorldClient } from "./support/MqttWorld.js"

const receiveMaximum = 2

class Member {
  client: WorldClient | undefined
  private readonly receivedIds = new Set<number>()
  private answers: Array<{ readonly cmd: string; readonly messageId: number }> = []

  constructor(
    readonly clientId: string,
    private readonly received: (payload: string) => void
  ) {}

  connect(world: MqttWorld): void {
    this.answers = []
    this.client = world.connect(this.clientId, { clean: false, properties: { sessionExpiryInterval: 100, receiveMaximum } })
    expect(this.client.connack).toMatchObject({ reasonCode: 0 })
    if (this.client.connack?.["sessionPresent"] !== true) {
      this.client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "$share/g/t/#", qos: 2 }] } as never)
      world.settle()
    }
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
    if (packet.cmd === "publish") {
      const isNew = packet["qos"] !== 2 || !this.receivedIds.has(messageId)
      if (packet["qos"] === 2) this.receivedIds.add(messageId)
      if (isNew) this.received(String(packet["payload"]))
      this.answers.push({ cmd: packet["qos"] === 2 ? "pubrec" : "puback", messageId })
      expect(this.answers.length).toBeLessThanOrEqual(receiveMaximum)
    } else if (packet.cmd === "pubrel") {
      this.receivedIds.delete(messageId)
      this.answers.push({ cmd: "pubcomp", messageId })
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
  | { readonly do: "settle" }

const who = fc.nat(2)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("publish" as const), qos: fc.constantFrom(1 as const, 2 as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("answer" as const), who, count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("cut" as const, "connect" as const), who }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("settle" as const) }) }
)

const run = async (commands: ReadonlyArray<Command>): Promise<void> => {
  const world = await MqttWorld.make({ feedQueueMax: 4 })
  const arrivals: Array<string> = []
  const members = ["a", "b", "c"].map((clientId) => new Member(clientId, (payload) => arrivals.push(payload)))
  const publisher = world.connect("p")
  const published: Array<{ readonly payload: string; readonly qos: 1 | 2 }> = []
  for (const member of members) member.connect(world)
  const settle = async () => {
    for (let round = 0; round < 3; round++) {
      world.settle()
      await new Promise(setImmediate)
    }
    for (const member of members) member.step()
  }
  for (const one of commands) {
    if (one.do === "publish") {
      const payload = `${published.length}`
      published.push({ payload, qos: one.qos })
      const messageId = published.length
      publisher.send({
        cmd: "publish",
        topic: `t/${payload}`,
        payload,
        qos: one.qos,
        messageId,
        dup: false,
        retain: false
      } as never)
    } else if (one.do === "settle") {
      await settle()
    } else {
      const member = members[one.who] as Member
      if (one.do === "answer") member.answer(one.count)
      else if (one.do === "cut") member.cut()
      else if (member.client === undefined) member.connect(world)
    }
  }
  for (const member of members) if (member.client === undefined) member.connect(world)
  for (let round = 0; round < 200; round++) {
    await settle()
    if (members.every(({ idle }) => idle)) break
    for (const member of members) member.answer(100)
  }
  for (const { payload, qos } of published) {
    const times = arrivals.filter((one) => one === payload).length
    expect(times, `message ${payload} of QoS ${qos}`).toBeGreaterThanOrEqual(1)
    if (qos === 2) expect(times, `message ${payload} of QoS 2`).toBe(1)
  }
  for (const session of world.tenant.registry.values()) expect(session.outbound.inflightCount).toBe(0)
  for (let source = 0; source < 2; source++) {
    expect(world.tenant.space.group("t/#", "g")?.held(source)).toEqual([])
  }
}

it("a shared subscription loses nothing and gives QoS 2 to one member once", async () => {
  await fc.assert(fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 100 }), run), { numRuns: 60 })
})
