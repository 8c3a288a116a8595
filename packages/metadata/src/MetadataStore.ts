/**
 * `Metadata`, `Controller` and `ClusterControl` of a cluster of one node: a Raft group of one, the same code as with more.
 *
 * At its first start it makes the cluster and the tenant `default`; at every start it registers the node.
 */
import * as MemoryRaftStore from "@effectmq/raft/MemoryRaftStore"
import type { RaftNode } from "@effectmq/raft/RaftNode"
import type { RaftNodeOptions } from "@effectmq/raft/RaftNodeOptions"
import type { RaftStore } from "@effectmq/raft/RaftStore"
import { RaftTransport } from "@effectmq/raft/RaftTransport"
import type { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import type { MetadataError } from "@effectmq/schemas/errors/MetadataError"
import type { Node } from "@effectmq/schemas/metadata/Node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { ClusterControl } from "./ClusterControl.js"
import { ClusterPeers, PeerUnavailable } from "./ClusterPeers.js"
import type { Controller } from "./Controller.js"
import * as LocalPeer from "./LocalPeer.js"
import type { Metadata } from "./Metadata.js"
import type { MetadataMachineOptions } from "./MetadataMachine.js"
import * as MetadataMember from "./MetadataMember.js"

export interface MetadataStoreOptions {
  readonly node: Omit<Node, "registeredAtMs" | "storeId">
  /** Of a cluster that is made now; random where it is absent. A cluster that exists keeps its id. */
  readonly clusterId?: string | undefined
  readonly raft?: Partial<RaftNodeOptions> | undefined
  readonly machine?: Partial<MetadataMachineOptions> | undefined
  /** A command is answered within this time. */
  readonly submitMsMax?: number | undefined
}

/** The store is damaged, of another release, or belongs to another node. */
export type MetadataStartError = MetadataMember.MetadataStartError | MetadataError

const nobody = new PeerUnavailable({ reason: "unreachable", message: "this node is alone" })

const noPeers = Layer.succeed(ClusterPeers, {
  at: () => ({
    submit: () => Effect.fail(nobody),
    readBarrier: Effect.fail(nobody),
    follow: () => Stream.fail(nobody),
    heartbeat: () => Effect.fail(nobody),
    identify: () => Effect.fail(nobody),
    report: Effect.fail(nobody),
    status: Effect.fail(nobody),
    changeMembership: () => Effect.fail(nobody),
    transferLeadership: () => Effect.fail(nobody),
    takeSnapshot: Effect.fail(nobody)
  })
})

const noTransport = Layer.succeed(RaftTransport, {
  send: () => undefined,
  setMembers: () => undefined,
  onMessage: () => () => undefined
})

/** What a node without an RPC listener is known by. */
const nowhere = ""

export const layer = (
  options: MetadataStoreOptions
): Layer.Layer<Metadata | Controller | ClusterControl | RaftNode, MetadataStartError, RaftStore | Meters> => {
  const { nodeId, rpcAddress } = options.node
  const initialMembers = [{ nodeId, address: rpcAddress ?? nowhere }]
  return MetadataMember.ready.pipe(
    Layer.provideMerge(MetadataMember.layer({ ...options, initialMembers })),
    Layer.provide(Layer.mergeAll(noPeers, noTransport, LocalPeer.layer({ nodeId })))
  )
}

const nodeInMemory: MetadataStoreOptions = {
  node: { nodeId: 1, name: "node-1", version: "0.2.0", addresses: [], roles: ["meta", "broker"] }
}

/** In memory, gone with the Layer. Only options of one's own can make it fail. */
export const layerMemory = (options: MetadataStoreOptions = nodeInMemory): Layer.Layer<Metadata | Controller | ClusterControl> =>
  Layer.orDie(Layer.provide(layer(options), Layer.merge(MemoryRaftStore.layer, PrometheusMeters.layerMemory)))
