/**
 * A million retained messages: acknowledged means kept, over a restart; one who asks for all of them and reads slowly costs
 * little memory and nobody's time; they can be removed.
 *
 * EFFECTMQ_SCALE_RETAINED: how many.
 */
import { afterEach, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { LeanClient } from "./LeanClient.js"
import { begin, end, figures, mebibytes, meter, progress, type Stage, size, stopwatch, watchMemory } from "./Scale.js"
import { told, Witness } from "./Witness.js"

const count = size("RETAINED", 1_000_000)
const topicOf = (index: number): string => `plant/${index % 1000}/sensor/${index}`
const payloadOf = (index: number): string => `value ${index}`
const countMeter = "effectmq_messaging_retained_messages"

/**
 * What readers may cost: what waits for one connection, and garbage, of which there is the more the more there is in memory.
 * An array of all that a reader is to get would be more.
 */
const readersBytesMax = (residentBytes: number): number => 128 * 1024 * 1024 + residentBytes / 2

/** Counts which of the messages came, each once, with what it was kept with. */
const counting = (client: LeanClient) => {
  const seen = new Uint8Array(count)
  const result = { found: 0, wrong: 0 }
  client.onPublish = ({ topic, payload, retain }) => {
    if (topic.startsWith("witness")) return
    const index = Number(topic.slice(topic.lastIndexOf("/") + 1))
    if (retain && seen[index] === 0 && topic === topicOf(index) && payload.toString("latin1") === payloadOf(index)) result.found++
    else result.wrong++
    seen[index] = 1
  }
  return result
}

describe("retained messages", () => {
  let stage: Stage | undefined
  let second: Witness | undefined
  afterEach(async () => {
    second?.end()
    await end(stage)
  })

  it(`${count} are kept, found and removed`, async () => {
    stage = await begin({ settings: { "sys.intervalSeconds": 0 } })
    const { broker, witness } = stage
    const before = broker.residentBytes()
    const publisher = await LeanClient.open("publisher", { port: broker.port })
    const publishedTime = stopwatch(broker)
    const { seen: whilePublishing } = await witness.during(() =>
      publisher.publishAll(count, (index) => ({ topic: topicOf(index), payload: payloadOf(index), retain: true }))
    )
    const publishSeconds = publishedTime()
    progress(`publish: ${publishSeconds}`)
    expect(publisher.pubacks).toBe(count)
    expect(await meter(broker, countMeter)).toBe(count)
    const held = broker.residentBytes()
    witness.end()
    await broker.kill9()

    const startedTime = stopwatch(broker)
    await broker.start()
    const startSeconds = startedTime()
    progress(`start: ${startSeconds}`)
    expect(await meter(broker, countMeter)).toBe(count)
    const restarted = broker.residentBytes()
    second = await Witness.start(broker.port)

    // One asks for all and does not read, again and again; then it reads.
    const memory = watchMemory(broker)
    const slow = await LeanClient.open("slow", { port: broker.port })
    const slowly = counting(slow)
    const quick = await LeanClient.open("quick", { port: broker.port })
    const quickly = counting(quick)
    const readTime = stopwatch(broker)
    const { seen: whileReading } = await second.during(async () => {
      slow.socket.pause()
      void slow.subscribe(["#"], 0)
      await quick.subscribe(["#"], 1)
      await until(
        () => quickly.found === count,
        () => `quick has all: ${quickly.found}`,
        120_000
      )
    })
    const readSeconds = readTime()
    progress(`read: ${readSeconds}`)
    const most = memory.stop()
    expect(quickly.wrong).toBe(0)
    expect(slowly.found).toBe(0)
    expect(slow.closed).toBe(false)
    expect(most - restarted).toBeLessThan(readersBytesMax(restarted))
    const resumedTime = stopwatch(broker)
    const { seen: whileResuming } = await second.during(async () => {
      slow.socket.resume()
      await until(
        () => slowly.found === count,
        () => `slow has all: ${slowly.found}`,
        120_000
      )
    })
    const resumeSeconds = resumedTime()
    progress(`resume: ${resumeSeconds}`)
    expect(slowly.wrong).toBe(0)
    slow.goodbye()
    quick.goodbye()

    // Half of them are removed; a search that finds nothing is answered at once.
    const remover = await LeanClient.open("remover", { port: broker.port })
    const removed = Math.floor(count / 2)
    const removedTime = stopwatch(broker)
    const { seen: whileRemoving } = await second.during(() =>
      remover.publishAll(removed, (index) => ({ topic: topicOf(index * 2), payload: "", retain: true }))
    )
    const removeSeconds = removedTime()
    progress(`remove: ${removeSeconds}`)
    expect(await meter(broker, countMeter)).toBe(count - removed)
    second.end()
    expect(await broker.stop()).toBe(0)
    await broker.start()
    expect(await meter(broker, countMeter)).toBe(count - removed)

    figures(
      `${count} retained messages`,
      `published in ${publishSeconds}; ${told(whilePublishing)}`,
      `resident ${mebibytes(before)} before, ${mebibytes(held)} then: ${Math.round((held - before) / count)} bytes each`,
      `killed, started in ${startSeconds}, resident ${mebibytes(restarted)}`,
      `one reads all in ${readSeconds} while another does not read: at most ${mebibytes(most - restarted)} more; ${told(whileReading)}`,
      `that one reads all in ${resumeSeconds}; ${told(whileResuming)}`,
      `half removed in ${removeSeconds}; ${told(whileRemoving)}`
    )
  })
})
