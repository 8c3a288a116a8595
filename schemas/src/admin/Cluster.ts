/**
 * `/api/v1/cluster`: the nodes of a cluster, what each knows of the metadata log, and changes of who takes part.
 */
import * as Schema from "effect/Schema"
import { isNodeAddress } from "../config/ClusterNodes.js"

export const ClusterRole = Schema.Literal("leader", "follower", "candidate", "learner", "observer")
export type ClusterRole = typeof ClusterRole.Type

/**
 * `starting`: or stopping. `joining`: its log does not name it yet. `takenOut`: it was in the cluster and is not any more. `noSpace`: it
 * waits for space on its disk. `fault`: it takes part no more.
 */
export const NodeStanding = Schema.Literal("alive", "starting", "joining", "takenOut", "noSpace", "fault")
export type NodeStanding = typeof NodeStanding.Type

/** What a node says of itself. */
export const NodeReport = Schema.Struct({
  nodeId: Schema.Int,
  role: ClusterRole,
  term: Schema.Int,
  /** Whom it follows; 0 for nobody. */
  leaderId: Schema.Int,
  /** Of its log. */
  firstIndex: Schema.Int,
  lastIndex: Schema.Int,
  commitIndex: Schema.Int,
  /** All up to it that are commands are in the image; others change nothing there. */
  appliedIndex: Schema.Int,
  snapshotIndex: Schema.Int,
  /** Events its image holds. */
  imageVersion: Schema.Int,
  /** Over everything applied, 64 hex digits: equal on two nodes at equal `appliedIndex`, or one of them is wrong. */
  chainHash: Schema.String,
  /** Of the image at `imageVersion`, 64 hex digits. */
  imageHash: Schema.String,
  /** Absent where its release does not say it. */
  standing: Schema.optional(NodeStanding),
  /** Where it is not alive: why. */
  fault: Schema.optional(Schema.String)
})
export type NodeReport = typeof NodeReport.Type

/** `outgoing`: it votes until the change of membership that is under way is done. */
export const NodePart = Schema.Literal("voter", "outgoing", "learner", "observer")
export type NodePart = typeof NodePart.Type

export const ClusterNode = Schema.Struct({
  nodeId: Schema.Int,
  name: Schema.String,
  /** `host:port` of its RPC listener; absent where it has none. */
  address: Schema.optional(Schema.String),
  /** Of the software. */
  version: Schema.String,
  part: NodePart,
  /** Silent for so long that the leader gives its work to others. */
  fenced: Schema.Boolean,
  /** Entries behind the leader; absent where that is not known. */
  lag: Schema.optional(Schema.Int),
  /** Absent: it did not answer in time. */
  report: Schema.optional(NodeReport)
})
export type ClusterNode = typeof ClusterNode.Type

export const ClusterStatus = Schema.Struct({
  clusterId: Schema.String,
  /** Who answers. */
  askedNodeId: Schema.Int,
  /** 0: there is none that this node knows of. */
  leaderId: Schema.Int,
  term: Schema.Int,
  /** True: no majority confirmed what is said here; it may be old. */
  stale: Schema.Boolean,
  /** By rising `nodeId`. */
  nodes: Schema.Array(ClusterNode)
})
export type ClusterStatus = typeof ClusterStatus.Type

/** Body of `POST /cluster/nodes`: the node is taken in as a learner and, where `voter`, gets a vote once it has caught up. */
export const AddNodeBody = Schema.Struct({
  nodeId: Schema.Int.pipe(Schema.between(1, 2147483647)),
  address: Schema.String.pipe(
    Schema.filter((text) => isNodeAddress(text) || `expected host:port of the node's RPC listener, got ${text}`)
  ),
  voter: Schema.Boolean
})
export type AddNodeBody = typeof AddNodeBody.Type

/** Body of `POST /cluster/leader`. */
export const TransferBody = Schema.Struct({ nodeId: Schema.Int })
export type TransferBody = typeof TransferBody.Type

/** Answer of `POST /cluster/snapshot`. */
export const SnapshotTaken = Schema.Struct({
  nodeId: Schema.Int,
  index: Schema.Int,
  imageVersion: Schema.Int,
  bytes: Schema.Int
})
export type SnapshotTaken = typeof SnapshotTaken.Type
