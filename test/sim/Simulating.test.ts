/**
 * The example of docs/simulation.md is what stands in simulating.example.ts; it compiles, runs, and its property holds.
 */
import { readFile } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { simulate } from "./simulating.example.js"

describe("the example of docs/simulation.md", () => {
  it("is this file", async () => {
    const [page, example] = await Promise.all(
      ["../../docs/simulation.md", "simulating.example.ts"].map((path) => readFile(new URL(path, import.meta.url), "utf8"))
    )
    expect(page).toContain(`\`\`\`ts\n${(example ?? "").trimEnd()}\n\`\`\``)
  })

  it("runs: the ledgers are equal, and have what was added, in order", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const [first, second, third] = await simulate(seed)
      expect([second, third]).toEqual([first, first])
      expect([...new Set(first)]).toEqual(["one", "two", "three"])
    }
  })
})
