/**
 * What the process itself uses: memory, CPU time, garbage collection and event-loop delay.
 *
 * Event-loop delay is reported over the window that ended last (so that any number of readers see the same), sampled by
 * Node's own histogram. Everything is read from the runtime at scrape; nothing here runs per message.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import { memoryUsage, resourceUsage, uptime } from "node:process"
import { Meters } from "./Meters.js"

export interface ProcessMetersOptions {
  /** How long one window of event-loop delay lasts; default 10 s. */
  readonly windowMs?: number
  /** Resolution of the event-loop sampler; default 10 ms. */
  readonly resolutionMs?: number
}

const windowMsDefault = 10_000
const resolutionMsDefault = 10
const nanosecondsPerSecond = 1e9

const collectorByKind: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weak-callbacks"]
])

interface DelayWindow {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export const layer = (options: ProcessMetersOptions = {}): Layer.Layer<never, never, Meters> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const meters = yield* Meters
      meters.gauge("effectmq_process_resident_memory_bytes", "Resident memory of the process.", () => memoryUsage.rss())
      meters.gauge("effectmq_process_heap_used_bytes", "JavaScript heap in use.", () => memoryUsage().heapUsed)
      meters.gauge("effectmq_process_external_memory_bytes", "Memory outside of the heap: buffers.", () => memoryUsage().external)
      meters.observableCounter("effectmq_process_cpu_seconds_total", "User and system CPU time of the process.", () => {
        const used = resourceUsage()
        return (used.userCPUTime + used.systemCPUTime) / 1e6
      })
      meters.gauge("effectmq_process_uptime_seconds", "Time since the start of the process.", () => uptime())
      yield* eventLoopDelay(options)
      yield* garbageCollection
    })
  )

const eventLoopDelay = (options: ProcessMetersOptions) =>
  Effect.gen(function* () {
    const meters = yield* Meters
    const delay = monitorEventLoopDelay({ resolution: options.resolutionMs ?? resolutionMsDefault })
    const current = (): DelayWindow =>
      delay.count === 0
        ? { p50: 0, p99: 0, max: 0 }
        : {
            p50: delay.percentile(50) / nanosecondsPerSecond,
            p99: delay.percentile(99) / nanosecondsPerSecond,
            max: delay.max / nanosecondsPerSecond
          }
    let lastWindow: DelayWindow | undefined
    delay.enable()
    yield* Effect.addFinalizer(() => Effect.sync(() => delay.disable()))
    yield* Effect.sync(() => {
      lastWindow = current()
      delay.reset()
    }).pipe(Effect.delay(options.windowMs ?? windowMsDefault), Effect.forever, Effect.forkScoped)
    const name = "effectmq_event_loop_delay_seconds"
    const help = "Delay of the event loop over the last window, with the sampler's resolution included."
    meters.gauge(name, help, () => (lastWindow ?? current()).p50, { statistic: "p50" })
    meters.gauge(name, help, () => (lastWindow ?? current()).p99, { statistic: "p99" })
    meters.gauge(name, help, () => (lastWindow ?? current()).max, { statistic: "max" })
  })

const garbageCollection = Effect.gen(function* () {
  const meters = yield* Meters
  const pauses = new Map(
    [...collectorByKind].map(([kind, collector]) => [
      kind,
      meters.histogram(
        "effectmq_garbage_collection_pause_seconds",
        "Pauses for garbage collection.",
        [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
        { collector }
      )
    ])
  )
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const observer = new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
          const kind = (entry as unknown as { readonly detail?: { readonly kind?: number } }).detail?.kind
          if (kind !== undefined) pauses.get(kind)?.observe(entry.duration / 1000)
        }
      })
      observer.observe({ entryTypes: ["gc"] })
      return observer
    }),
    (observer) => Effect.sync(() => observer.disconnect())
  )
})
