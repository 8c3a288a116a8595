/**
 * The table of normative statements names, for each, the tests that show it, and those tests name the statement.
 */
import { describe, expect, it } from "vitest"
import { page, rows, testsById } from "./Clauses.js"

const all = rows()
const tests = testsById()

describe(page, () => {
  it("lists every statement of both specifications once", () => {
    expect(all.filter(({ id }) => id.startsWith("MQTT3-")).length).toBe(141)
    expect(all.filter(({ id }) => id.startsWith("MQTT5-")).length).toBe(251)
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
  })

  it("names for each statement exactly the tests that name it", () => {
    const wrong = all.filter(({ id, tests: named }) => [...named].sort().join() !== [...(tests.get(id) ?? [])].sort().join())
    expect(wrong.map(({ id, tests: named }) => ({ id, page: named, tests: tests.get(id) ?? [] }))).toEqual([])
  })

  it("has a test for every statement that binds servers", () => {
    const without = all.filter((row) => row.tests.length === 0 && !row.isForClients && row.instead === "")
    expect(without.map(({ id }) => id)).toEqual([])
  })

  it("knows every statement that a test names", () => {
    const known = new Set(all.map(({ id }) => id))
    expect([...tests.keys()].filter((id) => !known.has(id))).toEqual([])
  })
})
