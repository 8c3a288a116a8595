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
  roles: Schema.Array(NodeRole),
  /** Of its Raft store, made with it: a node that comes with another one has lost what it promised. Absent where it has none. */
  storeId: Schema.optional(Schema.String),
  /** `host:port` where other nodes call it; absent where it takes no calls. */
  rpcAddress: Schema.optional(Schema.String)
}

export const Node = Schema.Struct({ ...nodeFields, registeredAtMs: Schema.Int })
export type Node = typeof Node.Type

/** A node and how it stands. */
export interface NodeState extends Node {
  /** Since when it is fenced: it was silent for so long that its work goes to others. undefined: it is not. */
  readonly fencedAtMs: number | undefined
}

/** What is said of a node without these fields has the form of version 1; with one of them, of version 2. */
export const nodeVersion = (node: { readonly storeId?: string | undefined; readonly rpcAddress?: string | undefined }): 1 | 2 =>
  node.storeId === undefined && node.rpcAddress === undefined ? 1 : 2
