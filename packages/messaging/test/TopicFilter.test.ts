import { FilterTree } from "@effectmq/messaging/core/FilterTree"
import { type TopicCursor, TopicIndex } from "@effectmq/messaging/core/TopicIndex"
import { filterError, matchesFilter, parseFilter, topicNameError } from "@effectmq/messaging/core/TopicFilter"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const limits = { lengthMax: 100, levelsMax: 6 }
const level = fc.constantFrom("a", "b", "", "$x", "c")
const topicOf = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join("/"))
const filterOf = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { minLength: 0, maxLength: 4 }), fc.oneof(level, fc.constantFrom("#", "+")))
  .map(([levels, last]) => [...levels, last].join("/"))

/** The rules of [MQTT5 4.7] once more, by regular expression: what `matchesFilter` is held against. */
const naive = (filter: string, topic: string): boolean => {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false
  const pattern = filter
    .split("/")
    .map((level) => (level === "+" ? "[^/]*" : level === "#" ? "\u0001" : level.replaceAll("$", "\\$")))
    .join("/")
  return new RegExp(`^${pattern === "\u0001" ? ".*" : pattern.replace("/\u0001", "(/.*)?")}$`).test(topic)
}

describe("topic filters", () => {
  it("match as the plain rules say", () => {
    const property = fc.property(filterOf, topicOf, (filter, topic) => {
      expect(matchesFilter(filter, topic)).toBe(naive(filter, topic))
    })
    fc.assert(property, { numRuns: 3000 })
  })

  it.each([
    ["sport/tennis/#", "sport/tennis", true],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["#", "$SYS/broker", false],
    ["+/monitor", "$SYS/monitor", false],
    ["$SYS/#", "$SYS/broker", true],
    ["$SYS/monitor/+", "$SYS/monitor/clients", true]
  ])("%s on %s: %s [MQTT-4.7.1-1] [MQTT-4.7.2-1]", (filter, topic, expected) => {
    expect(matchesFilter(filter, topic)).toBe(expected)
  })

  it.each(["", "a+", "a/#/b", "#a", "a/b+", "a\u0000", "1/2/3/4/5/6/7"])("%j is refused", (filter) => {
    expect(filterError(filter, limits)).toBeDefined()
  })

  it("topic names have no wildcards and a bounded length", () => {
    expect(topicNameError("a/b", limits)).toBeUndefined()
    for (const topic of ["", "a/+", "#", "a\u0000b", "x".repeat(101), "1/2/3/4/5/6/7"]) {
      expect(topicNameError(topic, limits)).toBeDefined()
    }
  })

  it("prefixes are taken off", () => {
    expect(parseFilter("$share/g/a/+", limits)).toEqual({ kind: "shared", group: "g", filter: "a/+" })
    expect(parseFilter("$exclusive/a/b", limits)).toEqual({ kind: "exclusive", filter: "a/b" })
    expect(parseFilter("a/#", limits)).toEqual({ kind: "plain", filter: "a/#" })
    for (const text of ["$share/g", "$share//a", "$share/g+/a", "$share/g/", "$exclusive/a/+"]) {
      expect(typeof parseFilter(text, limits)).toBe("string")
    }
  })
})

describe("FilterTree", () => {
  it("finds what a scan of all filters finds, also after removals", () => {
    const operation = fc.record({ add: fc.boolean(), filter: filterOf })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), fc.array(topicOf, { maxLength: 10 }), (operations, topics) => {
        const tree = new FilterTree<string>()
        const model = new Set<string>()
        for (const { add, filter } of operations) {
          if (add) tree.set(filter, filter)
          else tree.delete(filter)
          if (add) model.add(filter)
          else model.delete(filter)
          expect(tree.get(filter)).toBe(add ? filter : undefined)
        }
        expect(tree.size).toBe(model.size)
        for (const topic of topics) {
          const found: Array<string> = []
          tree.match(topic, (value) => found.push(value))
          expect(found.sort()).toEqual([...model].filter((filter) => matchesFilter(filter, topic)).sort())
        }
      }),
      { numRuns: 1000 }
    )
  })
})

describe("TopicIndex", () => {
  it("finds what a scan of all names finds, also after removals", () => {
    const operation = fc.record({ add: fc.boolean(), topic: topicOf })
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 60 }),
        fc.array(filterOf, { maxLength: 10 }),
        pieces,
        (operations, filters, visitsMax) => {
          const index = new TopicIndex<string>()
          const model = new Set<string>()
          for (const { add, topic } of operations) {
            if (add) index.set(topic, topic)
            else expect(index.delete(topic)).toBe(model.has(topic) ? topic : undefined)
            if (add) model.add(topic)
            else model.delete(topic)
          }
          expect(index.size).toBe(model.size)
          for (const filter of filters) {
            const found = collect(index.find(filter), visitsMax)
            expect(found.sort()).toEqual([...model].filter((topic) => matchesFilter(filter, topic)).sort())
          }
          expect(collect(index.all(), visitsMax).sort()).toEqual([...model].sort())
        }
      ),
      { numRuns: 1000 }
    )
  })

  it("finds what was there all the time once, whatever comes and goes meanwhile", () => {
    const operation = fc.record({ add: fc.boolean(), topic: topicOf })
    fc.assert(
      fc.property(
        fc.array(topicOf, { maxLength: 30 }),
        fc.array(operation, { maxLength: 60 }),
        filterOf,
        (first, operations, filter) => {
          const index = new TopicIndex<string>()
          for (const topic of first) index.set(topic, topic)
          const always = new Set(first)
          const ever = new Set(first)
          const found: Array<string> = []
          const cursor = index.find(filter)
          for (const { add, topic } of operations) {
            const value = cursor.next(1)
            if (value !== undefined) found.push(value)
            if (add) index.set(topic, topic)
            else index.delete(topic)
            if (add) ever.add(topic)
            else always.delete(topic)
          }
          found.push(...collect(cursor, 3))
          const matching = (topics: Iterable<string>) => [...topics].filter((topic) => matchesFilter(filter, topic)).sort()
          expect(matching(always).filter((topic) => found.filter((one) => one === topic).length !== 1)).toEqual([])
          expect(found.filter((topic) => !matching(ever).includes(topic))).toEqual([])
        }
      ),
      { numRuns: 1000 }
    )
  })

  it("looks at no more nodes at a time than it may", () => {
    const index = new TopicIndex<number>()
    for (let value = 0; value < 100; value++) index.set(`${value}/a`, value)
    const cursor = index.find("+/b")
    expect(cursor.next(50)).toBeUndefined()
    expect(cursor.done).toBe(false)
    expect(cursor.next(100)).toBeUndefined()
    expect(cursor.done).toBe(true)
  })
})

/** All that is left, in pieces of some nodes each. */
const collect = <V>(cursor: TopicCursor<V>, visitsMax: number): Array<V> => {
  const found: Array<V> = []
  while (!cursor.done) {
    const value = cursor.next(visitsMax)
    if (value !== undefined) found.push(value)
  }
  return found
}

const pieces = fc.constantFrom(1, 2, 7, 1000)
