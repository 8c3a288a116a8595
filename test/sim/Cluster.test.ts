/**
 * Raft groups under a seeded scheduler, with faults; see `cluster/ClusterSimulation`. The seeds run as `npm run sim` runs them.
 */
import { describe, expect, it } from "vitest"
import { simulateCluster } from "./cluster/ClusterSimulation.js"
import { runSimulation } from "./runSimulation.js"

describe("a Raft group", () => {
  it("keeps what it promises under faults, and goes on when they stop", { timeout: 300_000 }, async () => {
    const { output, ran } = await runSimulation("--suite", "cluster", "--seeds", "200")
    expect(ran.flatMap(({ seed, faults }) => (faults.length > 0 ? [seed] : [])).join(" "), output).toBe("")
    const sum = (name: string) => ran.reduce((total, { stats }) => total + Number(stats[name]), 0)
    expect(ran.length).toBe(200)
    for (const name of ["operations", "unknown", "committed", "elections", "starts"])
      expect(sum(name)).toBeGreaterThan(ran.length)
  })

  it("does the same again for the same seed, here and in the bundle", async () => {
    const [first, second] = [await simulateCluster(3), await simulateCluster(3)]
    expect(second).toEqual(first)
    const { ran } = await runSimulation("--suite", "cluster", "--seed", "3")
    expect(ran[0]?.traceHash).toBe(first.traceHash)
  })
})
