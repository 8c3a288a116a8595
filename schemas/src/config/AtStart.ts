/**
 * Which keys are read at start alone, and why. Every other key is dynamic: `effectmq config set` changes it in the running
 * cluster, for all nodes at once.
 */
import type { KeyName } from "./Settings.js"

interface Group {
  /** Completes "is read when the node starts: ". */
  readonly reason: string
  readonly keys: ReadonlyArray<KeyName>
}

export const atStartGroups: ReadonlyArray<Group> = [
  { reason: "it says who the node is", keys: ["node.id", "node.name"] },
  {
    reason: "nodes find and trust each other by it before they share anything",
    keys: [
      "cluster.nodes",
      "cluster.join",
      "cluster.observer",
      "cluster.secret",
      "cluster.rpc.host",
      "cluster.rpc.port",
      "cluster.rpc.advertised",
      "cluster.tls.certFile",
      "cluster.tls.keyFile",
      "cluster.tls.caFile",
      "cluster.heartbeatMs",
      "cluster.electionTimeoutMs",
      "cluster.nodeTimeoutSeconds",
      "cluster.commandTimeoutSeconds"
    ]
  },
  {
    reason: "the node's storage is opened with it, each node's on its own disk",
    keys: ["data.dir"]
  },
  {
    reason: "the node's ports are opened with it",
    keys: [
      "mqtt.tcp.enabled",
      "mqtt.tcp.host",
      "mqtt.tcp.port",
      "mqtt.ws.enabled",
      "mqtt.ws.host",
      "mqtt.ws.port",
      "mqtt.ws.path",
      "mqtt.tls.enabled",
      "mqtt.tls.host",
      "mqtt.tls.port",
      "mqtt.tls.certFile",
      "mqtt.tls.keyFile",
      "mqtt.tls.caFile",
      "mqtt.tls.clientCertificate",
      "mqtt.wss.enabled",
      "mqtt.wss.host",
      "mqtt.wss.port",
      "mqtt.proxy.mode",
      "mqtt.proxy.trustedAddresses",
      "admin.http.host",
      "admin.http.port"
    ]
  },
  { reason: "it decides what the ports may listen on", keys: ["auth.allowAnonymous"] },
  { reason: "a secret does not stand in the cluster's metadata", keys: ["admin.token"] },
  { reason: "it belongs to what this process writes to", keys: ["log.format"] },
  { reason: "sessions and messages are kept under it", keys: ["mqtt.tenant"] },
  {
    reason: "messages and sessions that are there stand in the log that was made with it",
    keys: ["mqtt.log.engine"]
  },
  { reason: "a log is made with so many shards and keeps them", keys: ["mqtt.log.shards"] }
]

/** What a restart with another value does, where it does not simply hold from then on; as a sentence. */
export const restartNote = (name: string): string | undefined =>
  name === "mqtt.log.shards"
    ? "Logs that are there stay as they are: it counts for those that are made then, of a new tenant or in an empty data directory"
    : undefined

const reasonByKey: ReadonlyMap<string, string> = new Map(
  atStartGroups.flatMap(({ keys, reason }) => keys.map((key) => [key, reason] as const))
)

/** Why the key is read at start alone; undefined where it is dynamic, or no key. */
export const atStartReason = (name: string): string | undefined => reasonByKey.get(name)
