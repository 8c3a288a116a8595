import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { covers, intersects, matches } from "../src/core/FilterRelation.js"

/** Every list of 1 to `lengthMax` of the letters. */
const lists = (letters: ReadonlyArray<string>, lengthMax: number): ReadonlyArray<ReadonlyArray<string>> => {
  const longer = (shorter: ReadonlyArray<ReadonlyArray<string>>) =>
    shorter.flatMap((list) => letters.map((letter) => [...list, letter]))
  const byLength = [letters.map((letter) => [letter])]
  while (byLength.length < lengthMax) byLength.push(longer(byLength.at(-1) ?? []).map((list) => [...list]))
  return byLength.flat()
}

const filters = lists(["a", "", "$s", "+", "#"], 3)
  .filter((levels) => !levels.slice(0, -1).includes("#"))
  .map((levels) => levels.join("/"))
  .filter((filter) => filter !== "")

/** One more level than the filters have, and a level that no filter names: enough to tell any two filters apart. */
const topics = lists(["a", "", "$s", "z"], 4).map((levels) => levels.join("/"))

/** Matching by another way: a regular expression. */
const matchesByPattern = (filter: string, topic: string): boolean => {
  if (/^[+#]/.test(filter) && topic.startsWith("$")) return false
  const pattern = filter.replace(/\$/g, "\\$").replace(/\+/g, "[^/]*").replace(/\/#$/, "(/.*)?").replace(/^#$/, ".*")
  return new RegExp(`^${pattern}$`).test(topic)
}

const matchedBy = new Map(filters.map((filter) => [filter, topics.map((topic) => matches(filter, topic))]))

describe("FilterRelation", () => {
  it("matches as the pattern does, for every filter and topic over a small alphabet", () => {
    for (const filter of filters) {
      const wrong = topics.filter((topic) => matches(filter, topic) !== matchesByPattern(filter, topic))
      expect(wrong, filter).toEqual([])
    }
  })

  it("covers and intersects as the sets of matched topics do, for every pair of filters over a small alphabet", () => {
    const wrong: Array<string> = []
    for (const [left, leftMatches] of matchedBy) {
      for (const [right, rightMatches] of matchedBy) {
        const covered = rightMatches.every((matched, i) => !matched || leftMatches[i])
        const shared = rightMatches.some((matched, i) => matched && leftMatches[i])
        if (covers(left, right) !== covered) wrong.push(`covers ${left} ${right}: ${!covered}`)
        if (intersects(left, right) !== shared) wrong.push(`intersects ${left} ${right}: ${!shared}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it("holds the laws of sets for filters of any depth", () => {
    const level = FastCheck.constantFrom("a", "b", "+", "", "$x")
    const filter = FastCheck.tuple(FastCheck.array(level, { minLength: 1, maxLength: 8 }), FastCheck.boolean())
      .map(([levels, open]) => [...levels, ...(open ? ["#"] : [])].join("/"))
      .filter((text) => text !== "")
    const topic = FastCheck.array(FastCheck.constantFrom("a", "b", "", "$x", "c"), { minLength: 1, maxLength: 8 })
      .map((levels) => levels.join("/"))
      .filter((text) => text !== "")
    FastCheck.assert(
      FastCheck.property(filter, filter, filter, topic, (a, b, c, t) => {
        expect(covers(a, a)).toBe(true)
        expect(intersects(a, b)).toBe(intersects(b, a))
        if (covers(a, b)) expect(intersects(a, b)).toBe(true)
        if (covers(a, b) && covers(b, c)) expect(covers(a, c)).toBe(true)
        if (covers(a, b) && intersects(b, c)) expect(intersects(a, c)).toBe(true)
        if (covers(a, b) && matches(b, t)) expect(matches(a, t)).toBe(true)
        if (matches(a, t) && matches(b, t)) expect(intersects(a, b)).toBe(true)
        expect(covers(a, t)).toBe(matches(a, t))
        expect(intersects(a, t)).toBe(matches(a, t))
      }),
      { numRuns: 2000 }
    )
  })

  it("keeps $ topics from leading wildcards [MQTT-4.7.2-1]", () => {
    expect(matches("#", "$SYS/broker")).toBe(false)
    expect(matches("+/broker", "$SYS/broker")).toBe(false)
    expect(matches("$SYS/#", "$SYS/broker")).toBe(true)
    expect(matches("a/+", "a/$SYS")).toBe(true)
    expect(covers("#", "$SYS/#")).toBe(false)
    expect(intersects("+/broker", "$SYS/#")).toBe(false)
    expect(covers("+/#", "#")).toBe(true)
    expect(covers("a/+/#", "a/#")).toBe(false)
  })
})
