/**
 * The port through which people look at the cluster and change who takes part. Every call works on every node; what only the leader
 * can do is passed on to it. Adapters: those of `Metadata` and `Controller`.
 */
import type { ClusterStatus, SnapshotTaken } from "@effectmq/schemas/admin/Cluster"
import type { MetadataError } from "@effectmq/schemas/errors/MetadataError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

export interface ClusterControlService {
  /** Asks every node; bounded in time, never fails: who does not answer has no report. */
  readonly status: Effect.Effect<ClusterStatus>
  /** Takes a node in as a learner, and gives it a vote once it has caught up where `voter`. Fails when it does not catch up in time. */
  addNode(node: {
    readonly nodeId: number
    readonly address: string
    readonly voter: boolean
  }): Effect.Effect<void, MetadataError>
  /** Takes a node out, alive or dead; the last voter stays. */
  removeNode(nodeId: number): Effect.Effect<void, MetadataError>
  transferLeadership(nodeId: number): Effect.Effect<void, MetadataError>
  /** On the node that is asked. */
  readonly takeSnapshot: Effect.Effect<SnapshotTaken, MetadataError>
  /** The metadata as of now in the form that `effectmq cluster restore` makes a new cluster from. */
  readonly exportSnapshot: Stream.Stream<Uint8Array, MetadataError>
}

export class ClusterControl extends Context.Tag("@effectmq/metadata/ClusterControl")<ClusterControl, ClusterControlService>() {}
