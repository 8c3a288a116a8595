/**
 * The dashboard shows what the broker measures: every metric in it is registered somewhere in the source.
 */
import { expect, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../../", import.meta.url))

const sourceTexts = ["packages", "services"].flatMap((folder) =>
  readdirSync(root + folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const source = `${root}${folder}/${entry.name}/src/`
      try {
        return readdirSync(source, { recursive: true, encoding: "utf8" })
          .filter((path) => path.endsWith(".ts"))
          .map((path) => readFileSync(source + path, "utf8"))
      } catch {
        return []
      }
    })
)

/** Names written out, and those made of a prefix (`effectmq_x_${name}`) and the first argument of a call in the same file. */
const registered = new Set(
  sourceTexts.flatMap((text) => {
    const whole = [...text.matchAll(/["`](effectmq_[a-z0-9_]+)["`]/g)].map((match) => match[1] as string)
    const prefixes = [...text.matchAll(/`(effectmq_[a-z0-9_]*_)\$\{/g)].map((match) => match[1] as string)
    const ends = [...text.matchAll(/\w\(\s*"([a-z0-9_]+)"/g)].map((match) => match[1] as string)
    return [...whole, ...prefixes.flatMap((prefix) => ends.map((end) => prefix + end))]
  })
)

const dashboard = JSON.parse(readFileSync(`${root}docs/operations/grafana-dashboard.json`, "utf8"))

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}

const panels: ReadonlyArray<Panel> = dashboard.panels
const expressions = panels.flatMap((panel) => (panel.targets ?? []).map((target) => target.expr))

const namesIn = (text: string) => [...text.matchAll(/effectmq_[a-z0-9_]+/g)].map((match) => match[0])

const isRegistered = (name: string) =>
  registered.has(name) || (/_(bucket|sum|count)$/.test(name) && registered.has(name.replace(/_(bucket|sum|count)$/, "")))

it("every metric of the dashboard is registered in the source", () => {
  const names = new Set(namesIn(JSON.stringify(dashboard)))
  expect(names.size).toBeGreaterThan(20)
  expect([...names].filter((name) => !isRegistered(name))).toEqual([])
})

it("a name that nobody registers would be found", () => {
  expect(isRegistered("effectmq_connections")).toBe(true)
  expect(isRegistered("effectmq_nonsense_total")).toBe(false)
})

it("counters are shown as rates, and every panel shows something of the chosen nodes", () => {
  const names = (expression: string) => namesIn(expression).filter((name) => name.endsWith("_total"))
  expect(expressions.filter((expression) => names(expression).length > 0 && !expression.includes("rate("))).toEqual([])
  expect(expressions.filter((expression) => !expression.includes('{instance=~"$instance"}'))).toEqual([])
  expect(panels.filter((panel) => panel.type !== "row" && (panel.targets ?? []).length === 0)).toEqual([])
  expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length)
})
