/**
 * Spans to an OpenTelemetry collector, as JSON over HTTP. Off unless a URL is given.
 *
 * Spans stand around connections, batches and commands, never around messages. What cannot be delivered is dropped: a
 * collector that is away never slows the broker.
 */
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as Layer from "effect/Layer"

export interface TracingOptions {
  /** For instance `http://localhost:4318/v1/traces`. */
  readonly url: string
  /** Default `effectmq`. */
  readonly serviceName?: string
  readonly serviceVersion?: string
  /** At most so many spans in one request; default 1000. */
  readonly batchSizeMax?: number
  /** Time between requests; default 5000. */
  readonly exportIntervalMs?: number
}

/** No tracing at all: the default. */
export const layerOff: Layer.Layer<never> = Layer.empty

/** Traces what runs within this Layer's composition; needs an `HttpClient`. */
export const layer = (options: TracingOptions) =>
  OtlpTracer.layer({
    url: options.url,
    resource: { serviceName: options.serviceName ?? "effectmq", serviceVersion: options.serviceVersion },
    maxBatchSize: options.batchSizeMax ?? 1000,
    exportInterval: options.exportIntervalMs ?? 5000
  }).pipe(Layer.provide(OtlpSerialization.layerJson))
