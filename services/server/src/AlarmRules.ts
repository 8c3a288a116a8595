/**
 * What this node raises alarms for. Each clears at a lower mark than it raises at: a figure that wavers does not flap.
 *
 * | alarm | holds while |
 * | --- | --- |
 * | `storage-takes-no-writes` | an engine is fenced or full |
 * | `storage-slow` | a sync of the write-ahead log takes long |
 * | `event-loop-slow` | the process is too busy to answer in time |
 * | `memory-high` | resident memory is a large share of the machine's |
 * | `connections-near-limit` | connections come near `limits.connectionsMax` |
 * | `sessions-near-limit` | a tenant's persistent sessions come near `mqtt.session.persistentMax` |
 * | `retained-near-limit`, `delayed-near-limit` | a tenant's retained or delayed messages come near their limit in number |
 * | `retained-bytes-near-limit`, `delayed-bytes-near-limit` | the same in bytes |
 */
import { totalmem } from "node:os"
import { Messaging } from "@effectmq/messaging/Messaging"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import { type AlarmRule, Alarms, thresholdRule } from "@effectmq/metrics/Alarms"
import { type HistogramSummary, Meters } from "@effectmq/metrics/Meters"
import { ConnectionLimits } from "@effectmq/network/ConnectionLimits"
import type { Live } from "@effectmq/schemas/config/Live"
import type { Settings } from "@effectmq/schemas/config/Settings"
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Sessions } from "./admin/Sessions.js"

/** Where the rules read; all of it is in memory. */
export interface AlarmSources {
  storageError(): StorageError | undefined
  connections(): number
  /** Of the tenant that has most. */
  persistentSessions(): number
  retainedMessages(): number
  retainedBytes(): number
  delayedMessages(): number
  delayedBytes(): number
  residentBytes(): number
  readonly machineBytes: number
  /** 99th percentile over the window that ended last; undefined where it is not measured. */
  eventLoopDelaySeconds(): number | undefined
  /** Count and sum of all syncs since start. */
  walSyncs(): HistogramSummary
}

/** What has been raised clears below this share of the mark it was raised at. */
const clearAt = 0.85

const noSyncs: HistogramSummary = { count: 0, sum: 0 }

const percent = (part: number, whole: number): number => Math.round((100 * part) / whole)
const milliseconds = (seconds: number): number => Math.round(seconds * 1000)

export const alarmRules = (live: Live<Settings>, sources: AlarmSources): ReadonlyArray<AlarmRule> => {
  const setting = (key: AlarmKey | LimitKey): number => live.current[key]
  const above = (name: string, high: () => number, read: () => number, describe: (value: number) => string): AlarmRule => ({
    name,
    check: (raised) => thresholdRule({ name, read, high: high(), low: clearAt * high(), describe }).check(raised)
  })
  const nearLimit = (name: string, key: LimitKey, what: string, read: () => number) =>
    above(
      name,
      () => (setting("alarms.nearLimitPercent") / 100) * setting(key),
      read,
      (count) => `${count} ${what}, ${percent(count, setting(key))} % of ${key}`
    )
  let syncsBefore = sources.walSyncs()
  /** Over the syncs since the last look. */
  const meanSyncSeconds = () => {
    const syncs = sources.walSyncs()
    const count = syncs.count - syncsBefore.count
    const seconds = syncs.sum - syncsBefore.sum
    syncsBefore = syncs
    return count <= 0 ? 0 : seconds / count
  }
  return [
    {
      name: "storage-takes-no-writes",
      check: () => {
        const error = sources.storageError()
        return error === undefined ? undefined : `storage takes no writes (${error.reason}): ${error.message}`
      }
    },
    above(
      "storage-slow",
      () => setting("alarms.walSyncMs") / 1000,
      meanSyncSeconds,
      (seconds) => `a sync of the write-ahead log takes ${milliseconds(seconds)} ms`
    ),
    above(
      "event-loop-slow",
      () => setting("alarms.eventLoopDelayMs") / 1000,
      () => sources.eventLoopDelaySeconds() ?? 0,
      (seconds) => `the event loop is ${milliseconds(seconds)} ms late`
    ),
    above(
      "memory-high",
      () => (setting("alarms.memoryPercent") / 100) * sources.machineBytes,
      sources.residentBytes,
      (bytes) => `${Math.round(bytes / 1024 / 1024)} MiB of memory, ${percent(bytes, sources.machineBytes)} % of the machine's`
    ),
    nearLimit("connections-near-limit", "limits.connectionsMax", "connections", sources.connections),
    nearLimit("sessions-near-limit", "mqtt.session.persistentMax", "persistent sessions", sources.persistentSessions),
    nearLimit("retained-near-limit", "mqtt.retained.messagesMax", "retained messages", sources.retainedMessages),
    nearLimit("retained-bytes-near-limit", "mqtt.retained.bytesMax", "bytes of retained messages", sources.retainedBytes),
    nearLimit("delayed-near-limit", "mqtt.delayed.countMax", "delayed messages", sources.delayedMessages),
    nearLimit("delayed-bytes-near-limit", "mqtt.delayed.bytesMax", "bytes of delayed messages", sources.delayedBytes)
  ]
}

type AlarmKey = "alarms.memoryPercent" | "alarms.eventLoopDelayMs" | "alarms.walSyncMs" | "alarms.nearLimitPercent"

type LimitKey =
  | "limits.connectionsMax"
  | "mqtt.session.persistentMax"
  | "mqtt.retained.messagesMax"
  | "mqtt.retained.bytesMax"
  | "mqtt.delayed.countMax"
  | "mqtt.delayed.bytesMax"

/** What this process may use: a container's limit where there is one. */
const machineBytes = (): number => {
  const limit = process.constrainedMemory?.() ?? 0
  const total = totalmem()
  return limit > 0 && limit < total ? limit : total
}

export const layer = (
  live: Live<Settings>
): Layer.Layer<never, never, Alarms | ConnectionLimits | Messaging | Meters | Sessions | ShardEngines> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const alarms = yield* Alarms
      const limits = yield* ConnectionLimits
      const engines = yield* ShardEngines
      const messaging = yield* Messaging
      const meters = yield* Meters
      const sessions = yield* Sessions
      const largest = (of: (space: TenantSpace) => number) =>
        messaging.spaces().reduce((most, space) => Math.max(most, of(space)), 0)
      const rules = alarmRules(live, {
        storageError: () => engines.all.map((engine) => engine.fenced()).find((error) => error !== undefined),
        connections: () => limits.connections(),
        persistentSessions: () => largest((space) => sessions.ofTenant(space.tenant)?.persistentCount ?? 0),
        retainedMessages: () => largest((space) => space.retained.count),
        retainedBytes: () => largest((space) => space.retained.bytes),
        delayedMessages: () => largest((space) => space.delayed.count),
        delayedBytes: () => largest((space) => space.delayed.bytes),
        residentBytes: () => process.memoryUsage.rss(),
        machineBytes: machineBytes(),
        eventLoopDelaySeconds: () => meters.value("effectmq_event_loop_delay_seconds", { statistic: "p99" }),
        walSyncs: () => meters.summary("effectmq_wal_sync_seconds") ?? noSyncs
      })
      yield* Effect.forEach(rules, (rule) => alarms.watch(rule), { discard: true })
    })
  )
