/**
 * Figures as text: the table on the terminal, and the rows of docs/benchmarks.md, where a row is replaced by a newer one of the
 * same case.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"

const beginOf = (section) => `<!-- ${section}: begin -->`
const endOf = (section) => `<!-- ${section}: end -->`

export const number = (value) => {
  if (value === undefined || Number.isNaN(value)) return "-"
  if (value >= 1000) return Math.round(value).toLocaleString("en-US")
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const spread = (values) => (values.length > 1 ? ` (${number(Math.min(...values))} to ${number(Math.max(...values))})` : "")

/** How the goal is met: the figure, what was wanted, and whether it is. */
const judge = (one, ours, theirs) => {
  if (one.must.bound !== undefined) {
    return { goal: `${one.must.bound} ${one.unit} or less`, ratio: "", met: ours === undefined ? "" : ours <= one.must.bound }
  }
  const goal = one.higherIsBetter ? `${one.must.factor} times Mosquitto` : "no worse than Mosquitto"
  if (ours === undefined || theirs === undefined) return { goal, ratio: "", met: "" }
  const ratio = ours / theirs
  return { goal, ratio: `${ratio.toFixed(2)}x`, met: one.higherIsBetter ? ratio >= one.must.factor : ratio <= 1 }
}

/** One row per case: cells by column name. `results` maps peer name to its runs. */
export const rowOf = (name, one, results) => {
  const values = (peer) => (results[peer] ?? []).map((run) => run.value)
  const of = (peer) => (values(peer).length === 0 ? undefined : median(values(peer)))
  const cell = (peer) => {
    if (results[peer] === undefined) return ""
    if (values(peer).length === 0) return "did not work"
    const p50 = results[peer].map((run) => run.p50).filter((value) => value !== undefined)
    const uncached = results[peer].map((run) => run.uncached).filter((value) => value !== undefined)
    const more =
      p50.length > 0 ? `, p50 ${number(median(p50))}` : uncached.length > 0 ? `, uncached ${number(median(uncached))}` : ""
    return `${number(of(peer))}${more}${spread(values(peer))}`
  }
  const { goal, ratio, met } = judge(one, of("effectmq"), of("mosquitto"))
  const nagle = judge(one, of("effectmq"), of("mosquitto-nagle")).ratio
  const cores = (peer) => {
    const runs = (results[peer] ?? []).filter((run) => run.brokerCpu !== undefined)
    if (runs.length === 0) return ""
    return `${median(runs.map((run) => run.brokerCpu)).toFixed(2)}/${median(runs.map((run) => run.generatorCpu)).toFixed(2)}`
  }
  return {
    case: name,
    what: one.title,
    unit: one.unit,
    EffectMQ: cell("effectmq"),
    Mosquitto: cell("mosquitto"),
    "Mosquitto, Nagle": cell("mosquitto-nagle"),
    aedes: cell("aedes"),
    ratio,
    "ratio, Nagle": nagle,
    goal,
    met: met === "" ? "" : met ? "yes" : "no",
    "CPU broker/generator": ["effectmq", "mosquitto", "aedes"].map(cores).join(" ").trim()
  }
}

const line = (cells) => `| ${cells.join(" | ")} |`

export const table = (rows) => {
  const columns = Object.keys(rows[0])
  return [line(columns), line(columns.map(() => "---")), ...rows.map((row) => line(columns.map((column) => row[column])))].join(
    "\n"
  )
}

/** Puts the rows into the page; `about` is their date, runs and versions. */
export const writePage = (path, rows, about, section = "results") => {
  const [begin, end] = [beginOf(section), endOf(section)]
  if (!existsSync(path)) throw new Error(`${path} is missing`)
  const page = readFileSync(path, "utf8")
  const [head, rest] = page.split(begin)
  const [kept, tail] = rest.split(end)
  const stamped = rows.map((row) => ({ ...row, measured: about }))
  const old = kept
    .split("\n")
    .filter((text) => text.startsWith("| ") && !text.startsWith("| case ") && !text.startsWith("| ---"))
    .map((text) => [text.split(" | ")[0].slice(2), text])
  const texts = new Map(old)
  for (const row of stamped) texts.set(row.case, line(Object.values(row)))
  const columns = Object.keys(stamped[0])
  const all = [line(columns), line(columns.map(() => "---")), ...texts.values()].join("\n")
  writeFileSync(path, `${head}${begin}\n\n${all}\n\n${end}${tail}`)
}
