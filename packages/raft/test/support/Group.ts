/**
 * Members of one Raft group in this process, over stores and a transport in memory, that can be killed and started again.
 */
import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { MemoryRaftHub } from "../../src/MemoryRaftTransport.js"
import { emptyContents, make as makeStore, type MemoryContents } from "../../src/MemoryRaftStore.js"
import * as RaftNode from "../../src/RaftNode.js"
import { defaultOptions, type RaftNodeOptions } from "../../src/RaftNodeOptions.js"
import { RaftStore, type RaftStoreService } from "../../src/RaftStore.js"
import type { RaftTransport } from "../../src/RaftTransport.js"
import { Registry } from "./Registry.js"

export const memberOf = (nodeId: number): Member => ({ nodeId, address: `node${nodeId}:1` })

/** Waits until it holds; the test's own limit ends it otherwise. */
export const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

export interface Running {
  readonly nodeId: number
  readonly node: RaftNode.RaftNodeService
  readonly registry: Registry
  /** Its figures by name. */
  readonly figures: () => ReadonlyMap<string, number>
  /** What it logged, as `LEVEL message`. */
  readonly lines: ReadonlyArray<string>
  readonly stop: () => Promise<void>
}

export class Group {
  readonly hub = new MemoryRaftHub()
  readonly running = new Map<number, Running>()
  readonly contents = new Map<number, MemoryContents>()
  /** What is put between a member and its store. */
  wrapStore: (store: RaftStoreService, nodeId: number) => RaftStoreService = (store) => store

  constructor(
    readonly firstIds: ReadonlyArray<number>,
    readonly options: Partial<RaftNodeOptions> = {}
  ) {}

  /** Where a member is. */
  memberOf(nodeId: number): Member {
    return memberOf(nodeId)
  }

  transport(nodeId: number): Layer.Layer<RaftTransport, unknown> {
    return this.hub.layer(nodeId)
  }

  contentsOf(nodeId: number): MemoryContents {
    const known = this.contents.get(nodeId) ?? emptyContents()
    this.contents.set(nodeId, known)
    return known
  }

  async start(nodeId: number, options: Partial<RaftNodeOptions> = {}): Promise<Running> {
    const scope = Effect.runSync(Scope.make())
    const registry = new Registry()
    const store = Layer.succeed(RaftStore, this.wrapStore(makeStore(this.contentsOf(nodeId)), nodeId))
    const all: RaftNodeOptions = {
      ...defaultOptions,
      nodeId,
      initialMembers: this.firstIds.includes(nodeId) ? this.firstIds.map((id) => this.memberOf(id)) : [],
      contacts: this.firstIds.map((id) => this.memberOf(id)),
      ...this.options,
      ...options
    }
    // What goes wrong here goes wrong on purpose: nobody needs to read of it.
    const lines: Array<string> = []
    const kept = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel.label} ${String(message)}`))
    const quiet = Logger.replace(Logger.defaultLogger, kept)
    const parts = Layer.mergeAll(store, this.transport(nodeId), PrometheusMeters.layerMemory, quiet)
    const layer = Layer.provideMerge(RaftNode.layer(all, registry), parts)
    const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
    const meters = Context.get(context, Meters)
    const node = Context.get(context, RaftNode.RaftNode)
    const stop = async () => {
      this.running.delete(nodeId)
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
    const running = { nodeId, node, registry, figures: () => meters.snapshot(), lines, stop }
    this.running.set(nodeId, running)
    return running
  }

  async startAll(): Promise<ReadonlyArray<Running>> {
    return Promise.all(this.firstIds.map((nodeId) => this.start(nodeId)))
  }

  member(nodeId: number): Running {
    const running = this.running.get(nodeId)
    if (running === undefined) throw new Error(`node ${nodeId} does not run`)
    return running
  }

  /** The leader that most of those that run follow. */
  async leader(): Promise<Running> {
    let found: Running | undefined
    await until(() => {
      found = undefined
      for (const candidate of this.running.values()) {
        const { role, term } = candidate.node.status()
        const followers = [...this.running.values()].filter(({ node }) => {
          const status = node.status()
          return status.term === term && status.leaderId === candidate.nodeId
        })
        if (role === "leader" && candidate.registry.told.includes(`began ${term}`) && followers.length > this.running.size / 2) {
          found = candidate
        }
      }
      return found !== undefined
    })
    return found as unknown as Running
  }

  /** Proposes at whoever leads until it is applied there; answers the index. */
  async put(text: string): Promise<number> {
    for (;;) {
      const leader = await this.leader()
      const { term } = leader.node.status()
      const index = Either.getOrUndefined(leader.node.propose(term, Buffer.from(text)))
      if (index === undefined) continue
      await until(() => leader.node.status().appliedIndex >= index || leader.node.status().term !== term)
      if (leader.registry.texts.includes(text)) return index
    }
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.running.values()].map((running) => running.stop()))
  }
}
