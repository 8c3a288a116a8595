import { LowestOffsets } from "@effectmq/messaging/core/LowestOffsets"
import { Message } from "@effectmq/messaging/Message"
import { Retained, type RetainedCursor } from "@effectmq/messaging/Retained"
import { RetainedReplay } from "@effectmq/messaging/RetainedReplay"
import { TopicIndex } from "@effectmq/messaging/core/TopicIndex"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ManualShard } from "@effectmq/testing/ManualShard"
import { ManualTime } from "@effectmq/testing/ManualTime"

const message = (topic: string, payload = "x", expiresAtMs = 0) =>
  new Message(topic, Buffer.from(payload), 0, payload.length, 2, true, undefined, 0, expiresAtMs, "publisher", undefined)

const open = (time = new ManualTime()): Retained =>
  Effect.runSync(Retained.open(new ManualShard(), time, { messagesMax: 1000, bytesMax: 1_000_000, payloadBytesMax: 100 }))

const take = (cursor: RetainedCursor, count = Number.POSITIVE_INFINITY, stepsMax = 3): Array<string> => {
  const topics: Array<string> = []
  while (!cursor.done && topics.length < count) {
    const entry = cursor.next(stepsMax)
    if (entry !== undefined) topics.push(entry.message.topic)
  }
  return topics
}

const topics = (count: number) => Array.from({ length: count }, (_, index) => `many/${(index * 7) % 101}`)

const filled = (count: number): Retained => {
  const retained = open()
  for (const topic of topics(count)) retained.publish(message(topic), undefined)
  return retained
}

describe("LowestOffsets", () => {
  it("gives the lowest of what was added, lowest first", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(10_000)),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        (all, max, steps) => {
          const lowest = new LowestOffsets<string>(max)
          for (const offset of all) lowest.add(offset, `${offset}`)
          while (!lowest.sort(steps)) expect(lowest.size).toBe(Math.min(max, all.length))
          const given: Array<number> = []
          for (let found = lowest.take(); found !== undefined; found = lowest.take()) {
            expect(found.entry).toBe(`${found.offset}`)
            given.push(found.offset)
          }
          expect(given).toEqual([...all].sort((a, b) => a - b).slice(0, max))
          expect(lowest.isFull).toBe(all.length > max)
        }
      )
    )
  })
})

describe("a replay of retained messages", () => {
  it("gives them in the order in which they were published", () => {
    expect(take(filled(100).replay("many/#"))).toEqual(topics(100))
    expect(take(filled(100).replay("other/#"))).toEqual([])
  })

  it("goes on from where it had come to, and gives nothing that came after it was asked for", () => {
    const retained = filled(50)
    const first = retained.replay("many/+")
    const before = take(first, 20)
    const { position, until } = first
    retained.publish(message("many/new"), undefined)
    retained.publish(message(topics(50)[30] as string, "newer"), undefined)
    retained.publish(message(topics(50)[31] as string, ""), undefined)
    retained.flush()
    const left = topics(50).filter((_, index) => index >= 20 && index !== 30 && index !== 31)
    expect(before).toEqual(topics(50).slice(0, 20))
    expect(take(retained.replay("many/+", { position, until }))).toEqual(left)
    expect(take(first)).toEqual(left)
  })

  it("leaves out what has expired", () => {
    const time = new ManualTime()
    const retained = open(time)
    retained.publish(message("a", "x", time.nowMs() + 10), undefined)
    retained.publish(message("b"), undefined)
    const replay = retained.replay("#")
    time.advance(10)
    expect(take(replay)).toEqual(["b"])
  })

  it("gives figures of the broker too, which have no offset", () => {
    const retained = open()
    for (const topic of ["$SYS/a", "$SYS/b"]) retained.publish(message(topic), undefined)
    expect(take(retained.replay("$SYS/#")).sort()).toEqual(["$SYS/a", "$SYS/b"])
  })

  it("goes through the index again where more match than it holds, and gives each once and in order", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        (count, max, steps) => {
          const index = new TopicIndex<{ message: Message; offset: number; sequence: number }>()
          const order = topics(count)
          for (const [offset, topic] of order.entries()) index.set(topic, { message: message(topic), offset, sequence: offset })
          const lookup = { find: () => index.find("#"), isCurrent: () => true }
          const replay = new RetainedReplay(lookup, { position: 0, until: count }, count, max)
          expect(take(replay, Number.POSITIVE_INFINITY, steps)).toEqual(order)
        }
      )
    )
  })
})
