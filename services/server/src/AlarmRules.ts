/**
 * What this node raises alarms for. Limits are taken with room to clear: a figure that wavers does not flap.
 */
import { Alarms, thresholdRule } from "@effectmq/metrics/Alarms"
import { ConnectionLimits } from "@effectmq/network/ConnectionLimits"
import type { Settings } from "@effectmq/schemas/config/Settings"
import type { StorageError } from "@effectmq/storage/StorageError"
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const percent = (part: number, whole: number): number => Math.round((100 * part) / whole)

const describeStorage = (error: StorageError): string => `storage takes no writes (${error.reason}): ${error.message}`

export const layer = (settings: Settings): Layer.Layer<never, never, Alarms | ConnectionLimits | ShardEngines> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const alarms = yield* Alarms
      const limits = yield* ConnectionLimits
      const engines = yield* ShardEngines
      const connectionsMax = settings["limits.connectionsMax"]
      yield* alarms.watch({
        name: "storage-takes-no-writes",
        check: () => {
          const error = engines.all.map((engine) => engine.fenced()).find((each) => each !== undefined)
          return error === undefined ? undefined : describeStorage(error)
        }
      })
      yield* alarms.watch(
        thresholdRule({
          name: "connections-near-limit",
          read: () => limits.connections(),
          high: 0.9 * connectionsMax,
          low: 0.8 * connectionsMax,
          describe: (count) => `${count} connections, ${percent(count, connectionsMax)} % of limits.connectionsMax`
        })
      )
    })
  )
