/** Waits that end when their time is over, in one look for all of them. */
import { expect, test } from "vitest"
import * as Effect from "effect/Effect"
import { Deadlines } from "../src/internal/Deadlines.js"
import { until } from "./support/MemoryCluster.js"

const soon = () => performance.now() + 1
const late = () => performance.now() + 3_600_000

test("waits end once when their time is over, others stay, and who stopped waiting is not told", async () => {
  let looks = 0
  const deadlines = new Deadlines((effect) => {
    looks++
    Effect.runFork(effect)
  })
  const ended: Array<string> = []
  deadlines.add(soon(), () => ended.push("one"))
  deadlines.add(soon(), () => ended.push("two"))
  const forget = deadlines.add(late(), () => ended.push("late"))
  deadlines.add(soon(), () => ended.push("stopped"))()
  await until(() => ended.length === 2)
  expect(ended).toEqual(["one", "two"])
  expect(looks).toBe(1)
  deadlines.add(late(), () => ended.push("all"))
  forget()
  deadlines.expireAll()
  expect(ended).toEqual(["one", "two", "all"])
  // What ends the first may begin another.
  deadlines.add(soon(), () => deadlines.add(soon(), () => ended.push("next")))
  await until(() => ended.includes("next"))
})
