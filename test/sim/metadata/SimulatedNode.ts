/**
 * One node of the simulated cluster: a process, the machine it runs on, and the metadata as the server composes them (its `Cluster.ts`):
 * a member of the Raft group with its store, or an observer.
 */
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { ClusterControl, type ClusterControlService } from "@effectmq/metadata/ClusterControl"
import { Controller, type ControllerService } from "@effectmq/metadata/Controller"
import type { Image } from "@effectmq/metadata/core/Image"
import * as LocalPeer from "@effectmq/metadata/LocalPeer"
import { Metadata, type MetadataService } from "@effectmq/metadata/Metadata"
import * as MetadataMember from "@effectmq/metadata/MetadataMember"
import * as MetadataRpcServer from "@effectmq/metadata/MetadataRpcServer"
import * as ObserverMetadata from "@effectmq/metadata/ObserverMetadata"
import * as RpcClusterPeers from "@effectmq/metadata/RpcClusterPeers"
import { RaftNode, type RaftNodeService } from "@effectmq/raft/RaftNode"
import { RaftStore } from "@effectmq/raft/RaftStore"
import { RaftTransport } from "@effectmq/raft/RaftTransport"
import * as RpcRaftTransport from "@effectmq/raft/RpcRaftTransport"
import type { NodeReport } from "@effectmq/schemas/admin/Cluster"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { SimulatedNodes } from "@effectmq/testing/SimulatedNodeTransport"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { GroupWatch } from "../cluster/GroupWatch.js"
import { sayFailure } from "../cluster/SayFailure.js"
import { watched } from "../cluster/WatchedStore.js"
import type { CommandWatch } from "./CommandWatch.js"
import type { MetadataPlan } from "./MetadataPlan.js"
import type { NodeMachine } from "./NodeMachine.js"
import type { ViewWatch } from "./ViewWatch.js"

export interface NodeParts {
  readonly nodes: SimulatedNodes
  readonly group: GroupWatch
  readonly commands: CommandWatch
  readonly views: ViewWatch
  readonly plan: MetadataPlan
}

/** What runs of a node while it is up. */
export interface Running {
  readonly metadata: MetadataService
  readonly controller: ControllerService
  readonly control: ClusterControlService
  readonly report: Effect.Effect<NodeReport>
  /** Absent on an observer. */
  readonly raft: RaftNodeService | undefined
}

export interface NodeSettings {
  readonly nodeId: number
  readonly isObserver: boolean
  /** The first members of a new cluster; empty: it waits to be added. */
  readonly initialMembers: ReadonlyArray<Member>
  /** Asked at every start. */
  readonly contacts: () => ReadonlyArray<Member>
}

export const addressOf = (nodeId: number): string => `node-${nodeId}:1`

export class SimulatedNode {
  /** While there is something to ask. */
  running: Running | undefined
  /** It was taken out of the cluster and comes back no more. */
  removed = false
  starts = 0
  /** Something was done to its disk before its last start failed. */
  startWasFaulty = false
  /** Rises whenever something was done that makes it slow to answer. */
  disturbances = 0

  constructor(
    private readonly parts: NodeParts,
    readonly settings: NodeSettings,
    readonly process: VirtualProcess,
    readonly machine: NodeMachine
  ) {
    process.kill()
  }

  get nodeId(): number {
    return this.settings.nodeId
  }

  get isObserver(): boolean {
    return this.settings.isObserver
  }

  /** Answers why it does not start; undefined where it does, or was killed meanwhile. */
  async start(): Promise<string | undefined> {
    this.starts++
    const { disk } = this.machine
    const started = await this.process.start(this.layer)
    if (Exit.isSuccess(started)) return undefined
    const cause = sayFailure(started.cause)
    // A machine without power: whoever took it sees to the rest.
    if (cause.includes("ProcessKilled") || disk.crashed) return undefined
    this.process.kill()
    this.startWasFaulty = this.machine.isFaulty || this.machine.isDamaged
    this.gone("kept", "reset")
    return cause
  }

