import { Message } from "@effectmq/messaging/Message"
import { Retained } from "@effectmq/messaging/Retained"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { ManualShard } from "@effectmq/testing/ManualShard"
import { ManualTime } from "@effectmq/testing/ManualTime"

const open = (time = new ManualTime()): Retained =>
  Effect.runSync(Retained.open(new ManualShard(), time, { messagesMax: 100_000, bytesMax: 100_000_000, payloadBytesMax: 100 }))

const message = (topic: string, payload: string, expiresAtMs = 0) =>
  new Message(topic, Buffer.from(payload), 0, payload.length, 0, true, undefined, 0, expiresAtMs, "publisher", undefined)

const fill = (retained: Retained, count: number) => {
  for (let index = 0; index < count; index++) retained.publish(message(`many/${index}`, "first"), undefined)
}

describe("many retained messages", () => {
  it("are found as they were when they were asked for", () => {
    const retained = open()
    fill(retained, 100)
    const cursor = retained.find("many/#")
    const found: Array<string> = []
    for (let index = 0; index < 10; index++) found.push(cursor.next(10)?.message.topic ?? "")
    retained.publish(message("many/50", "second"), undefined)
    retained.publish(message("many/60", ""), undefined)
    retained.publish(message("many/0", "third"), undefined)
    retained.publish(message("many/new", "first"), undefined)
    while (!cursor.done) {
      const entry = cursor.next(10)
      if (entry !== undefined) found.push(entry.message.topic)
    }
    const gone = ["many/50", "many/60"]
    expect(found.sort()).toEqual(
      Array.from({ length: 100 }, (_, index) => `many/${index}`)
        .filter((topic) => !gone.includes(topic))
        .sort()
    )
  })

  it("are swept a part at a time, those that have expired", () => {
    const time = new ManualTime()
    const retained = open(time)
    const count = 50_000
    for (let index = 0; index < count; index++) {
      const expiresAtMs = index % 2 === 0 ? time.nowMs() + 1000 : 0
      retained.publish(message(`many/${index}`, "x", expiresAtMs), undefined)
    }
    expect(retained.sweep()).toBe(0)
    time.advance(1000)
    let removed = 0
    let sweeps = 0
    while (removed < count / 2) {
      removed += retained.sweep()
      sweeps++
      expect(sweeps).toBeLessThan(10)
    }
    expect(sweeps).toBeGreaterThan(1)
    expect(retained.count).toBe(count / 2)
    expect(retained.bytes).toBe(retained.match("#").reduce((sum, { message }) => sum + message.sizeBytes, 0))
  })

  it("say quickly whether a filter may match", () => {
    const retained = open()
    fill(retained, 100)
    expect(retained.matchesAny("many/5")).toBe(true)
    expect(retained.matchesAny("many/x")).toBe(false)
    expect(retained.matchesAny("other/#")).toBe(false)
  })
})
