import { DueQueue } from "@effectmq/messaging/core/DueQueue"
import { RouteTable } from "@effectmq/messaging/core/RouteTable"
import { matchesFilter } from "@effectmq/messaging/core/TopicFilter"
import type { Subscriber, Subscription } from "@effectmq/messaging/Subscriber"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const subscriber = (clientId: string, durable = false): Subscriber => ({
  clientId,
  durable,
  online: true,
  capacity: 1,
  deliver: () => {},
  deliverLogged: () => {}
})

const subscription = (filter: string, options: Partial<Subscription> = {}): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  subscriptionId: undefined,
  since: [0],
  ...options
})

describe("RouteTable", () => {
  it("routes as a scan of all subscriptions says, whatever is cached", () => {
    const filter = fc.constantFrom("a", "a/b", "a/+", "+/b", "#", "a/#", "$s/+", "b")
    const topic = fc.constantFrom("a", "a/b", "b", "$s/x", "a/c")
    const step = fc.record({ add: fc.boolean(), who: fc.integer({ min: 0, max: 4 }), filter, topic })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const table = new RouteTable(4)
        const subscribers = [0, 1, 2, 3, 4].map((index) => subscriber(`c${index}`, index % 2 === 0))
        const model = new Set<string>()
        for (const { add, who, filter, topic } of steps) {
          const key = `${who} ${filter}`
          const one = subscribers[who] as Subscriber
          if (add) expect(table.subscribe(one, subscription(filter))).toBe(model.has(key))
          else expect(table.unsubscribe(one, filter)).toBe(model.has(key))
          if (add) model.add(key)
          else model.delete(key)
          expect(table.subscriptionCount).toBe(model.size)
          const route = table.route(topic)
          const expected = new Set(
            [...model].filter((key) => matchesFilter(key.slice(2), topic)).map((key) => `c${key.charAt(0)}`)
          )
          expect(new Set(route.direct.map((match) => match.subscriber.clientId))).toEqual(expected)
          expect(route.live.length + route.logged.length).toBe(route.direct.length)
          expect(route.logged.every((match) => match.subscriber.durable)).toBe(true)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("makes overlapping subscriptions one delivery with all identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-4]", () => {
    const table = new RouteTable(1)
    const one = subscriber("c")
    table.subscribe(one, subscription("a/#", { qos: 1, subscriptionId: 7, noLocal: true }))
    table.subscribe(one, subscription("a/+", { qos: 2, subscriptionId: 9 }))
    const [match, ...others] = table.route("a/b").direct
    expect(others).toEqual([])
    expect(match).toMatchObject({ qos: 2, noLocal: false })
    expect([...(match?.subscriptionIds ?? [])].sort()).toEqual([7, 9])
  })
})

describe("DueQueue", () => {
  it("gives things out by the time they are due, and none too early", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }),
        fc.integer({ min: 0, max: 50 }),
        (times, nowMs) => {
          const queue = new DueQueue<number>()
          for (const time of times) queue.push(time, time)
          const given: Array<number> = []
          for (let value = queue.pop(nowMs); value !== undefined; value = queue.pop(nowMs)) given.push(value)
          expect(given).toEqual(times.filter((time) => time <= nowMs).sort((a, b) => a - b))
          expect(queue.size).toBe(times.length - given.length)
        }
      )
    )
  })
})
