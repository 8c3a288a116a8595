/**
 * A million subscriptions: publishes still reach exactly those they are for, and neither their coming nor their going at one
 * blow stops anybody else; in persistent sessions they are there after a restart.
 *
 * EFFECTMQ_SCALE_SUBSCRIPTIONS and EFFECTMQ_SCALE_STORED_SUBSCRIPTIONS: how many, a thousand each client.
 */
import { afterEach, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { LeanClient, openAll } from "./LeanClient.js"
import { begin, end, figures, mebibytes, meter, type Stage, size, stopwatch } from "./Scale.js"
import { told } from "./Witness.js"

const perClient = 1000
const clientCount = Math.ceil(size("SUBSCRIPTIONS", 1_000_000) / perClient)
const storedClientCount = Math.ceil(size("STORED_SUBSCRIPTIONS", 200_000) / perClient)
const subscriptionsMeter = "effectmq_messaging_subscriptions"

/** Of ten filters eight are exact; one matches one level, one all below. The last is everybody's. */
const filterOf = (client: number, index: number): string => {
  if (index === perClient - 1) return "everybody"
  if (index % 10 === 8) return `site/${client}/+/${index}`
  if (index % 10 === 9) return `area/${client}/${index}/#`
  return `site/${client}/line/${index}`
}

/** A topic that the filter matches. */
const topicOf = (client: number, index: number): string => {
  if (index % 10 === 8) return `site/${client}/any/${index}`
  if (index % 10 === 9) return `area/${client}/${index}/a/b`
  return filterOf(client, index)
}

const filtersOf = (client: number): Array<string> => Array.from({ length: perClient }, (_, index) => filterOf(client, index))

/** Publishes to some filters of some clients; each must reach the one client it is for, once. */
const samples = (clients: number, count: number): Array<{ readonly client: number; readonly topic: string }> =>
  Array.from({ length: count }, (_, number) => {
    const client = (number * 7919) % clients
    return { client, topic: topicOf(client, (number * 31) % (perClient - 1)) }
  })

const topicsByClient = (clients: ReadonlyArray<LeanClient>): Array<Array<string>> =>
  clients.map((client) => {
    const topics: Array<string> = []
    client.onPublish = ({ topic }) => topics.push(topic)
    return topics
  })

const expected = (clients: number, sent: ReadonlyArray<{ readonly client: number; readonly topic: string }>) => {
  const topics: Array<Array<string>> = Array.from({ length: clients }, () => [])
  for (const { client, topic } of sent) topics[client]?.push(topic)
  return topics
}

describe("subscriptions", () => {
  let stage: Stage | undefined
  afterEach(() => end(stage))

  it(`${clientCount * perClient} of them route, come and go`, async () => {
    stage = await begin()
    const { broker, witness } = stage
    const before = broker.residentBytes()
    const clients = await openAll(clientCount, 100, (index) => LeanClient.open(`many-${index}`, { port: broker.port }))
    const subscribedTime = stopwatch(broker)
    const { seen: whileSubscribing } = await witness.during(() =>
      openAll(clientCount, 20, (index) => (clients[index] as LeanClient).subscribe(filtersOf(index), 1))
    )
    const subscribeSeconds = subscribedTime()
    expect(clients.filter((client) => client.granted !== perClient)).toEqual([])
    expect(await meter(broker, subscriptionsMeter)).toBe(clientCount * perClient + 1)
    const held = broker.residentBytes()

    const received = topicsByClient(clients)
    const sent = samples(clientCount, 5000)
    const publisher = await LeanClient.open("publisher", { port: broker.port })
    const publishedTime = stopwatch(broker)
    const { seen: whileRouting } = await witness.during(async () => {
      await publisher.publishAll(sent.length, (index) => ({ topic: sent[index]?.topic ?? "", payload: "payload" }))
      expect(publisher.pubacks).toBe(sent.length)
      publisher.publish("everybody", "payload", 1)
      await until(() => received.every((topics) => topics.includes("everybody")), "everybody has heard", 60_000)
    })
    const routeSeconds = publishedTime()
    expect(received.map((topics) => topics.filter((topic) => topic !== "everybody"))).toEqual(expected(clientCount, sent))
    expect(received.every((topics) => topics.filter((topic) => topic === "everybody").length === 1)).toBe(true)

    const cutTime = stopwatch(broker)
    const { seen: whileCutting } = await witness.during(async () => {
      for (const client of clients) client.cut()
      await until(async () => (await meter(broker, subscriptionsMeter)) === 1, "all subscriptions are gone", 60_000)
    })
    const cutSeconds = cutTime()
    expect(whileCutting.closed).toBe(false)
    figures(
      `${clientCount * perClient} subscriptions of ${clientCount} clients`,
      `subscribed in ${subscribeSeconds}; ${told(whileSubscribing)}`,
      `resident ${mebibytes(before)} before, ${mebibytes(held)} then: ${Math.round((held - before) / clientCount / perClient)} bytes each`,
      `${sent.length} publishes to one, one to all, in ${routeSeconds}; ${told(whileRouting)}`,
      `all clients cut: gone after ${cutSeconds}; ${told(whileCutting)}`
    )
  })

  it(`${storedClientCount * perClient} of persistent sessions are there after a restart`, async () => {
    stage = await begin()
    const { broker, witness } = stage
    const options = { port: broker.port, expirySeconds: 3600, clean: false }
    const clients = await openAll(storedClientCount, 100, (index) => LeanClient.open(`kept-${index}`, options))
    const subscribedTime = stopwatch(broker)
    const { seen: whileSubscribing } = await witness.during(() =>
      openAll(storedClientCount, 20, (index) => (clients[index] as LeanClient).subscribe(filtersOf(index), 1))
    )
    const subscribeSeconds = subscribedTime()
    expect(clients.filter((client) => client.granted !== perClient)).toEqual([])
    const { seen: whileCutting } = await witness.during(async () => {
      for (const client of clients) client.cut()
      await until(async () => (await meter(broker, "effectmq_mqtt_sessions_connected")) === 1, "all clients are gone")
    })
    witness.end()
    const held = broker.residentBytes()

    const stoppedTime = stopwatch(broker)
    expect(`${await broker.stop()}\n${broker.output}`).toMatch(/^0\n/)
    const stopSeconds = stoppedTime()
    const startedTime = stopwatch(broker)
    await broker.start()
    const startSeconds = startedTime()
    expect(await meter(broker, subscriptionsMeter)).toBe(storedClientCount * perClient)

    // What comes while they are away waits for them.
    const sent = samples(storedClientCount, 2000)
    const publisher = await LeanClient.open("publisher", { port: broker.port })
    await publisher.publishAll(sent.length, (index) => ({ topic: sent[index]?.topic ?? "", payload: "payload" }))
    expect(publisher.pubacks).toBe(sent.length)
    const back = await openAll(storedClientCount, 100, async (index) => {
      const client = LeanClient.make(`kept-${index}`, options)
      const topics = topicsByClient([client])[0] as Array<string>
      await client.opened
      return { client, topics }
    })
    expect(back.filter(({ client }) => !client.sessionPresent)).toEqual([])
    const waiting = expected(storedClientCount, sent)
    await until(
      () => back.every(({ topics }, index) => topics.length >= (waiting[index]?.length ?? 0)),
      "all have theirs",
      60_000
    )
    expect(back.map(({ topics }) => topics)).toEqual(waiting)
    figures(
      `${storedClientCount * perClient} subscriptions of ${storedClientCount} persistent sessions`,
      `subscribed in ${subscribeSeconds}; ${told(whileSubscribing)}`,
      `all clients cut; ${told(whileCutting)}`,
      `resident ${mebibytes(held)}, stopped in ${stopSeconds}, started in ${startSeconds}, resident ${mebibytes(broker.residentBytes())}`
    )
  })
})
