/**
 * `kill -9` at any moment, again and again under load, and everything that was acknowledged is there.
 *
 * EFFECTMQ_CHAOS_ROUNDS: how often it is killed (6). EFFECTMQ_CHAOS_SEED: repeats the moments of a run.
 * EFFECTMQ_CHAOS_GENTLE=1: stops the broker instead of killing it, to tell a fault of recovery from one of the protocol.
 */
import { afterEach, describe, expect, it } from "vitest"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { SessionClient } from "../support/SessionClient.js"
import { until } from "../support/Until.js"
import { Ledger } from "./Ledger.js"
import { randomFrom } from "./Random.js"

const rounds = Number(process.env.EFFECTMQ_CHAOS_ROUNDS ?? 6)
const seed = Number(process.env.EFFECTMQ_CHAOS_SEED ?? Date.now() % 1_000_000)
const gentle = process.env.EFFECTMQ_CHAOS_GENTLE === "1"
const isMosquitto = process.env.EFFECTMQ_TEST_BROKER === "mosquitto"
const window = 20
const topicCount = 8

/** Publishes with a bounded window until told to stop; records what was acknowledged. */
class Publisher {
  count = 0
  rejected = 0
  private running = true
  private readonly done: Array<Promise<void>> = []

  constructor(
    private readonly client: SessionClient,
    private readonly name: string,
    private readonly qos: 1 | 2,
    private readonly ledger: Ledger,
    private readonly topicOf: (number: number) => string,
    private readonly retain = false
  ) {
    for (let i = 0; i < window; i++) this.done.push(this.publishOnAndOn())
  }

  /** Stops and waits until everything it published is acknowledged. */
  async stop(): Promise<void> {
    this.running = false
    await Promise.all(this.done)
  }

  private async publishOnAndOn(): Promise<void> {
    while (this.running) {
      const number = this.count++
      const message = { topic: this.topicOf(number), payload: `${this.name}:${number}`, qos: this.qos }
      const code = await this.client.publish(message.topic, message.payload, this.qos, this.retain)
      if (code < 0x80) this.ledger.record(message)
      else this.rejected++
    }
  }
}

