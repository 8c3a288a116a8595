/**
 * A node as the cluster knows it: its number, its software version, where it listens and what it does.
 */
import * as Schema from "effect/Schema"

export const NodeRole = Schema.Literal("meta", "journal", "broker")
export type NodeRole = typeof NodeRole.Type

export const NodeAddress = Schema.Struct({
  /** What listens there, for instance `mqtt.tcp`. */
  listener: Schema.String,
  host: Schema.String,
  port: Schema.Int
})
export type NodeAddress = typeof NodeAddress.Type

export const nodeFields = {
  nodeId: Schema.Int,
  name: Schema.String,
  /** Of the software. */
  version: Schema.String,
  addresses: Schema.Array(NodeAddress),
  roles: Schema.Array(NodeRole)
}

export const Node = Schema.Struct({ ...nodeFields, registeredAtMs: Schema.Int })
export type Node = typeof Node.Type
