/**
 * What this node answers to others, from the moment its store is open: before its Raft member is at work it says who it is, and for
 * the rest that it cannot say. Provided before the RPC server starts, so that nodes that start together find each other.
 */
import type { NodeReport } from "@effectmq/schemas/admin/Cluster"
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { FollowRefused } from "@effectmq/schemas/rpc/MetadataRpcs"
import { RaftStore } from "@effectmq/raft/RaftStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { MetadataPeer } from "./ClusterPeers.js"
import { isEmpty } from "./internal/Introduction.js"
import { notLeader } from "./internal/Outcomes.js"

export interface LocalPeerService {
  /** What others call. */
  readonly peer: MetadataPeer<never>
  /** From now on it answers, until the scope closes. */
  install(peer: MetadataPeer<never>): Effect.Effect<void, never, Scope.Scope>
}

export class LocalPeer extends Context.Tag("@effectmq/metadata/LocalPeer")<LocalPeer, LocalPeerService>() {}

const notAtWork = new MetadataUnavailable({ reason: "no-leader", message: "the node is starting or stopping" })

const idle = (nodeId: number, storeId: string, holdsLog: boolean): MetadataPeer<never> => {
  const report: NodeReport = {
    nodeId,
    role: "follower",
    term: 0,
    leaderId: 0,
    firstIndex: 0,
    lastIndex: 0,
    commitIndex: 0,
    appliedIndex: 0,
    snapshotIndex: 0,
    imageVersion: 0,
    chainHash: "",
    imageHash: "",
    standing: "starting",
    fault: notAtWork.message
  }
  return {
    submit: ({ commands }) => Effect.succeed(commands.map(() => notLeader(0, 0))),
    readBarrier: Effect.fail(notAtWork),
    follow: () => Stream.fail(new FollowRefused({ reason: "behind", message: notAtWork.message })),
    heartbeat: () => Effect.succeed({ leaderId: 0, registered: true, fenced: false }),
    identify: () => Effect.succeed({ nodeId, storeId, memberIds: [], holdsLog, isConfirmed: false }),
    report: Effect.succeed(report),
    status: Effect.succeed({ clusterId: "", askedNodeId: nodeId, leaderId: 0, term: 0, stale: true, nodes: [] }),
    changeMembership: () => Effect.fail(notAtWork),
    transferLeadership: () => Effect.fail(notAtWork),
    takeSnapshot: Effect.fail(notAtWork)
  }
}

export const make = (nodeId: number, storeId: string, holdsLog: boolean): LocalPeerService => {
  const before = idle(nodeId, storeId, holdsLog)
  let now = before
  return {
    peer: {
      submit: (request) => now.submit(request),
      readBarrier: Effect.suspend(() => now.readBarrier),
      follow: (request) => Stream.suspend(() => now.follow(request)),
      heartbeat: (request) => now.heartbeat(request),
      identify: (request) => now.identify(request),
      report: Effect.suspend(() => now.report),
      status: Effect.suspend(() => now.status),
      changeMembership: (request) => now.changeMembership(request),
      transferLeadership: (request) => now.transferLeadership(request),
      takeSnapshot: Effect.suspend(() => now.takeSnapshot)
    },
    install: (peer) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          now = peer
        }),
        () =>
          Effect.sync(() => {
            now = before
          })
      )
  }
}

/** Of a node without a store. */
export const layerObserver = (options: { readonly nodeId: number }): Layer.Layer<LocalPeer> =>
  Layer.sync(LocalPeer, () => make(options.nodeId, "", false))

export const layer = (options: { readonly nodeId: number }): Layer.Layer<LocalPeer, never, RaftStore> =>
  Layer.effect(
    LocalPeer,
    Effect.map(RaftStore, (store) => make(options.nodeId, store.stored.storeId, !isEmpty(store.stored)))
  )