  /** `lost`: the machine loses its power, else only the process is killed. */
  kill(unsynced: "kept" | "lost"): void {
    this.process.kill()
    this.gone(unsynced, unsynced === "lost" ? "silence" : "reset")
  }

  async stop(): Promise<void> {
    this.running = undefined
    await this.process.stop()
    this.gone("kept", "reset")
  }

  /** Its process is no more. */
  gone(unsynced: "kept" | "lost", how: "reset" | "silence"): void {
    this.running = undefined
    this.parts.nodes.died(this.process, how)
    this.machine.restart(unsynced)
  }

  private get layer(): Layer.Layer<never, unknown> {
    const { parts, settings, process } = this
    const composed = settings.isObserver ? this.observer : this.member
    const transport = parts.nodes.layer(process, settings.nodeId, addressOf(settings.nodeId))
    return composed.pipe(Layer.provide(Layer.merge(transport, PrometheusMeters.layerMemory))) as Layer.Layer<never, unknown>
  }

  private get times() {
    const { submitMsMax, syncMsMax, silentMsMax } = this.parts.plan
    return { submitMsMax, syncMsMax, liveness: { silentMsMax } }
  }

  private get described() {
    const { nodeId } = this.settings
    return { nodeId, name: `n${nodeId}`, version: "1", addresses: [], rpcAddress: addressOf(nodeId) }
  }

  private get member() {
    const { parts, settings, machine } = this
    const { nodeId, initialMembers, contacts } = settings
    const store = Layer.scoped(
      RaftStore,
      Effect.map(machine.store, (opened) => watched(opened, nodeId, parts.group, (write) => parts.commands.told(write)))
    )
    const links = Layer.mergeAll(RpcClusterPeers.layer, this.raftTransport, MetadataRpcServer.layer)
    const member = MetadataMember.layer({
      node: { ...this.described, roles: ["meta", "broker"] },
      initialMembers,
      contacts: contacts(),
      raft: parts.plan.raft,
      ...this.times
    })
    return MetadataMember.ready.pipe(
      Layer.provideMerge(Layer.tap(member, (context) => this.begins(context, Context.get(context, RaftNode)))),
      Layer.provideMerge(links),
      Layer.provide(LocalPeer.layer({ nodeId })),
      Layer.provide(store)
    )
  }

  private get observer() {
    const { nodeId, contacts } = this.settings
    const observer = ObserverMetadata.layer({
      node: { ...this.described, roles: ["broker"] },
      contacts: contacts(),
      ...this.times
    })
    return MetadataMember.ready.pipe(
      Layer.provideMerge(Layer.tap(observer, (context) => this.begins(context, undefined))),
      Layer.provideMerge(Layer.mergeAll(RpcClusterPeers.layer, MetadataRpcServer.layer)),
      Layer.provide(LocalPeer.layerObserver({ nodeId }))
    )
  }

  /** As it ships, watched. */
  private get raftTransport() {
    const { group } = this.parts
    return Layer.scoped(
      RaftTransport,
      Effect.map(RpcRaftTransport.make({ address: addressOf(this.settings.nodeId) }), (transport) => ({
        ...transport,
        send: (message: Parameters<typeof transport.send>[0]) => {
          group.sent(message)
          transport.send(message)
        }
      }))
    )
  }

  /** Before the node is ready: what it knows by then can be asked for. */
  private begins(
    context: Context.Context<Metadata | Controller | ClusterControl>,
    raft: RaftNodeService | undefined
  ): Effect.Effect<void, never, LocalPeer.LocalPeer> {
    return Effect.map(LocalPeer.LocalPeer, ({ peer }) => {
      const metadata = Context.get(context, Metadata)
      const { views } = this.parts
      let before: Image = metadata.image()
      views.shows(this.nodeId, undefined, before)
      metadata.onChange(() => {
        const image = metadata.image()
        views.shows(this.nodeId, before, image)
        before = image
      })
      this.running = {
        metadata,
        controller: Context.get(context, Controller),
        control: Context.get(context, ClusterControl),
        report: peer.report,
        raft
      }
    })
  }
}
