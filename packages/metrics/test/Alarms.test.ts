import * as Alarms from "@effectmq/metrics/Alarms"
import * as Meters from "@effectmq/metrics/PrometheusMeters"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"

const layer = Alarms.layer({ intervalMs: 1000 }).pipe(Layer.provideMerge(Meters.layerMemory))

describe("Alarms", () => {
  it.scoped("a threshold raises above its high mark and clears only below its low mark", () =>
    Effect.gen(function* () {
      const alarms = yield* Alarms.Alarms
      let value = 0
      const seen: Array<string> = []
      alarms.onChange((alarm) => seen.push(alarm.clearedAtMs === undefined ? "raised" : "cleared"))
      yield* alarms.watch(
        Alarms.thresholdRule({ name: "memory", read: () => value, high: 90, low: 70, describe: (value) => `${value} %` })
      )
      for (const next of [50, 95, 80, 92, 60]) {
        value = next
        yield* TestClock.adjust("1 seconds")
      }
      expect(seen).toEqual(["raised", "cleared"])
      expect(alarms.active()).toEqual([])
      expect(alarms.history()).toMatchObject([{ name: "memory", message: "92 %" }])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("raising again changes the words, not the alarm", () =>
    Effect.gen(function* () {
      const alarms = yield* Alarms.Alarms
      yield* alarms.raise("storage", "no space")
      yield* alarms.raise("storage", "still no space")
      expect(alarms.active()).toMatchObject([{ name: "storage", message: "still no space" }])
      yield* alarms.clear("storage")
      yield* alarms.clear("storage")
      expect(alarms.history()).toHaveLength(1)
    }).pipe(Effect.provide(layer))
  )
})
