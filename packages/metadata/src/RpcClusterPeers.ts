/**
 * `ClusterPeers` over RPC between nodes.
 */
import { NodeCallFailed } from "@effectmq/network/NodeCallFailed"
import type { NodeRpcClient } from "@effectmq/network/NodeRpc"
import * as NodeRpcPeers from "@effectmq/network/NodeRpcPeers"
import type { NodeTransport } from "@effectmq/network/NodeTransport"
import { metadataChannel, MetadataRpcs } from "@effectmq/schemas/rpc/MetadataRpcs"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { ClusterPeers, type MetadataPeer, PeerUnavailable } from "./ClusterPeers.js"

type Client = NodeRpcClient<RpcGroup.Rpcs<typeof MetadataRpcs>>

/** Longer than what those that are called wait themselves. */
const callTimeoutMs = 30_000

const notSent = ["unreachable", "overloaded"]

const unavailable = <E>(error: E | NodeCallFailed): Exclude<E, NodeCallFailed> | PeerUnavailable => {
  if (!(error instanceof NodeCallFailed)) return error as Exclude<E, NodeCallFailed>
  const reason = notSent.includes(error.reason) ? "unreachable" : error.reason === "refused" ? "refused" : "broken"
  return new PeerUnavailable({ reason, message: error.message })
}

const peerOf = (client: () => Client): MetadataPeer => {
  const call = <A, E>(use: (rpc: Client["metadata1"]) => Effect.Effect<A, E | NodeCallFailed>) =>
    Effect.mapError(
      Effect.suspend(() => use(client().metadata1)),
      unavailable<E>
    )
  return {
    submit: (request) => call((rpc) => rpc.Submit(request)),
    readBarrier: call((rpc) => rpc.ReadBarrier()),
    follow: (request) =>
      Stream.mapError(
        Stream.suspend(() => client().metadata1.Follow(request)),
        unavailable
      ),
    heartbeat: (request) => call((rpc) => rpc.Heartbeat(request)),
    identify: (request) => call((rpc) => rpc.Identify(request)),
    report: call((rpc) => rpc.Report()),
    status: call((rpc) => rpc.Status()),
    changeMembership: (request) => call((rpc) => rpc.ChangeMembership(request)),
    transferLeadership: (request) => call((rpc) => rpc.TransferLeadership(request)),
    takeSnapshot: call((rpc) => rpc.TakeSnapshot())
  }
}

export const layer: Layer.Layer<ClusterPeers, never, NodeTransport> = Layer.scoped(
  ClusterPeers,
  Effect.map(NodeRpcPeers.peers(MetadataRpcs, metadataChannel, { callTimeoutMs }), (peers) => ({
    at: (member) => peerOf(() => peers.at(member))
  }))
)