describe("kill -9 under load", () => {
  let broker: BrokerProcess | undefined
  const clients: Array<SessionClient> = []

  afterEach(async () => {
    for (const client of clients.splice(0)) client.vanish()
    await broker?.remove()
  })

  const open = async (clientId: string, login: { username?: string; password?: string } = {}) => {
    const client = new SessionClient({ port: broker?.port ?? 0, clientId, ...login })
    clients.push(client)
    await until(() => client.connected, `${clientId} is connected`)
    return client
  }

  it(`loses nothing in ${rounds} rounds (seed ${seed})`, { timeout: 60_000 + rounds * 40_000 }, async () => {
    const random = randomFrom(seed)
    const settings = { "mqtt.session.queueMax": 10_000_000, "auth.allowAnonymous": true, "log.level": "warn" }
    broker = await BrokerProcess.start({ settings })
    const process = broker
    const crash = () => (gentle ? process.stop() : process.kill9())
    if (!isMosquitto) {
      const added = await broker.command("user", "add", "survivor", "--password", "still here")
      expect(added).toMatchObject({ code: 0 })
    }

    const ledger = new Ledger()
    const exact = await open("exact")
    const atLeast = await open("at-least")
    const away = await open("away")
    const members = [await open("member-1"), await open("member-2")]
    await exact.subscribe("load/#", 2)
    await atLeast.subscribe("load/#", 1)
    await away.subscribe("load/#", 2)
    for (const member of members) await member.subscribe("$share/group/load/#", 1)
    away.vanish()

    const delayed = new Ledger()
    const waiting = await open("waiting")
    await waiting.subscribe("later/#", 1)

    const retained = new Ledger()
    const topicOf = (number: number) => `load/${number % topicCount}`
    const sources = {
      one: new Publisher(await open("publisher-1"), "one", 1, ledger, topicOf),
      two: new Publisher(await open("publisher-2"), "two", 2, ledger, topicOf),
      kept: new Publisher(await open("publisher-3"), "kept", 1, retained, (n) => `kept/${n % topicCount}`, true)
    }
    const setting = await open("publisher-4")
    const late: Array<SessionClient> = []

    for (let round = 0; round < rounds; round++) {
      const enough = ledger.acknowledged.size + 200 + random(5000)
      const promiseLater = async () => {
        for (let i = 0; i < 5; i++) {
          const message = { topic: `later/${i}`, payload: `delayed-${round}:${i}`, qos: 1 as const }
          const delaySeconds = 1 + random(8)
          const topic = isMosquitto ? message.topic : `$delayed/${delaySeconds}/${message.topic}`
          if ((await setting.publish(topic, message.payload, 1)) < 0x80) delayed.record(message)
        }
      }
      await promiseLater()
      const newcomer = await open(`late-${round}`)
      late.push(newcomer)
      expect(await newcomer.subscribe(`late/${round}`, 1)).toBeLessThan(0x80)
      newcomer.vanish()
      await until(
        () => ledger.acknowledged.size >= enough,
        () => `round ${round}: ${enough} acknowledged; there are ${ledger.acknowledged.size}; ${process.output.slice(-2000)}`,
        30_000
      )
      await crash()
      if (random(3) === 0) {
        // Killed again while it recovers.
        const starting = process.start().catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, 100 + random(900)))
        await crash()
        await starting
      }
      await process.start()
    }

    await Promise.all(Object.values(sources).map((source) => source.stop()))
    away.comeBack()
    const everything = ["exact", "at-least", "away"] as const
    const byName = { exact, "at-least": atLeast, away }
    const served = (name: (typeof everything)[number]) => ledger.isServed(byName[name].received)
    const shared = () => members.flatMap((member) => member.received)
    await until(() => everything.every(served) && ledger.isServed(shared()), "all is delivered", 30_000).catch(() => undefined)
    await until(() => delayed.isServed(waiting.received), "delayed messages come", 30_000).catch(() => undefined)

    const faults = [
      ...ledger.faults("QoS 2 subscriber", exact.received, 2),
      ...ledger.faults("QoS 1 subscriber", atLeast.received, 1),
      ...ledger.faults("QoS 2 subscriber that was away", away.received, 2),
      // Mosquitto 2.0 does not keep shared subscriptions over a restart.
      ...(isMosquitto ? [] : ledger.faultsOfGroup("shared subscription", [shared()])),
      ...delayed.faultsOfGroup("delayed messages", [waiting.received]),
      ...new Set(clients.flatMap((client) => client.faults))
    ]

    const reader = await open("reader")
    await reader.subscribe("kept/#", 1)
    await until(() => reader.received.length >= topicCount, "retained messages").catch(() => undefined)
    const lastByTopic = new Map([...retained.acknowledged.values()].map((message) => [message.topic, message]))
    const numberOf = (payload: string) => Number(payload.split(":")[1])
    for (const { topic, payload } of retained.acknowledged.values()) {
      if (numberOf(payload) > numberOf(lastByTopic.get(topic)?.payload ?? ":0")) {
        lastByTopic.set(topic, { topic, payload, qos: 1 })
      }
    }
    for (const [topic, { payload }] of lastByTopic) {
      const found = reader.received.find((message) => message.topic === topic)
      if (found?.payload !== payload) faults.push(`retained on ${topic}: ${found?.payload}, acknowledged last was ${payload}`)
    }

    for (const [round, client] of late.entries()) {
      await setting.publish(`late/${round}`, `late:${round}`, 1)
      client.comeBack()
      const arrives = until(() => client.received.length > 0, `the subscription of round ${round}`, 10_000)
      await arrives.catch((error: Error) => faults.push(String(error)))
    }

    if (!isMosquitto) {
      const users = await process.command("user", "list", "--json")
      if (!users.stdout.includes('"survivor"')) faults.push(`users: ${users.stdout}${users.stderr}`)
      const known = await open("knows-the-password", { username: "survivor", password: "still here" })
      faults.push(...known.faults)
    }
    expect(faults).toEqual([])
    const rejected = Object.values(sources).reduce((sum, source) => sum + source.rejected, 0)
    expect(rejected).toBe(0)
    console.info(`${ledger.acknowledged.size} messages acknowledged over ${rounds} crashes, ${exact.connects} connects`)
  })
})
