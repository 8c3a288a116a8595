/**
 * What `/metrics` gives, what the documentation says of it and what the dashboard shows are one list.
 */
import { MetricsExporter } from "@effectmq/metrics/MetricsExporter"
import { resolve } from "@effectmq/schemas/config/Settings"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Server from "../src/Server.js"
import * as ServerSettings from "../src/ServerSettings.js"

const root = fileURLToPath(new URL("../../../", import.meta.url))
const page = readFileSync(`${root}docs/operations/metrics.md`, "utf8")

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat?: string }>
}

const panels: ReadonlyArray<Panel> = JSON.parse(readFileSync(`${root}docs/operations/grafana-dashboard.json`, "utf8")).panels
const targets = panels.flatMap((panel) => panel.targets ?? [])
const expressions = targets.map((target) => target.expr)

const namesIn = (text: string) => [...text.matchAll(/effectmq_[a-z0-9_]+/g)].map((match) => match[0])

interface Metric {
  readonly type: string
  readonly help: string
  readonly labels: ReadonlySet<string>
}

/** Of a node of a cluster with all features on, so that nothing is left out. */
const metricsOfNode = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effectmq-metrics-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const settings = resolve({
    flags: [
      `data.dir=${directory}`,
      "mqtt.tcp.port=0",
      "mqtt.flapping.enabled=true",
      "mqtt.ws.port=0",
      "admin.http.port=0",
      "cluster.rpc.port=0",
      "cluster.nodes=1@127.0.0.1:7000",
      "cluster.secret=a secret that is long enough"
    ]
  })
  const exporter = yield* Effect.provide(MetricsExporter, Server.layer(ServerSettings.make(Either.getOrThrow(settings))))
  return metricsOf(yield* exporter.scrape())
}).pipe(Effect.scoped)

const metricsOf = (text: string): ReadonlyMap<string, Metric> => {
  const metrics = new Map<string, { type: string; help: string; labels: Set<string> }>()
  const known = (name: string) => {
    const metric = metrics.get(name) ?? { type: "", help: "", labels: new Set<string>() }
    metrics.set(name, metric)
    return metric
  }
  for (const line of text.split("\n")) {
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (kind === "HELP") known(name as string).help = rest as string
    else if (kind === "TYPE") known(name as string).type = rest as string
    else if (line !== "") {
      const [, sample, labels] = /^([a-z0-9_]+)(?:\{(.*)\})? /.exec(line) ?? []
      const owner = metrics.has(sample as string) ? (sample as string) : (sample as string).replace(/_(bucket|sum|count)$/, "")
      for (const [, label] of (labels ?? "").matchAll(/([a-z_]+)="/g))
        if (label !== "le") known(owner).labels.add(label as string)
    }
  }
  return metrics
}

const row = ([name, { type, help, labels }]: readonly [string, Metric]) =>
  `| \`${name}\` | ${type} | ${[...labels]
    .sort()
    .map((label) => `\`${label}\``)
    .join(", ")} | ${help.replace(/\.$/, "")} |`

it.scoped("the documentation lists every metric, and the dashboard shows none that does not exist", () =>
  Effect.gen(function* () {
    const metrics = yield* metricsOfNode
    expect(
      page
        .split("\n")
        .filter((line) => line.startsWith("| `effectmq_"))
        .sort()
    ).toEqual([...metrics].map(row).sort())
    const exists = (name: string) =>
      metrics.has(name) || metrics.get(name.replace(/_(bucket|sum|count)$/, ""))?.type === "histogram"
    expect(new Set(namesIn(expressions.join())).size).toBeGreaterThan(40)
    expect(namesIn(expressions.join()).filter((name) => !exists(name))).toEqual([])
    // A metric has the labels that it is summed by, and a series those that its legend names.
    const lacking = targets.filter(({ expr, legendFormat = "" }) => {
      const summedBy = (/\bby \(([a-z_, ]+)\)/.exec(expr)?.[1] ?? "").split(", ").filter((label) => label !== "")
      const named = [...legendFormat.matchAll(/\{\{([a-z_]+)\}\}/g)].map((match) => match[1] as string)
      const own = namesIn(expr).flatMap((name) => [
        ...(metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, "")))!.labels
      ])
      const labels = [...own, "instance", ...(expr.includes("_bucket") ? ["le"] : [])]
      const shown = /\bsum\b|\bmin\b/.test(expr) ? summedBy : labels
      return summedBy.some((label) => !labels.includes(label)) || named.some((label) => !shown.includes(label))
    })
    expect(lacking).toEqual([])
  })
)

it("counters are shown as rates, and every panel shows something of the chosen nodes", () => {
  const counters = (expression: string) => namesIn(expression).filter((name) => name.endsWith("_total"))
  expect(expressions.filter((expression) => counters(expression).length > 0 && !expression.includes("rate("))).toEqual([])
  expect(expressions.filter((expression) => !expression.includes('{instance=~"$instance"}'))).toEqual([])
  expect(panels.filter((panel) => panel.type !== "row" && (panel.targets ?? []).length === 0)).toEqual([])
  expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length)
})
