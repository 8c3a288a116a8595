/**
 * `/metrics`: every meter in the text format of Prometheus.
 */
import { MetricsExporter } from "@effectmq/metrics/MetricsExporter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"

export const router = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/metrics",
    Effect.flatMap(MetricsExporter, (exporter) =>
      Effect.map(exporter.scrape(), (text) => HttpServerResponse.text(text, { contentType: exporter.contentType }))
    )
  )
)
