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
    throw new Error(`${JSON.stringify(options)}: ${(problem as Error).message}\n${run.trace.slice(-60).join("\n")}`, {
      cause: problem
    })
  }
  return run
}

it("keeps its promises under any faults, and goes on after them", () => {
  let reads = 0
  let proposed = 0
  for (let seed = 1; seed <= 250; seed++) {
    const run = play({ seed, actions: 600 })
    reads += run.readsAnswered
    proposed += run.proposed
  }
  expect(reads).toBeGreaterThan(1_000)
  expect(proposed).toBeGreaterThan(5_000)
})

it("answers no stale read by a lease while clocks go alike", () => {
  let reads = 0
  for (let seed = 1; seed <= 100; seed++) reads += play({ seed, actions: 600, leases: true }).readsAnswered
  expect(reads).toBeGreaterThan(1_000)
})
