/**
 * Keys of alarms: above which figures an operator is told.
 */
import { integer } from "./Key.js"

export const alarmKeys = {
  "alarms.memoryPercent": integer({
    fallback: 80,
    min: 1,
    max: 100,
    unit: "percent",
    doc: "Resident memory of the broker, as a share of the machine's or its container's, above which there is an alarm."
  }),
  "alarms.eventLoopDelayMs": integer({
    fallback: 200,
    min: 1,
    max: 60_000,
    unit: "ms",
    doc: "Delay of the event loop (99th percentile of ten seconds) above which there is an alarm."
  }),
  "alarms.walSyncMs": integer({
    fallback: 250,
    min: 1,
    max: 60_000,
    unit: "ms",
    doc: "Mean time of a sync of the write-ahead log above which there is an alarm."
  }),
  "alarms.nearLimitPercent": integer({
    fallback: 90,
    min: 1,
    max: 100,
    unit: "percent",
    doc: "Share of a limit (connections, persistent sessions, number or bytes of retained or delayed messages) above which there is an alarm."
  })
}
