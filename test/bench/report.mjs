/**
 * Figures as text: the table on the terminal, and the rows of docs/benchmarks.md, where a row is replaced by a newer one of the
 * same case.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"

const beginOf = (section) => `<!-- ${section}: begin -->`
const endOf = (section) => `<!-- ${section}: end -->`

/** Columns, in their order. */
const peerNames = {
  effectmq: "EffectMQ",
  mosquitto: "Mosquitto",
  "mosquitto-nodelay": "Mosquitto, no delay",
  aedes: "aedes"
}

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

/** Ours over theirs, and whether that is enough. */
const compare = (one, ours, theirs) => {
  if (ours === undefined || theirs === undefined) return undefined
  const ratio = ours / theirs
  return { ratio, met: one.higherIsBetter ? ratio >= one.must.factor : ratio <= one.must.factor }
}

/** The goal, and whether it is met: beside Mosquitto, that is beside each way of running it. */
const judge = (one, ours, comparisons) => {
  if (one.must.bound !== undefined) {
    return { goal: `${one.must.bound} ${one.unit} or less`, met: ours === undefined ? undefined : ours <= one.must.bound }
  }
  const goal = one.higherIsBetter ? `${one.must.factor} times Mosquitto` : "no worse than Mosquitto"
  const known = comparisons.filter((comparison) => comparison !== undefined)
  return { goal, met: known.length === 0 ? undefined : known.every(({ met }) => met) }
}

/** One row per case: cells by column name. `results` maps peer name to its runs. */
export const rowOf = (name, one, results) => {
  const medianOf = (peer, key) => {
    const values = (results[peer] ?? []).map((run) => run[key]).filter((value) => value !== undefined)
    return values.length === 0 ? undefined : median(values)
  }
  const of = (peer) => medianOf(peer, "value")
  const cell = (peer) => {
    if (results[peer] === undefined) return ""
    if (of(peer) === undefined) return "did not work"
    const more = ["p50", "uncached"].filter((key) => medianOf(peer, key) !== undefined)
    const moreText = more.map((key) => `, ${key} ${number(medianOf(peer, key))}`).join("")
    return `${number(of(peer))}${moreText}${spread(results[peer].map((run) => run.value))}`
  }
  const beside = ["mosquitto", "mosquitto-nodelay"].map((peer) => compare(one, of("effectmq"), of(peer)))
  const [ratio, ratioNoDelay] = beside.map((comparison) => (comparison === undefined ? "" : `${comparison.ratio.toFixed(2)}x`))
  const { goal, met } = judge(one, of("effectmq"), one.must.bound === undefined ? beside : [])
  const cores = Object.entries(peerNames).map(([peer, peerName]) => {
    const broker = medianOf(peer, "brokerCpu")
    return broker === undefined ? "" : `${peerName} ${broker.toFixed(2)}/${medianOf(peer, "generatorCpu").toFixed(2)}`
  })
  return {
    case: name,
    what: one.title,
    unit: one.unit,
    ...Object.fromEntries(Object.entries(peerNames).map(([peer, peerName]) => [peerName, cell(peer)])),
    ratio: one.must.bound === undefined ? ratio : "",
    "ratio, no delay": one.must.bound === undefined ? ratioNoDelay : "",
    goal,
    met: met === undefined ? "" : met ? "yes" : "no",
    "cores used by broker/generator": cores.filter((text) => text !== "").join(", ")
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
