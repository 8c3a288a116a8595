/**
 * Nodes of one cluster in this process, over stores, a Raft transport and calls in memory; they can be stopped, started again and
 * cut off from each other.
 */
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { emptyContents, type MemoryContents, make as makeStore } from "@effectmq/raft/MemoryRaftStore"
import { MemoryRaftHub } from "@effectmq/raft/MemoryRaftTransport"
import type { RaftNodeOptions } from "@effectmq/raft/RaftNodeOptions"
import { RaftStore } from "@effectmq/raft/RaftStore"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as LocalPeer from "../../src/LocalPeer.js"
import { MemoryClusterHub } from "../../src/MemoryClusterPeers.js"
import * as MetadataMember from "../../src/MetadataMember.js"
import * as ObserverMetadata from "../../src/ObserverMetadata.js"

export const memberOf = (nodeId: number): Member => ({ nodeId, address: `node${nodeId}:1` })

/** Waits until it holds; the test's own limit ends it otherwise. */
export const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

export interface RunningNode extends MetadataMember.MetadataMemberServices {
  readonly nodeId: number
  readonly stop: () => Promise<void>
}

export class MemoryCluster {
  readonly raftHub = new MemoryRaftHub()
  readonly clusterHub = new MemoryClusterHub()
  readonly running = new Map<number, RunningNode>()
  readonly contents = new Map<number, MemoryContents>()
  private readonly observers = new Set<() => Promise<void>>()
  readonly logged: Array<string> = []
  /** Nodes that hear nobody and are heard by nobody. */
  readonly cutOff = new Set<number>()
  private readonly logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => {
      this.logged.push(`${logLevel.label} ${[message].flat().map(String).join(" ")}`)
    })
  )

  constructor(
    readonly firstIds: ReadonlyArray<number>,
    readonly options: Partial<MetadataMember.MetadataMemberOptions> = {}
  ) {
    const isCut = (from: number, to: number) => this.cutOff.has(from) || this.cutOff.has(to)
    this.raftHub.drops = ({ from, to }) => isCut(from, to)
    this.clusterHub.cuts = isCut
  }

  contentsOf(nodeId: number): MemoryContents {
    const known = this.contents.get(nodeId) ?? emptyContents()
    this.contents.set(nodeId, known)
    return known
  }

  /** Resolves when the member is at work, whether or not there is a majority. */
  async start(
    nodeId: number,
    raft: Partial<RaftNodeOptions> = {},
    /** The first members, where they are not the cluster's; none: it waits to be added. */
    firstIds: ReadonlyArray<number> = this.firstIds.includes(nodeId) ? this.firstIds : []
  ): Promise<RunningNode> {
    const scope = Effect.runSync(Scope.make())
    const services = MetadataMember.make({
      node: { nodeId, name: `n${nodeId}`, version: "1", addresses: [], roles: ["meta"], rpcAddress: memberOf(nodeId).address },
      initialMembers: firstIds.map(memberOf),
      contacts: this.firstIds.map(memberOf),
      submitMsMax: 15_000,
      syncMsMax: 2_000,
      ...this.options,
      raft: { ...this.options.raft, ...raft }
    })
    const store = Layer.sync(RaftStore, () => makeStore(this.contentsOf(nodeId)))
    const parts = Layer.mergeAll(this.raftHub.layer(nodeId), PrometheusMeters.layerMemory, this.clusterHub.layer(nodeId)).pipe(
      Layer.provideMerge(LocalPeer.layer({ nodeId })),
      Layer.provideMerge(store)
    )
    const started = Effect.flatMap(Layer.buildWithScope(parts, scope), (context) =>
      Effect.provide(Scope.extend(services, scope), context)
    )
    const stop = async () => {
      if (this.running.get(nodeId)?.stop === stop) this.running.delete(nodeId)
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
    const exit = await Effect.runPromiseExit(Effect.provide(started, this.logger))
    if (Exit.isFailure(exit)) {
      await stop()
      throw Cause.squash(exit.cause)
    }
    const node = { ...exit.value, nodeId, stop }
    this.running.set(nodeId, node)
    return node
  }

  async startObserver(nodeId: number): Promise<ObserverMetadata.ObserverServices & { readonly stop: () => Promise<void> }> {
    const scope = Effect.runSync(Scope.make())
    const services = ObserverMetadata.make({
      node: { nodeId, name: `o${nodeId}`, version: "1", addresses: [], roles: ["broker"], rpcAddress: memberOf(nodeId).address },
      contacts: this.firstIds.map(memberOf),
      submitMsMax: 15_000,
      syncMsMax: 2_000,
      ...(this.options.liveness === undefined ? {} : { liveness: this.options.liveness })
    })
    const parts = Layer.provideMerge(this.clusterHub.layer(nodeId), LocalPeer.layerObserver({ nodeId }))
    const started = Effect.flatMap(Layer.buildWithScope(parts, scope), (context) =>
      Effect.provide(Scope.extend(services, scope), context)
    )
    const stop = async () => {
      this.observers.delete(stop)
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
    this.observers.add(stop)
    return { ...(await Effect.runPromise(Effect.provide(started, this.logger))), stop }
  }

  /** Resolves when all of them can serve. */
  async startAll(): Promise<ReadonlyArray<RunningNode>> {
    const nodes = await Promise.all(this.firstIds.map((nodeId) => this.start(nodeId)))
    await Promise.all(nodes.map((node) => Effect.runPromise(node.usable)))
    return nodes
  }

  node(nodeId: number): RunningNode {
    const node = this.running.get(nodeId)
    if (node === undefined) throw new Error(`node ${nodeId} does not run`)
    return node
  }

  /** A node among those that are not cut off which leads in the newest term. */
  async leader(): Promise<RunningNode> {
    const found = () =>
      [...this.running.values()]
        .filter(({ nodeId, machine }) => machine.leadsInTerm > 0 && !this.cutOff.has(nodeId))
        .sort((left, right) => right.machine.leadsInTerm - left.machine.leadsInTerm)[0]
    await until(() => found() !== undefined)
    return found() as RunningNode
  }

  async stopAll(): Promise<void> {
    for (const stop of [...this.observers]) await stop()
    for (const node of [...this.running.values()]) await node.stop()
  }
}
