/**
 * Many clients that do the same thing at the same moment: take each other's sessions, die, fall silent, guess passwords. Nothing is
 * lost, memory stays bounded, others are served, and afterwards the broker is as it was.
 *
 * EFFECTMQ_SCALE_TAKEOVERS, _WILLS, _SILENT, _LOGINS: how many.
 */
import { createConnection } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { LeanClient, type LeanOptions, openAll } from "./LeanClient.js"
import * as packets from "./Packets.js"
import { begin, end, figures, mebibytes, meter, metrics, type Stage, size, watchMemory } from "./Scale.js"
import { told } from "./Witness.js"

const growthBytesMax = 256 * 1024 * 1024
const sessionTakenOver = 0x8e
const keepAliveTimeout = 0x8d
const badUserNameOrPassword = 0x86
const serverUnavailable = 0x88

describe("storms", () => {
  let stage: Stage
  afterEach(() => end(stage))

  const connections = async () => meter(stage.broker, "effectmq_connections")

  const takeovers = size("TAKEOVERS", 500)
  it(`of ${takeovers} takeovers of one session, which loses nothing`, async () => {
    stage = await begin()
    const { broker, witness } = stage
    const options = { port: broker.port, clean: false, expirySeconds: 3600 }
    const received = new Set<string>()
    const will = { topic: "taken", payload: "over", qos: 0 } as const
    const open = async () => {
      const client = LeanClient.make("coveted", { ...options, will })
      client.onPublish = ({ payload }) => received.add(String(payload))
      await client.opened
      return client
    }
    const first = await open()
    await first.subscribe(["to/coveted"], 1)
    const publisher = await LeanClient.open("publisher", { port: broker.port })
    const mourner = await LeanClient.open("mourner", { port: broker.port })
    await mourner.subscribe(["taken"], 0)
    const memory = watchMemory(broker)
    const before = memory.most()
    let storming = true
    let sent = 0
    const { result: clients, seen } = await witness.during(async () => {
      const publishing = (async () => {
        while (storming) {
          const base = sent
          await publisher.publishAll(100, (index) => ({ topic: "to/coveted", payload: String(base + index) }))
          sent += 100
        }
      })()
      // Ten want it at a time: most of them lose it while they are being let in.
      const opened: Array<LeanClient> = []
      while (opened.length < takeovers) opened.push(...(await Promise.all(Array.from({ length: 10 }, open))))
      storming = false
      await publishing
      return opened
    })
    const grown = memory.stop() - before
    await until(() => clients.filter((client) => !client.closed).length === 1, "one of them has the session")
    await until(
      () => received.size === sent,
      () => `all ${sent} have come: ${received.size}`,
      60_000
    )
    const all = [first, ...clients]
    // Some have been let in; the others lost it before they were, and were told to try again.
    for (const code of new Set(all.map((client) => client.connackCode))) expect([0, serverUnavailable]).toContain(code)
    expect(clients.filter((client) => client.connackCode === 0 && !client.sessionPresent)).toEqual([])
    // Whoever was let in and has lost it was told why.
    const lost = all.filter((client) => client.closed && client.connackCode === 0)
    expect(lost.length).toBeGreaterThanOrEqual(takeovers / 10)
    expect(lost.filter((client) => client.disconnectCode !== sessionTakenOver)).toEqual([])
    expect(await meter(broker, "effectmq_mqtt_sessions_connected")).toBe(4)
    expect(await connections()).toBe(4)
    await until(
      () => mourner.publishes === lost.length,
      () => `a will of each of ${lost.length}: ${mourner.publishes}`
    )
    expect(grown).toBeLessThan(growthBytesMax)
    expect(seen.closed).toBe(false)
    figures(
      `${takeovers} takeovers of one session`,
      `${lost.length} had it, ${sent} messages, at most ${mebibytes(grown)} more; ${told(seen)}`
    )
  })

  const wills = size("WILLS", 1500)
  it(`of ${wills} clients that die at once: each will comes once, save those of who comes back in time`, async () => {
    stage = await begin()
    const { broker, witness } = stage
    const subscriber = await LeanClient.open("subscriber", { port: broker.port })
    await subscriber.subscribe(["will/#"], 1)
    const comes = new Map<string, number>()
    subscriber.onPublish = ({ payload }) => comes.set(String(payload), (comes.get(String(payload)) ?? 0) + 1)
    // Every third has a will that waits, longer than this test lasts, and comes back.
    const isPatient = (index: number) => index % 3 === 0
    const optionsOf = (index: number): LeanOptions => ({
      port: broker.port,
      version: index % 2 === 0 || isPatient(index) ? 5 : 4,
      clean: false,
      expirySeconds: 3600,
      will: {
        topic: `will/${index}`,
        payload: String(index),
        qos: ((index >> 1) % 3) as 0 | 1 | 2,
        ...(isPatient(index) ? { delaySeconds: 3000 } : {})
      }
    })
    const memory = watchMemory(broker)
    const before = memory.most()
    const dying = await openAll(wills, 200, (index) => LeanClient.open(`dying-${index}`, optionsOf(index)))
    expect(dying.filter((client) => client.connackCode !== 0)).toEqual([])
    const impatient = dying.filter((_, index) => !isPatient(index)).length
    const { seen } = await witness.during(async () => {
      for (const [index, client] of dying.entries()) {
        if (index % 2 === 0) client.cut()
        else client.socket.resetAndDestroy()
      }
      await until(
        () => comes.size === impatient,
        () => `${impatient} wills: ${comes.size}`,
        60_000
      )
    })
    const back = await openAll(wills - impatient, 200, (index) =>
      LeanClient.open(`dying-${index * 3}`, { port: broker.port, clean: false, expirySeconds: 3600 })
    )
    expect(back.filter((client) => !client.sessionPresent)).toEqual([])
    expect([...comes.values()].filter((count) => count !== 1)).toEqual([])
    expect([...comes.keys()].filter((index) => isPatient(Number(index)))).toEqual([])
    const figuresNow = await metrics(broker)
    expect(figuresNow.get("effectmq_mqtt_wills_published_total")).toBe(impatient)
    expect(figuresNow.get("effectmq_messaging_delayed_messages")).toBe(0)
    const grown = memory.stop() - before
    expect(grown).toBeLessThan(growthBytesMax)
    expect(seen.closed).toBe(false)
    figures(`${wills} clients that die at once`, `${impatient} wills, at most ${mebibytes(grown)} more; ${told(seen)}`)
  })

  const silent = size("SILENT", 1200)
  it(`of ${silent} connections that fall silent, before their CONNECT, within it or after it`, async () => {
    stage = await begin({ settings: { "mqtt.connectTimeoutSeconds": 2, "mqtt.ws.enabled": true } })
    const { broker, witness } = stage
    const subscriber = await LeanClient.open("subscriber", { port: broker.port })
    await subscriber.subscribe(["will/#"], 1)
    const memory = watchMemory(broker)
    const before = memory.most()
    const hello = packets.connect("half", {})
    const upgrade = Buffer.from("GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n")
    const halves: ReadonlyArray<readonly [port: number, said: Buffer]> = [
      [broker.port, Buffer.alloc(0)],
      [broker.port, hello.subarray(0, 1)],
      [broker.port, hello.subarray(0, hello.length - 1)],
      // More than there may be, promised.
      [broker.port, Buffer.from([0x10, 0xff, 0xff, 0x3f])],
      [broker.wsPort, Buffer.alloc(0)],
      [broker.wsPort, upgrade]
    ]
    let ended = 0
    const { seen } = await witness.during(async () => {
      for (let index = 0; index < silent; index++) {
        const [port, said] = halves[index % halves.length] as (typeof halves)[number]
        const socket = createConnection({ port, host: "127.0.0.1" }, () => void (said.length > 0 && socket.write(said)))
        socket
          .on("error", () => undefined)
          .on("data", () => undefined)
          .on("close", () => ended++)
      }
      const mute = await openAll(silent / 4, 100, (index) => {
        const will = { topic: `will/${index}`, payload: "silent", qos: 1 } as const
        return LeanClient.open(`mute-${index}`, {
          port: broker.port,
          keepAliveSeconds: 1,
          clean: false,
          expirySeconds: 3600,
          will
        })
      })
      await until(
        () => mute.every((client) => client.closed) && ended === silent,
        () => `all are sent away: ${mute.filter((client) => client.closed).length} of ${mute.length}, ${ended} of ${silent}`,
        60_000
      )
      expect(mute.filter((client) => client.connackCode === 0 && client.disconnectCode !== keepAliveTimeout)).toEqual([])
      await until(() => subscriber.publishes === mute.length, "their wills have come")
    })
    const grown = memory.stop() - before
    expect(await connections()).toBe(2)
    expect(grown).toBeLessThan(growthBytesMax)
    expect(seen.closed).toBe(false)
    figures(`${silent} silent connections and ${silent / 4} silent clients`, `at most ${mebibytes(grown)} more; ${told(seen)}`)
  })

  const logins = size("LOGINS", 1000)
  it(`of ${logins} wrong passwords: right ones are let in, and the end is not held up`, async () => {
    // Whoever waits when this is over gives up: nobody hashes for them any more.
    stage = await begin({ settings: { "mqtt.connectTimeoutSeconds": 2, "log.level": "error" } })
    const { broker, witness } = stage
    expect(await broker.command("user", "add", "alice", "--password", "right")).toMatchObject({ code: 0 })
    const login = { port: broker.port, username: "alice" }
    expect((await LeanClient.open("known", { ...login, password: "right" })).connackCode).toBe(0)
    const memory = watchMemory(broker)
    const before = memory.most()
    const { result: guesses, seen } = await witness.during(async () => {
      const guessing = Array.from({ length: logins }, (_, index) => {
        const username = index % 2 === 0 ? "alice" : `nobody-${index}`
        return LeanClient.make(`guess-${index}`, { port: broker.port, username, password: `wrong ${index}` })
      })
      // Of a password that was right a moment ago the broker need not compute the hash again.
      const again = await LeanClient.open("again", { ...login, password: "right" })
      expect(again.connackCode).toBe(0)
      await until(
        () => guessing.every((client) => client.closed),
        () => `all have been sent away: ${guessing.filter((client) => !client.closed).length} are there`,
        60_000
      )
      return guessing
    })
    const grown = memory.stop() - before
    const codes = new Set(guesses.map((client) => client.connackCode))
    for (const code of codes) expect([badUserNameOrPassword, serverUnavailable, undefined]).toContain(code)
    expect(codes).toContain(badUserNameOrPassword)
    expect(await connections()).toBe(3)
    expect(grown).toBeLessThan(growthBytesMax)
    expect(seen.closed).toBe(false)
    // The hashes of those who gave up would run for a minute: `stop` gives up before that.
    expect(await broker.stop()).toBe(0)
    const refused = guesses.filter((client) => client.connackCode !== undefined).length
    figures(`${logins} wrong passwords`, `${refused} were answered, at most ${mebibytes(grown)} more; ${told(seen)}`)
  })
})
