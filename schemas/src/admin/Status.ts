/**
 * `GET /api/v1/status`: what this node is and does.
 */
import * as Schema from "effect/Schema"

/** `starting`: not yet serving. `draining`: takes no new clients and ends the ones it has. */
export const Phase = Schema.Literal("starting", "serving", "draining")
export type Phase = typeof Phase.Type

export const ListenerAddress = Schema.Struct({
  /** For instance `mqtt.tcp`. */
  name: Schema.String,
  host: Schema.String,
  port: Schema.Int
})
export type ListenerAddress = typeof ListenerAddress.Type

/** How clients are let in. `open`: nothing is configured, clients of this machine only. */
export const AuthenticationMode = Schema.Literal("open", "users", "anonymous")
export type AuthenticationMode = typeof AuthenticationMode.Type

export const Status = Schema.Struct({
  nodeId: Schema.Int,
  nodeName: Schema.String,
  version: Schema.String,
  phase: Phase,
  /** Why the node cannot do its work although it runs; absent while it can. */
  fault: Schema.optional(Schema.String),
  startedAtMs: Schema.Number,
  uptimeSeconds: Schema.Number,
  /** From the start of the process until it served. */
  startMs: Schema.Number,
  dataDir: Schema.String,
  authentication: AuthenticationMode,
  listeners: Schema.Array(ListenerAddress),
  residentMemoryBytes: Schema.Number,
  /** Every current value of the meters: name with labels to number. */
  meters: Schema.Record({ key: Schema.String, value: Schema.Number })
})
export type Status = typeof Status.Type
