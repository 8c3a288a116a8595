/**
 * How long a node waits for the others, as its settings say.
 */
import type { Settings } from "@effectmq/schemas/config/Settings"

export const times = (settings: Settings) => ({
  submitMsMax: 1000 * settings["cluster.commandTimeoutSeconds"],
  liveness: { silentMsMax: 1000 * settings["cluster.nodeTimeoutSeconds"] }
})

const syncMsMost = 3_000

/** Of a node among others. A read that nobody confirms is answered all the same, as one that may be old. */
export const timesAmongOthers = (settings: Settings) => ({
  ...times(settings),
  syncMsMax: Math.min(syncMsMost, 1000 * settings["cluster.commandTimeoutSeconds"])
})
