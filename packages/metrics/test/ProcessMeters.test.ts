import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Meters } from "../src/Meters.js"
import * as ProcessMeters from "../src/ProcessMeters.js"
import * as PrometheusMeters from "../src/PrometheusMeters.js"

it.live("ProcessMeters reads the process", () =>
  Effect.gen(function* () {
    const meters = yield* Meters
    const value = (name: string) => meters.snapshot().get(name) ?? Number.NaN
    expect(value("effectmq_process_resident_memory_bytes")).toBeGreaterThan(1e6)
    expect(value("effectmq_process_heap_used_bytes")).toBeGreaterThan(1e5)
    expect(value("effectmq_process_cpu_seconds_total")).toBeGreaterThan(0)
    const delay = 'effectmq_event_loop_delay_seconds{statistic="max"}'
    yield* Effect.sleep(2).pipe(Effect.repeat({ until: () => value(delay) > 0 }))
    expect(value('effectmq_event_loop_delay_seconds{statistic="p50"}')).toBeLessThanOrEqual(value(delay))
    const collections = () =>
      [...meters.snapshot()].reduce((sum, [name, count]) => (name.includes("pause_seconds_count") ? sum + count : sum), 0)
    yield* Effect.sync(() => Array.from({ length: 100_000 }, (_, i) => ({ i }))).pipe(
      Effect.zipRight(Effect.sleep(1)),
      Effect.repeat({ until: () => collections() > 0 })
    )
  }).pipe(
    Effect.provide(ProcessMeters.layer({ windowMs: 20, resolutionMs: 1 }).pipe(Layer.provideMerge(PrometheusMeters.layerMemory)))
  )
)
