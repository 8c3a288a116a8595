/**
 * The port that writes every current value for a collector. Adapter: `PrometheusMeters.layer`.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export interface MetricsExporterService {
  /** Value of the Content-Type header that goes with `scrape`. */
  readonly contentType: string
  /** Every current value, as text in the exposition format. Gauges are read now. */
  readonly scrape: () => Effect.Effect<string>
}

export class MetricsExporter extends Context.Tag("@effectmq/metrics/MetricsExporter")<
  MetricsExporter,
  MetricsExporterService
>() {}
