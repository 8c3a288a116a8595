/**
 * Raft groups under a seeded scheduler, with faults; see `cluster/ClusterSimulation`. The seeds run as `npm run sim` runs them: from a
 * bundle, over all cores.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { simulateCluster } from "./cluster/ClusterSimulation.js"
import type { Ran } from "./Suites.js"

const main = fileURLToPath(new URL("main.mjs", import.meta.url))

/** What `npm run sim` with these arguments says, and what came out. */
const run = (...args: ReadonlyArray<string>): Promise<{ readonly output: string; readonly ran: ReadonlyArray<Ran> }> => {
  const folder = mkdtempSync(join(tmpdir(), "effectmq-sim-"))
  const json = join(folder, "ran.json")
  return new Promise((resolve) => {
    execFile(process.execPath, ["--enable-source-maps", main, ...args, "--json", json], { maxBuffer: 1 << 26 }, (_, output) => {
      const ran = JSON.parse(readFileSync(json, "utf8")) as ReadonlyArray<Ran>
      rmSync(folder, { recursive: true })
      resolve({ output, ran })
    })
  })
}

describe("a Raft group", () => {
  it("keeps what it promises under faults, and goes on when they stop", { timeout: 110_000 }, async () => {
    const { output, ran } = await run("--suite", "cluster", "--seeds", "300", "--seconds", "45")
    expect(ran.flatMap(({ seed, faults }) => (faults.length > 0 ? [seed] : [])).join(" "), output).toBe("")
    const sum = (name: string) => ran.reduce((total, { stats }) => total + Number(stats[name]), 0)
    expect(ran.length).toBeGreaterThan(10)
    for (const name of ["operations", "unknown", "committed", "elections", "starts"])
      expect(sum(name)).toBeGreaterThan(ran.length)
  })

  it("does the same again for the same seed, here and in the bundle", async () => {
    const [first, second] = [await simulateCluster(3), await simulateCluster(3)]
    expect(second).toEqual(first)
    const { ran } = await run("--suite", "cluster", "--seed", "3")
    expect(ran[0]?.traceHash).toBe(first.traceHash)
  })
})
