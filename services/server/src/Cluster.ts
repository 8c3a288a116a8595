/**
 * The metadata of this node as the settings say: of a node alone, of a member of a cluster, or of one that only follows.
 */
import { join } from "node:path"
import type { Meters } from "@effectmq/metrics/Meters"
import { Belonging } from "@effectmq/metadata/Belonging"
import type { ClusterControl } from "@effectmq/metadata/ClusterControl"
import type { Controller } from "@effectmq/metadata/Controller"
import * as EventStoreImport from "@effectmq/metadata/EventStoreImport"
import * as LocalPeer from "@effectmq/metadata/LocalPeer"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as MetadataMember from "@effectmq/metadata/MetadataMember"
import * as MetadataRpcServer from "@effectmq/metadata/MetadataRpcServer"
import * as MetadataStore from "@effectmq/metadata/MetadataStore"
import * as ObserverMetadata from "@effectmq/metadata/ObserverMetadata"
import * as RpcClusterPeers from "@effectmq/metadata/RpcClusterPeers"
import { Waits } from "@effectmq/metadata/Waits"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import { NodeTransport } from "@effectmq/network/NodeTransport"
import * as SocketNodeTransport from "@effectmq/network/SocketNodeTransport"
import type { TlsOptions } from "@effectmq/network/TlsOptions"
import { RaftStore } from "@effectmq/raft/RaftStore"
import * as RpcRaftTransport from "@effectmq/raft/RpcRaftTransport"
import * as SqliteRaftStore from "@effectmq/raft/SqliteRaftStore"
import { membersOf } from "@effectmq/schemas/config/ClusterNodes"
import type { Settings } from "@effectmq/schemas/config/Settings"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as NodeDisk from "@effectmq/storage/NodeDisk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { times, timesAmongOthers } from "./ClusterTimes.js"
import { NodeState } from "./NodeState.js"
import { version } from "./Version.js"

/** The data directory is that of a member of a cluster, and the settings do not say where to hear the others. */
export class ClusterNotConfigured extends Data.TaggedError("ClusterNotConfigured")<{ readonly message: string }> {}

/** Of `raft.sqlite` in the data directory. */
const storeFile = (settings: Settings): string => join(settings["data.dir"], "raft.sqlite")

export const raftStore = (settings: Settings) => SqliteRaftStore.layer({ filename: storeFile(settings) })

/** Where the others reach this node. */
const addressOf = (settings: Settings): string => {
  const listed = membersOf(settings["cluster.nodes"]).find(({ nodeId }) => nodeId === settings["node.id"])
  return (
    settings["cluster.rpc.advertised"] ?? listed?.address ?? `${settings["cluster.rpc.host"]}:${settings["cluster.rpc.port"]}`
  )
}

/** What a release before 0.2 left in `metadata.sqlite` goes on in the Raft store. */
const store = (settings: Settings, member: Member) => {
  const isAlone = !settings["cluster.join"] && settings["cluster.nodes"].length <= 1
  const filename = join(settings["data.dir"], "metadata.sqlite")
  return EventStoreImport.layer({ filename, member, isAlone }, raftStore(settings)).pipe(Layer.provide(NodeDisk.layer))
}

const nodeOf = (settings: Settings) => ({
  nodeId: settings["node.id"],
  name: settings["node.name"],
  version,
  addresses: []
})

const raftOptions = (settings: Settings) => ({
  heartbeatMs: settings["cluster.heartbeatMs"],
  tickMs: Math.max(5, Math.floor(settings["cluster.heartbeatMs"] / 2)),
  electionMsMin: settings["cluster.electionTimeoutMs"],
  electionMsMax: 2 * settings["cluster.electionTimeoutMs"]
})

/** Nobody else takes part in what the store holds. */
const aloneOnly = (settings: Settings) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { entries, snapshot } = (yield* RaftStore).stored
      const newest = entries.findLast((entry) => entry.kind === "membership")
      const members = newest?.kind === "membership" ? newest.membership.members : (snapshot?.membership.members ?? [])
      const others = members.filter(({ nodeId }) => nodeId !== settings["node.id"])
      if (others.length === 0) return
      const names = members.map(({ nodeId, address }) => `${nodeId}@${address}`).join(",")
      const message = `this data directory is of a node of a cluster (${names}): set cluster.nodes, and cluster.secret where it was set`
      return yield* Effect.fail(new ClusterNotConfigured({ message }))
    })
  )

