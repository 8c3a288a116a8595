/**
 * Plays every file of test/scenarios: blocks of commands, a line `----`, and what they show. With UPDATE_SCENARIOS=1 the files
 * get what was shown, to be read by whoever changed it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { Scenario } from "./support/Scenario.js"

const folder = new URL("./scenarios/", import.meta.url).pathname
const updates = process.env["UPDATE_SCENARIOS"] === "1"

/** The file with what its commands show now. */
const play = (text: string): string => {
  const scenario = new Scenario()
  const blocks = text.trimEnd().split(/\n\n+/)
  return `${blocks
    .map((block) => {
      const [commands] = block.split("\n----") as [string]
      const lines = commands.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
      if (lines.length === 0) return block
      const shown = lines.flatMap((line) => {
        try {
          return scenario.run(line)
        } catch (problem) {
          throw new Error(`at "${line}": ${(problem as Error).message}`, { cause: problem })
        }
      })
      return [commands, "----", ...(shown.length === 0 ? ["ok"] : shown)].join("\n")
    })
    .join("\n\n")}\n`
}

for (const name of readdirSync(folder).filter((file) => file.endsWith(".txt"))) {
  it(name.replace(/\.txt$/, "").replaceAll("-", " "), () => {
    const text = readFileSync(join(folder, name), "utf8")
    const played = play(text)
    if (updates) writeFileSync(join(folder, name), played)
    else expect(played).toBe(text)
  })
}
