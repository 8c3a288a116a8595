/**
 * Meters that a Prometheus server can scrape; and meters for tests.
 *
 * The registry is prom-client's, with one collector object per family that reads our plain numbers when it is scraped: hot
 * code never calls prom-client. Each Layer has a registry of its own, so that two brokers in one process do not share values.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PromClient from "prom-client"
import { type Family, MeterTable, readNow, seriesPerNameMaxDefault } from "./core/MeterTable.js"
import { Meters } from "./Meters.js"
import { MetricsExporter } from "./MetricsExporter.js"

export interface PrometheusMetersOptions {
  /** At most so many series (label combinations) per name; one more is a bug and throws. */
  readonly seriesPerNameMax?: number
  /** Labels added to every value at scrape, for instance the node's number. */
  readonly defaultLabels?: Readonly<Record<string, string>>
}

interface CollectedValue {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What prom-client's registry asks of a metric when it is scraped. */
interface CollectedFamily {
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge" | "histogram"
  readonly aggregator: "sum"
  readonly values: ReadonlyArray<CollectedValue>
}

const collectValues = (family: Family): ReadonlyArray<CollectedValue> => {
  const values: Array<CollectedValue> = []
  for (const series of family.seriesByLabels.values()) {
    switch (series.kind) {
      case "counter":
        values.push({ labels: series.labels, value: series.counter.value })
        break
      case "observable counter":
      case "gauge":
        values.push({ labels: series.labels, value: readNow(series) })
        break
      case "histogram": {
        const { bounds, count, counts, sum } = series.histogram
        const bucketName = `${family.name}_bucket`
        let upTo = 0
        for (let i = 0; i < bounds.length; i++) {
          upTo += counts[i] as number
          values.push({ metricName: bucketName, labels: { le: String(bounds[i]), ...series.labels }, value: upTo })
        }
        values.push({ metricName: bucketName, labels: { le: "+Inf", ...series.labels }, value: count })
        values.push({ metricName: `${family.name}_sum`, labels: series.labels, value: sum })
        values.push({ metricName: `${family.name}_count`, labels: series.labels, value: count })
      }
    }
  }
  return values
}

class FamilyCollector {
  constructor(private readonly family: Family) {}

  get name(): string {
    return this.family.name
  }

  get(): Promise<CollectedFamily> {
    const { help, kind, name } = this.family
    return Promise.resolve({
      name,
      help,
      type: kind === "observable counter" ? "counter" : kind,
      aggregator: "sum",
      values: collectValues(this.family)
    })
  }
}

/** Meters with an exporter in the text format of Prometheus. */
export const layer = (options: PrometheusMetersOptions = {}): Layer.Layer<Meters | MetricsExporter> =>
  Layer.effectContext(
    Effect.sync(() => {
      const registry = new PromClient.Registry()
      if (options.defaultLabels !== undefined) registry.setDefaultLabels(options.defaultLabels)
      const table = new MeterTable(options.seriesPerNameMax ?? seriesPerNameMaxDefault, (family) => {
        // The registry needs only `name` and `get()`; its type wants one of its own classes.
        registry.registerMetric(new FamilyCollector(family) as unknown as PromClient.Metric)
      })
      return Context.make(Meters, table).pipe(
        Context.add(MetricsExporter, {
          contentType: registry.contentType,
          scrape: () => Effect.promise(() => registry.metrics())
        })
      )
    })
  )

/** Meters without an exporter, for tests: values are read with `snapshot()`. Checks names and bounds as `layer` does. */
export const layerMemory: Layer.Layer<Meters> = Layer.sync(Meters, () => new MeterTable())
