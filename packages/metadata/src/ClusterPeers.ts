/**
 * The port through which a node calls others for the metadata. Adapters: `RpcClusterPeers.layer`, `MemoryClusterPeers` (tests).
 *
 * A call that fails may have been carried out, save where its reason is `unreachable`.
 */
import type { MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { ClusterStatus, NodeReport, SnapshotTaken } from "@effectmq/schemas/admin/Cluster"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type {
  ChangeMembership,
  Follow,
  Followed,
  FollowRefused,
  Heartbeat,
  Identify,
  ReadBarrier,
  Submit,
  SubmitOutcome,
  TransferLeadership
} from "@effectmq/schemas/rpc/MetadataRpcs"
import type * as Rpc from "@effect/rpc/Rpc"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/** `unreachable`: nothing was sent. `broken`: the connection ended. `refused`: the other does not know the call, or answered nonsense. */
export class PeerUnavailable extends Data.TaggedError("PeerUnavailable")<{
  readonly reason: "unreachable" | "broken" | "refused"
  readonly message: string
}> {}

/** What a node answers to others: schemas/rpc/MetadataRpcs, as methods. `Failure` is what a call over the network adds. */
export interface MetadataPeer<Failure = PeerUnavailable> {
  submit(request: Rpc.Payload<typeof Submit>): Effect.Effect<ReadonlyArray<SubmitOutcome>, Failure>
  readonly readBarrier: Effect.Effect<Rpc.Success<typeof ReadBarrier>, MetadataUnavailable | Failure>
  follow(request: Rpc.Payload<typeof Follow>): Stream.Stream<Followed, FollowRefused | Failure>
  heartbeat(request: Rpc.Payload<typeof Heartbeat>): Effect.Effect<Rpc.Success<typeof Heartbeat>, Failure>
  identify(request: Rpc.Payload<typeof Identify>): Effect.Effect<Rpc.Success<typeof Identify>, Failure>
  readonly report: Effect.Effect<NodeReport, Failure>
  readonly status: Effect.Effect<ClusterStatus, Failure>
  changeMembership(request: Rpc.Payload<typeof ChangeMembership>): Effect.Effect<void, MetadataError | Failure>
  transferLeadership(request: Rpc.Payload<typeof TransferLeadership>): Effect.Effect<void, MetadataError | Failure>
  readonly takeSnapshot: Effect.Effect<SnapshotTaken, MetadataError | Failure>
}

export interface ClusterPeersService {
  /** Connects with the first call. */
  at(member: Member): MetadataPeer
}

export class ClusterPeers extends Context.Tag("@effectmq/metadata/ClusterPeers")<ClusterPeers, ClusterPeersService>() {}
