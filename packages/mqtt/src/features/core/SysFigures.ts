/**
 * The figures behind the `$SYS` statistics, and the names under which clients of other brokers look for them.
 *
 * Two sets of names are in wide use: Mosquitto's below `$SYS/broker/`, and EMQX's below `$SYS/brokers/<node>/stats/` and
 * `.../metrics/`. A figure that nobody brings is not published.
 */

/** Numbers of this moment. */
export type GaugeName =
  | "clientsConnected"
  | "sessions"
  | "subscriptions"
  | "retainedMessages"
  | "delayedMessages"
  | "inflightMessages"
  | "heapBytes"

/** Numbers since start. */
export type CountName =
  | "packetsReceived"
  | "packetsSent"
  | "publishesReceived"
  | "publishesSent"
  | "publishesDropped"
  | "bytesReceived"
  | "bytesSent"
  | "publishBytesReceived"
  | "publishBytesSent"
  | "connects"
  | "disconnects"
  | "sockets"
  | "sessionsExpired"

export type SysFigures = { readonly [Name in GaugeName | CountName]?: number }

type Names = ReadonlyArray<readonly [topic: string, figure: GaugeName | CountName]>

/** Below `$SYS/broker/`. */
export const mosquittoNames: Names = [
  ["clients/connected", "clientsConnected"],
  ["clients/active", "clientsConnected"],
  ["clients/total", "sessions"],
  ["clients/expired", "sessionsExpired"],
  ["messages/received", "packetsReceived"],
  ["messages/sent", "packetsSent"],
  ["messages/inflight", "inflightMessages"],
  ["subscriptions/count", "subscriptions"],
  ["retained messages/count", "retainedMessages"],
  ["heap/current", "heapBytes"],
  ["publish/messages/received", "publishesReceived"],
  ["publish/messages/sent", "publishesSent"],
  ["publish/messages/dropped", "publishesDropped"],
  ["publish/bytes/received", "publishBytesReceived"],
  ["publish/bytes/sent", "publishBytesSent"],
  ["bytes/received", "bytesReceived"],
  ["bytes/sent", "bytesSent"]
]

/** Below `$SYS/broker/`: the highest value seen. */
export const mosquittoPeaks: Names = [
  ["clients/maximum", "sessions"],
  ["heap/maximum", "heapBytes"]
]

/** Below `$SYS/broker/load/`: per minute, averaged over 1, 5 and 15 minutes. */
export const mosquittoLoads: ReadonlyArray<readonly [topic: string, figure: CountName]> = [
  ["messages/received", "packetsReceived"],
  ["messages/sent", "packetsSent"],
  ["publish/received", "publishesReceived"],
  ["publish/sent", "publishesSent"],
  ["publish/dropped", "publishesDropped"],
  ["bytes/received", "bytesReceived"],
  ["bytes/sent", "bytesSent"],
  ["sockets", "sockets"],
  ["connections", "connects"]
]

/** Below `$SYS/brokers/<node>/stats/`: each as `<name>/count` and, the highest value seen, `<name>/max`. */
export const emqxStats: Names = [
  ["connections", "sessions"],
  ["live_connections", "clientsConnected"],
  ["sessions", "sessions"],
  ["subscriptions", "subscriptions"],
  ["retained", "retainedMessages"],
  ["delayed", "delayedMessages"]
]

/** Below `$SYS/brokers/<node>/metrics/`. */
export const emqxMetrics: Names = [
  ["bytes/received", "bytesReceived"],
  ["bytes/sent", "bytesSent"],
  ["packets/received", "packetsReceived"],
  ["packets/sent", "packetsSent"],
  ["messages/received", "publishesReceived"],
  ["messages/sent", "publishesSent"],
  ["messages/dropped", "publishesDropped"],
  ["client/connected", "connects"],
  ["client/disconnected", "disconnects"]
]

/**
 * The levels that a meter's value is published under: `effectmq_x_total{a="1",b="2"}` is `x_total/1/2`. What would be a
 * wildcard or one level more becomes `_`.
 */
export const levelsOfMeter = (key: string): string => {
  const brace = key.indexOf("{")
  const name = (brace === -1 ? key : key.slice(0, brace)).replace(/^effectmq_/, "")
  if (brace === -1) return name
  const values = [...key.slice(brace).matchAll(/[a-z0-9_]+="((?:[^"\\]|\\.)*)"/g)].map((match) =>
    (match[1] as string).replace(/\\(.)/gs, "$1").replace(/[/+#\u0000\n]/g, "_")
  )
  return [name, ...values].join("/")
}

/** Whole numbers as they are, others with at most 6 digits behind the point; undefined for what is no number. */
export const figureText = (value: number): string | undefined =>
  !Number.isFinite(value) ? undefined : Number.isInteger(value) ? String(value) : String(Math.round(value * 1e6) / 1e6)
