/**
 * The checks of the simulation see what they are there to see: every bug made on purpose is caught by a seed, and soon.
 */
import { expect, it } from "vitest"
import { nodeMutants } from "./NodeMutants.js"
import { simulate } from "./Simulation.js"

/** Seeds that are tried for one bug. */
const seedsMax = 40

it.each(nodeMutants)("catches it where $bug", { timeout: 120_000 }, async ({ options, saidOf, from }) => {
  const said: Array<string> = []
  for (let seed = from; seed < from + seedsMax; seed++) {
    const { faults } = await simulate(seed, options)
    if (faults.some((fault) => saidOf.test(fault))) return
    said.push(...faults.map((fault) => `${seed}: ${fault}`))
  }
  expect(`nothing that it should, in ${seedsMax} seeds, but: ${said.join("\n")}`).toBe("")
})
