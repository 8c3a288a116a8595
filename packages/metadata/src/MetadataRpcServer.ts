/**
 * Answers other nodes' calls with what `LocalPeer` answers. Who a call is from is what the link has proven, not what the call says.
 */
import * as NodeRpc from "@effectmq/network/NodeRpc"
import type { NodeTransport } from "@effectmq/network/NodeTransport"
import { metadataChannel, MetadataRpcs } from "@effectmq/schemas/rpc/MetadataRpcs"
import type { Headers } from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LocalPeer } from "./LocalPeer.js"

const callerOf = (headers: Headers): number => Number(headers[NodeRpc.nodeHeader])

const handlers = MetadataRpcs.toLayer(
  Effect.map(LocalPeer, ({ peer }) => ({
    "metadata1.Submit": (request) => peer.submit(request),
    "metadata1.ReadBarrier": () => peer.readBarrier,
    "metadata1.Follow": (request, { headers }) => peer.follow({ ...request, nodeId: callerOf(headers) }),
    "metadata1.Heartbeat": (request, { headers }) => peer.heartbeat({ ...request, nodeId: callerOf(headers) }),
    "metadata1.Identify": (_, { headers }) => peer.identify({ nodeId: callerOf(headers) }),
    "metadata1.Report": () => peer.report,
    "metadata1.Status": () => peer.status,
    "metadata1.ChangeMembership": (request) => peer.changeMembership(request),
    "metadata1.TransferLeadership": (request) => peer.transferLeadership(request),
    "metadata1.TakeSnapshot": () => peer.takeSnapshot
  }))
)

/** While it lives, others can call this node. */
export const layer: Layer.Layer<never, never, LocalPeer | NodeTransport> = Layer.scopedDiscard(
  NodeRpc.serve(MetadataRpcs, metadataChannel)
).pipe(Layer.provide(handlers))
