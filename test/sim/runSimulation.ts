/**
 * Runs `npm run sim` for a test: from a bundle, over all cores.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { Ran } from "./Suites.js"

const main = fileURLToPath(new URL("main.mjs", import.meta.url))

/** What it says with these arguments, and what came out. */
export const runSimulation = (
  ...args: ReadonlyArray<string>
): Promise<{ readonly output: string; readonly ran: ReadonlyArray<Ran> }> => {
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
