/**
 * Clusters as the server composes them under a seeded scheduler, with faults; see `metadata/MetadataSimulation`. The seeds run as
 * `npm run sim` runs them.
 */
import { describe, expect, it } from "vitest"
import { simulateMetadata } from "./metadata/MetadataSimulation.js"
import { runSimulation } from "./runSimulation.js"

describe("the metadata of a cluster", () => {
  it("keep what they promise under faults, and go on when they stop", { timeout: 300_000 }, async () => {
    const { output, ran } = await runSimulation("--suite", "metadata", "--seeds", "20")
    expect(ran.flatMap(({ seed, faults }) => (faults.length > 0 ? [seed] : [])).join(" "), output).toBe("")
    const sum = (name: string) => ran.reduce((total, { stats }) => total + Number(stats[name]), 0)
    expect(ran.length).toBe(20)
    for (const name of ["operations", "refused", "committed", "elections", "starts"])
      expect(sum(name), name).toBeGreaterThan(ran.length)
  })

  it("do the same again for the same seed, here and in the bundle", async () => {
    const [first, second] = [await simulateMetadata(2), await simulateMetadata(2)]
    expect(second).toEqual(first)
    const { ran } = await runSimulation("--suite", "metadata", "--seed", "2")
    expect(ran[0]?.traceHash).toBe(first.traceHash)
  })
})
