/**
 * A node with every role in one process, on files: this page chooses the adapters, `Main` runs it.
 *
 * It starts from the bottom of this page upward and stops the other way round: clients first, the admin HTTP server last.
 */
import { join, resolve } from "node:path"
import * as Messaging from "@effectmq/messaging/Messaging"
import * as Alarms from "@effectmq/metrics/Alarms"
import * as ProcessMeters from "@effectmq/metrics/ProcessMeters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import * as DirectoryLock from "@effectmq/storage/DirectoryLock"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import type { Live } from "@effectmq/schemas/config/Live"
import type { Settings } from "@effectmq/schemas/config/Settings"
import * as Layer from "effect/Layer"
import * as AdminApi from "./admin/AdminApi.js"
import * as AdminServer from "./admin/AdminServer.js"
import * as AlarmRules from "./AlarmRules.js"
import * as Cluster from "./Cluster.js"
import * as ClusterAlarms from "./ClusterAlarms.js"
import * as ClusterSettings from "./ClusterSettings.js"
import * as Mqtt from "./Mqtt.js"
import { messagingOptions } from "./MqttSettings.js"
import * as NodeState from "./NodeState.js"
import * as Security from "./Security.js"
import { ServerSettings, type ServerSettingsService } from "./ServerSettings.js"
import * as StorageFault from "./StorageFault.js"

const admin = (settings: Settings, live: Live<Settings>) =>
  AdminServer.layer({
    host: settings["admin.http.host"],
    port: settings["admin.http.port"],
    token: settings["admin.token"],
    metrics: live.map((now) => now["metrics.enabled"])
  })

const storage = (live: Live<Settings>) =>
  ShardEngines.layer({
    memory: live.map((settings) => ({ bytesMax: settings["storage.memory.bytesMax"] })),
    file: live.map((settings) => ({
      directory: join(settings["data.dir"], "shards"),
      syncIntervalMs: settings["storage.wal.syncIntervalMs"],
      segmentBytes: settings["storage.segmentBytes"]
    }))
  })

/** 0 is no limit. */
const connectionLimits = (settings: Settings) => ({
  connectionsMax: settings["limits.connectionsMax"],
  connectionsPerAddressMax: settings["limits.connectionsPerAddressMax"] || Number.MAX_SAFE_INTEGER
})

/** What may change while the node runs is given as `live`, the rest as it is at start. */
export const layer = (serverSettings: ServerSettingsService) => {
  const { live } = serverSettings
  const { settings } = serverSettings.atStart
  return AdminApi.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(AlarmRules.layer(live), ClusterAlarms.layer, StorageFault.layer)),
    Layer.provideMerge(Mqtt.layer(live)),
    Layer.provideMerge(Messaging.layer(live.map(messagingOptions))),
    Layer.provideMerge(Security.layer(live)),
    // From here upward the settings are those of the cluster.
    Layer.provideMerge(ClusterSettings.layer),
    Layer.provideMerge(Cluster.layer(settings)),
    Layer.provideMerge(storage(live)),
    Layer.provideMerge(ConnectionLimits.layer(live.map(connectionLimits))),
    Layer.provideMerge(Layer.mergeAll(admin(settings, live), Alarms.layer(), ProcessMeters.layer())),
    Layer.provideMerge(Layer.mergeAll(PrometheusMeters.layer(), NodeState.layer, Layer.succeed(ServerSettings, serverSettings))),
    // Before the first port is bound: a second start on the same data is told so, and not that a port is taken.
    Layer.provideMerge(DirectoryLock.layer(resolve(settings["data.dir"])))
  )
}
