/**
 * Many machines under many seeds: what Raft promises holds in every run, and progress comes back when the faults stop.
 */
import { expect, it } from "vitest"
import { RandomRun, type RandomRunOptions } from "./support/RandomRun.js"

const play = (options: RandomRunOptions): RandomRun => {
  const run = new RandomRun(options)
  try {
    run.play()
  } catch (problem) {
    throw new Error(`${JSON.stringify(options)}: ${(problem as Error).message}\n${run.trace(60).join("\n")}`, {
      cause: problem
    })
  }
  return run
}

it("keeps its promises under any faults, and goes on after them", () => {
  let reads = 0
  let proposed = 0
  for (let seed = 1; seed <= 120; seed++) {
    const run = play({ seed, actions: 700 })
    reads += run.readsAnswered
    proposed += run.proposed
  }
  expect(reads).toBeGreaterThan(400)
  expect(proposed).toBeGreaterThan(2_000)
})

it("answers no stale read by a lease while clocks go alike", () => {
  let reads = 0
  for (let seed = 1; seed <= 80; seed++) reads += play({ seed, actions: 700, leases: true }).readsAnswered
  expect(reads).toBeGreaterThan(300)
})
