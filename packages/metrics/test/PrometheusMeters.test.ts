import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "fast-check"
import { BucketHistogram, MeterTable } from "../src/core/MeterTable.js"
import { Meters } from "../src/Meters.js"
import { MetricsExporter } from "../src/MetricsExporter.js"
import * as PrometheusMeters from "../src/PrometheusMeters.js"

describe("PrometheusMeters", () => {
  it.effect("scrapes the values of the moment", () =>
    Effect.gen(function* () {
      const meters = yield* Meters
      const exporter = yield* MetricsExporter
      const received = meters.counter("effectmq_packets_received_total", "Packets received.", { type: "publish" })
      let sessions = 1
      meters.gauge("effectmq_sessions", "Sessions.", () => sessions)
      const latency = meters.histogram("effectmq_append_seconds", "Time of an append.", [0.1, 1])
      received.value += 3
      sessions = 7
      latency.observe(0.1)
      latency.observe(0.5)
      latency.observe(20)
      expect(exporter.contentType).toContain("text/plain")
      expect((yield* exporter.scrape()).split("\n").filter((line) => line !== "")).toEqual([
        "# HELP effectmq_packets_received_total Packets received.",
        "# TYPE effectmq_packets_received_total counter",
        'effectmq_packets_received_total{type="publish"} 3',
        "# HELP effectmq_sessions Sessions.",
        "# TYPE effectmq_sessions gauge",
        "effectmq_sessions 7",
        "# HELP effectmq_append_seconds Time of an append.",
        "# TYPE effectmq_append_seconds histogram",
        'effectmq_append_seconds_bucket{le="0.1"} 1',
        'effectmq_append_seconds_bucket{le="1"} 2',
        'effectmq_append_seconds_bucket{le="+Inf"} 3',
        "effectmq_append_seconds_sum 20.6",
        "effectmq_append_seconds_count 3"
      ])
      received.value += 1
      expect(yield* exporter.scrape()).toContain('effectmq_packets_received_total{type="publish"} 4')
    }).pipe(Effect.provide(PrometheusMeters.layer()))
  )

  it.effect("adds default labels and escapes values", () =>
    Effect.gen(function* () {
      const meters = yield* Meters
      const exporter = yield* MetricsExporter
      meters.counter("effectmq_errors_total", "Errors.", { reason: 'a"b\\c\nd' }).value += 1
      expect(yield* exporter.scrape()).toContain('effectmq_errors_total{reason="a\\"b\\\\c\\nd",node="1"} 1')
    }).pipe(Effect.provide(PrometheusMeters.layer({ defaultLabels: { node: "1" } })))
  )

  it.effect("one broken reader does not hide the other values", () =>
    Effect.gen(function* () {
      const meters = yield* Meters
      const exporter = yield* MetricsExporter
      meters.gauge("effectmq_broken", "Broken.", () => {
        throw new Error("broken")
      })
      meters.gauge("effectmq_whole", "Whole.", () => 1)
      const text = yield* exporter.scrape()
      expect(text).toContain("effectmq_broken Nan")
      expect(text).toContain("effectmq_whole 1")
    }).pipe(Effect.provide(PrometheusMeters.layer()))
  )

  it.effect("each layer has its own values", () =>
    Effect.gen(function* () {
      const build = Effect.map(Meters, (meters) => meters.counter("effectmq_a_total", "A.")).pipe(
        Effect.provide(PrometheusMeters.layer())
      )
      expect(yield* build).not.toBe(yield* build)
    })
  )

  it.effect("layerMemory gives a snapshot", () =>
    Effect.gen(function* () {
      const meters = yield* Meters
      meters.counter("effectmq_a_total", "A.", { x: "1", b: "2" }).value = 5
      meters.counter("effectmq_a_total", "A.", { b: "2", x: "1" }).value += 1
      meters.gauge("effectmq_g", "G.", () => 2)
      meters.gauge("effectmq_g", "G.", () => 3)
      meters.histogram("effectmq_h_seconds", "H.", [1, 2]).observe(1.5)
      expect(Object.fromEntries(meters.snapshot())).toEqual({
        'effectmq_a_total{b="2",x="1"}': 6,
        effectmq_g: 3,
        effectmq_h_seconds_count: 1,
        effectmq_h_seconds_sum: 1.5
      })
      expect(meters.value("effectmq_a_total", { x: "1", b: "2" })).toBe(6)
      expect(meters.value("effectmq_g")).toBe(3)
      expect(meters.summary("effectmq_h_seconds")).toEqual({ count: 1, sum: 1.5 })
      expect([meters.value("effectmq_h_seconds"), meters.summary("effectmq_g"), meters.value("effectmq_none")]).toEqual([
        undefined,
        undefined,
        undefined
      ])
    }).pipe(Effect.provide(PrometheusMeters.layerMemory))
  )
})

describe("MeterTable", () => {
  it("refuses what is a bug of the caller", () => {
    const table = new MeterTable()
    table.counter("effectmq_a_total", "A.", { x: "1" })
    table.histogram("effectmq_h_seconds", "H.", [1])
    expect(() => table.counter("effectmq_a", "A.")).toThrow("_total")
    expect(() => table.gauge("effectmq_a_total", "A.", () => 0)).toThrow("counter")
    expect(() => table.counter("effectmq_h_seconds_total", "", {})).toThrow("help")
    expect(() => table.gauge("effectmq_h_seconds", "H.", () => 0)).toThrow("histogram")
    expect(() => table.counter("effectmq_a_total", "A.", { y: "1" })).toThrow("labels")
    expect(() => table.counter("other_total", "A.")).toThrow("effectmq_")
    expect(() => table.gauge("effectmq_b", "B.", () => 0, { le: "1" })).toThrow("label name")
    expect(() => table.histogram("effectmq_h_seconds", "H.", [2])).toThrow("buckets")
    expect(() => table.histogram("effectmq_i_seconds", "I.", [])).toThrow("buckets")
    expect(() => table.histogram("effectmq_i_seconds", "I.", [2, 1])).toThrow("ascend")
  })

  it("bounds the series of a name, and not the use of those that exist", () => {
    const table = new MeterTable(3)
    for (const client of ["a", "b", "c"]) table.counter("effectmq_a_total", "A.", { client })
    expect(() => table.counter("effectmq_a_total", "A.", { client: "d" })).toThrow("more than 3 series")
    table.counter("effectmq_a_total", "A.", { client: "c" }).value += 1
    table.counter("effectmq_b_total", "B.", { client: "d" })
  })

  it("a histogram counts like a filter over the values", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.uniqueArray(FastCheck.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 10 }),
        FastCheck.array(FastCheck.integer({ min: -60, max: 60 }), { maxLength: 50 }),
        (boundsUnsorted, values) => {
          const bounds = [...boundsUnsorted].sort((a, b) => a - b)
          const histogram = new BucketHistogram(bounds)
          for (const value of values) histogram.observe(value)
          let upTo = 0
          bounds.forEach((bound, i) => {
            upTo += histogram.counts[i] as number
            expect(upTo).toBe(values.filter((value) => value <= bound).length)
          })
          expect(histogram.count).toBe(values.length)
          expect(histogram.sum).toBe(values.reduce((a, b) => a + b, 0))
        }
      )
    )
  })
})
