/**
 * The checkers are shown to work: every bug of mutants.mjs is found, by the seed that is known to find it or by a short search.
 */
import { afterAll, describe, expect, it } from "vitest"
import { bundleMutant, removeBundle } from "./bundle.mjs"
import { mutants } from "./mutants.mjs"
import type { SuiteName } from "./Suites.js"

type Suites = typeof import("./Suites.js")

/** Of a suite other than `cluster` where it says so. */
interface Mutant {
  readonly seed: number
  readonly suite?: SuiteName
}

const searchSeedsMax = 60
/** Most are found by their seed within seconds. A change of the product can change what a seed does: then there is a search. */
const timeout = 180_000

describe("a bug put in on purpose", () => {
  const made: Array<string> = []
  afterAll(() => {
    for (const url of made) removeBundle(url)
  })

  it("is one of at least fifteen", () => expect(Object.keys(mutants).length).toBeGreaterThanOrEqual(15))

  for (const [name, { seed, suite }] of Object.entries<Mutant>(mutants)) {
    it(`is found: ${name}`, { timeout }, async () => {
      const url = await bundleMutant(name)
      made.push(url)
      const { runSeed } = (await import(/* @vite-ignore */ url)) as Suites
      const search = [seed, ...Array.from({ length: searchSeedsMax }, (_, index) => index + 1)]
      let found: number | undefined
      while (found === undefined && search.length > 0) {
        const next = search.shift() as number
        if ((await runSeed(suite ?? "cluster", next)).faults.length > 0) found = next
      }
      expect(found).toBeDefined()
    })
  }
})
