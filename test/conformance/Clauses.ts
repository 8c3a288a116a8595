/**
 * The table of docs/protocols/mqtt.md and the titles of the tests, read so that they can be held against each other.
 *
 * In a title, `[MQTT3-x.y.z-n]` is the statement MQTT-x.y.z-n of 3.1.1 and `[MQTT5-x.y.z-n]` that of 5.0: both specifications
 * use the same numbers for different things.
 */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

export const page = "docs/protocols/mqtt.md"

export interface Row {
  /** For instance `MQTT5-3.1.0-1`. */
  readonly id: string
  readonly says: string
  readonly isForClients: boolean
  /** Why no test shows it; "" where tests do, or where it is for clients. */
  readonly instead: string
  /** `file: title`, as the page has them. */
  readonly tests: ReadonlyArray<string>
}

const rowPattern = /^\| MQTT-([0-9.]+-\d+) \| ([^|]+) \| ([^|]*) \|$/

/** The rows of the page in their order. */
export const rows = (): ReadonlyArray<Row> => {
  let version = ""
  const found: Array<Row> = []
  for (const line of readFileSync(root + page, "utf8").split("\n")) {
    if (line.startsWith("## ")) version = line === "## MQTT 3.1.1" ? "MQTT3" : line === "## MQTT 5.0" ? "MQTT5" : ""
    const match = rowPattern.exec(line)
    if (match === null) continue
    const [, number = "", says = "", shown = ""] = match
    const parts = shown.split("<br>").filter((part) => part !== "")
    const tests = parts.filter((part) => part.includes(".test.ts: "))
    const rest = parts.filter((part) => !part.includes(".test.ts: "))
    found.push({
      id: `${version}-${number}`,
      says,
      isForClients: rest.includes("*for clients*"),
      instead: rest.filter((part) => part !== "*for clients*").join(" "),
      tests
    })
  }
  return found
}

const folders = ["test/conformance/", "packages/mqtt/test/"]

const titlePattern = /"((?:[^"\\\n]|\\.)*\[MQTT[35]-(?:[^"\\\n]|\\.)*)"/g

/** `file: title` of every test, by the statements that its title names. */
export const testsById = (): ReadonlyMap<string, ReadonlyArray<string>> => {
  const found = new Map<string, Array<string>>()
  for (const folder of folders) {
    for (const file of readdirSync(root + folder).sort()) {
      if (!file.endsWith(".test.ts") || file === "clauses.test.ts") continue
      for (const [, title = ""] of readFileSync(root + folder + file, "utf8").matchAll(titlePattern)) {
        const name = title.replaceAll(/ ?\[MQTT[^\]]*\]/g, "").trim()
        for (const [, id = ""] of title.matchAll(/\[(MQTT[35]-[0-9.]+-\d+)\]/g)) {
          const tests = found.get(id) ?? []
          tests.push(`${file}: ${name}`)
          found.set(id, tests)
        }
      }
    }
  }
  return found
}
