/**
 * Whole brokers over a disk and a network of their own, with crashes; see `Simulation`.
 *
 * `EFFECTMQ_SIM_SEED` runs one seed, `EFFECTMQ_SIM_SEEDS` that many from 1 on.
 */
import process from "node:process"
import { describe, expect, it } from "vitest"
import { simulate } from "./Simulation.js"

const { EFFECTMQ_SIM_SEED: one, EFFECTMQ_SIM_SEEDS: many = "40" } = process.env
const seeds = one === undefined ? Array.from({ length: Number(many) }, (_, index) => index + 1) : [Number(one)]

/** Seeds of one test: few enough for its time on a machine that does other things besides. */
const partMax = 10
const parts = Array.from({ length: Math.ceil(seeds.length / partMax) }, (_, part) => {
  const own = seeds.slice(part * partMax, (part + 1) * partMax)
  return { first: own.at(0), last: own.at(-1), own }
})

describe("a broker that crashes", () => {
  it.each(parts)("loses nothing it acknowledged and repeats no QoS 2 message (seeds $first to $last)", async ({ own }) => {
    const failures: Array<string> = []
    let acknowledged = 0
    let crashes = 0
    for (const seed of own) {
      const { faults, stats, trace } = await simulate(seed)
      acknowledged += stats.acknowledged
      crashes += stats.crashes
      if (faults.length === 0) continue
      const last = trace.slice(-20).join("\n  ")
      failures.push(
        `EFFECTMQ_SIM_SEED=${seed} npx vitest run --config vitest.workspace.ts --project sim\n  ${faults.join("\n  ")}\n  ${last}`
      )
    }
    expect(failures.join("\n")).toBe("")
    if (own.length < partMax) return
    expect(acknowledged).toBeGreaterThan(0)
    expect(crashes).toBeGreaterThan(0)
  })

  it("does the same again for the same seed", async () => {
    const first = await simulate(seeds[0] as number)
    const second = await simulate(seeds[0] as number)
    expect(second.trace).toEqual(first.trace)
    expect(second.stats).toEqual(first.stats)
  })
})
