/**
 * Makes things go wrong, and right again, as a plan says: what is the same for nodes of every kind, their links and their clocks. What
 * else happens to nodes, those that extend this say.
 */
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import { goodLink, type LinkQuality, type SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import type { VirtualWorld } from "@effectmq/testing/VirtualWorld"

/** Of links and clocks. */
export type CommonAction =
  | "partition"
  | "isolateLeader"
  | "cutOneWay"
  | "cutClients"
  | "heal"
  | "links"
  | "slowLink"
  | "jumpClock"
  | "drift"

export type Weighted<A> = ReadonlyArray<readonly [weight: number, value: A]>

/** What a plan of any kind draws. */
export interface FaultPlan<Action> {
  readonly faultsMs: number
  /** Between two actions: up to this. */
  readonly actionGapMsMax: number
  readonly actions: Weighted<Action>
  readonly links: LinkQuality
  readonly worstLinks: LinkQuality
  /** How long a killed node stays down: up to this. */
  readonly downMsMax: number
  readonly pauseMsMax: number
}

interface Node {
  readonly nodeId: number
  readonly process: VirtualProcess
}

export interface NemesisParts<N extends Node, Action> {
  readonly world: VirtualWorld
  readonly network: SimulatedNetwork
  readonly random: SeededRandom
  readonly plan: FaultPlan<Action>
  readonly nodes: ReadonlyArray<N>
  readonly clients: VirtualProcess
}

export abstract class Nemesis<N extends Node, Action extends string, Parts extends NemesisParts<N, Action>> {
  private quality: LinkQuality
  readonly counts = new Map<string, number>()

  constructor(protected readonly parts: Parts) {
    this.quality = parts.plan.links
  }

  /** Nodes that were not taken out. */
  protected abstract readonly present: ReadonlyArray<N>
  abstract readonly leader: N | undefined
  protected abstract readonly clockJumpsMs: ReadonlyArray<number>
  /** How a slow link differs from the worst of the plan. */
  protected abstract readonly slowLink: Partial<LinkQuality>

  protected abstract act(action: Action, node: N, other: N): void

  /** Acts until its time is over. */
  async run(): Promise<void> {
    const { world, random, plan } = this.parts
    this.applyLinks()
    while (world.nowMs < plan.faultsMs) {
      await world.sleep(random.next() * plan.actionGapMsMax)
      const action = random.weighted(plan.actions)
      const { present } = this
      const node = random.pick(present)
      const other = random.pick(present)
      this.counts.set(action, (this.counts.get(action) ?? 0) + 1)
      this.act(action, node, other)
    }
  }

  protected mendLinks(): void {
    this.parts.network.heal()
    this.quality = goodLink
    this.applyLinks()
  }

  applyLinks(): void {
    const { network, nodes, clients } = this.parts
    network.setQuality(this.quality)
    // What a client sends goes over a stream: it may be lost with that, and is not doubled.
    const forClients = { ...this.quality, duplicateChance: 0, ordered: true }
    for (const { process } of nodes) {
      network.setLinkQuality(clients, process, forClients)
      network.setLinkQuality(process, clients, forClients)
    }
  }

  protected note(text: string): void {
    this.parts.world.note(text)
  }

  protected actOnLinksAndClocks(action: CommonAction, node: N, other: N): void {
    const { random, network, plan, clients } = this.parts
    const { present } = this
    const { nodeId, process } = node
    const say = (text: string) => this.note(`* ${text}`)
    const processes = (nodes: ReadonlyArray<N>) => nodes.map((one) => one.process)
    switch (action) {
      case "partition": {
        const side = present.filter(() => random.chance(0.5))
        const rest = present.filter((one) => !side.includes(one))
        say(`partition ${side.map((one) => one.nodeId)} from ${rest.map((one) => one.nodeId)}`)
        return network.partition(processes(side), processes(rest))
      }
      case "isolateLeader": {
        const leader = this.leader ?? node
        say(`cut off node ${leader.nodeId}`)
        return network.partition([leader.process], processes(present.filter((one) => one !== leader)))
      }
      case "cutOneWay":
        say(`cut from node ${nodeId} to node ${other.nodeId}`)
        return network.cut(process, other.process)
      case "cutClients":
        say(`cut clients off node ${nodeId}`)
        return network.partition([clients], [process])
      case "heal":
        say("heal the network")
        return network.heal()
      case "links":
        this.quality = random.pick([goodLink, plan.links, plan.worstLinks])
        say(`links: ${JSON.stringify(this.quality)}`)
        return this.applyLinks()
      case "slowLink":
        say(`slow link from node ${nodeId} to node ${other.nodeId}`)
        return network.setLinkQuality(process, other.process, { ...plan.worstLinks, ...this.slowLink })
      case "jumpClock": {
        const ms = random.pick(this.clockJumpsMs)
        say(`the clock of node ${nodeId} jumps by ${ms} ms`)
        return process.jumpClock(ms)
      }
      case "drift": {
        const rate = random.pick([0.8, 0.95, 1, 1.05, 1.2])
        say(`the clocks of node ${nodeId} run at ${rate}`)
        return process.setRate(rate)
      }
    }
  }
}