const alone = (settings: Settings) =>
  MetadataStore.layer({ node: { ...nodeOf(settings), roles: ["meta", "broker"] }, ...times(settings) }).pipe(
    Layer.provide(aloneOnly(settings)),
    Layer.provide(store(settings, { nodeId: settings["node.id"], address: "" }))
  )

const tlsOf = (settings: Settings): TlsOptions | undefined => {
  const certificate = settings["cluster.tls.certFile"]
  const key = settings["cluster.tls.keyFile"]
  const authorities = settings["cluster.tls.caFile"]
  return certificate === undefined || key === undefined || authorities === undefined
    ? undefined
    : { certificate: { file: certificate }, key: { file: key }, clientAuthorities: { file: authorities } }
}

/** The nodes do not share the limits of clients: a flood of those must not cut a node off. */
const transport = (settings: Settings, belonging: Belonging) =>
  SocketNodeTransport.layer({
    nodeId: settings["node.id"],
    belonging: belonging.now,
    listen: { host: settings["cluster.rpc.host"], port: settings["cluster.rpc.port"] },
    secret: settings["cluster.secret"] ?? "",
    tls: tlsOf(settings)
  }).pipe(Layer.provide(ConnectionLimits.layer()))

const told = Layer.effectDiscard(
  Effect.gen(function* () {
    const { host, port } = yield* NodeTransport
    ;(yield* NodeState).listeners.push({ name: "cluster.rpc", host, port })
  })
)

const waitsTold = (waits: Waits) =>
  Layer.effectDiscard(
    Effect.map(NodeState, (state) => {
      state.waitsFor = () => waits.now()
    })
  )

const member = (settings: Settings) => {
  const waits = new Waits()
  const address = addressOf(settings)
  const contacts = membersOf(settings["cluster.nodes"])
  const initialMembers = settings["cluster.join"] ? [] : contacts
  const links = Layer.mergeAll(RpcClusterPeers.layer, RpcRaftTransport.layer({ address }), MetadataRpcServer.layer, told)
  const belonging = new Belonging()
  const kept = store(settings, { nodeId: settings["node.id"], address })
  return Layer.merge(MetadataMember.ready, belonging.layerCluster).pipe(
    Layer.provideMerge(
      MetadataMember.layer({
        node: { ...nodeOf(settings), roles: ["meta", "broker"], rpcAddress: address },
        initialMembers,
        contacts,
        raft: raftOptions(settings),
        waits,
        ...timesAmongOthers(settings)
      })
    ),
    Layer.provideMerge(links),
    Layer.provide(waitsTold(waits)),
    Layer.provide(LocalPeer.layer({ nodeId: settings["node.id"] })),
    Layer.provide(transport(settings, belonging)),
    // Before anybody is heard.
    Layer.provide(belonging.layerFirst(initialMembers)),
    Layer.provide(kept)
  )
}

/** It keeps nothing on its disk: it follows anew after every start. */
const observer = (settings: Settings) => {
  const waits = new Waits()
  const belonging = new Belonging()
  return Layer.merge(MetadataMember.ready, belonging.layerCluster).pipe(
    Layer.provideMerge(
      ObserverMetadata.layer({
        node: { ...nodeOf(settings), roles: ["broker"], rpcAddress: addressOf(settings) },
        contacts: membersOf(settings["cluster.nodes"]),
        waits,
        ...timesAmongOthers(settings)
      })
    ),
    Layer.provide(waitsTold(waits)),
    Layer.provideMerge(Layer.mergeAll(RpcClusterPeers.layer, MetadataRpcServer.layer, told)),
    Layer.provide(LocalPeer.layerObserver({ nodeId: settings["node.id"] })),
    Layer.provide(transport(settings, belonging))
  )
}

/** A node that takes no changes of the metadata, for good or for want of space, is not ready. */
const faultTold = Layer.effectDiscard(
  Effect.gen(function* () {
    const metadata = yield* Metadata
    ;(yield* NodeState).faults.push(() => {
      const fault = metadata.fault()
      return fault === undefined ? undefined : `the node ${fault}`
    })
  })
)

type Parts = Metadata | Controller | ClusterControl

type Failure = Layer.Layer.Error<ReturnType<typeof alone> | ReturnType<typeof member> | ReturnType<typeof observer>>

export const layer = (settings: Settings): Layer.Layer<Parts, Failure, Meters | NodeState> => {
  if (settings["cluster.observer"]) return Layer.provideMerge(faultTold, observer(settings))
  return settings["cluster.nodes"].length === 0
    ? Layer.provideMerge(faultTold, alone(settings))
    : Layer.provideMerge(faultTold, member(settings))
}
