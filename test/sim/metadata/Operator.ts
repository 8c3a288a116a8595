/**
 * Whoever looks after the cluster: starts nodes, restarts those that take part no more, replaces those whose disk is damaged, adds and
 * removes some, and hands leadership over. It does what the messages of nodes say, through any node, as the command line does.
 */
import type { MetadataError } from "@effectmq/schemas/errors/MetadataError"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import type { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { sayFailure } from "../cluster/SayFailure.js"
import type { Violations } from "../cluster/Violations.js"
import type { MetadataPlan } from "./MetadataPlan.js"
import { addressOf, type Running, type SimulatedNode } from "./SimulatedNode.js"

export interface OperatorParts {
  readonly world: VirtualWorld
  readonly random: SeededRandom
  readonly plan: MetadataPlan
  readonly nodes: Array<SimulatedNode>
  readonly violations: Violations
  /** A member that begins with nothing. */
  readonly newMember: () => SimulatedNode
  /** Links of a new node. */
  readonly applyLinks: () => void
}

/** What a store says that cannot be used any more. */
const saysToReplace =
  /remove this node from it, move the files .* away and add the node anew|remove it from the group and add it anew/

/** What a node says that is not in the cluster any more; the second where it had nothing of it yet. */
const saysTakenOut = /it was taken out of the cluster|is of a cluster that this node is not in/

const nodesInAllMax = 16

export class Operator {
  /** A change of the cluster is under way. */
  isBusy = false
  private isStopping = false

  constructor(private readonly parts: OperatorParts) {}

  get present(): ReadonlyArray<SimulatedNode> {
    return this.parts.nodes.filter(({ removed }) => !removed)
  }

  get leader(): SimulatedNode | undefined {
    const termOf = (node: SimulatedNode) => node.running?.raft?.status().term ?? 0
    return this.present
      .filter(({ running }) => running?.raft?.status().role === "leader")
      .sort((a, b) => termOf(b) - termOf(a))[0]
  }

  /** As whoever leads says. */
  get membership(): Membership | undefined {
    return this.leader?.running?.raft?.status().membership
  }

  /** As whoever leads says, as soon as somebody does. */
  private async isMember({ nodeId }: SimulatedNode): Promise<boolean> {
    const { world, violations } = this.parts
    while (this.membership === undefined && violations.none) await world.sleep(100)
    return this.membership?.members.some((member) => member.nodeId === nodeId) ?? true
  }

  /** Nothing new is begun. */
  stop(): void {
    this.isStopping = true
  }

  // --- nodes

  /** Until it runs, or is killed, or cannot. */
  async start(node: SimulatedNode): Promise<void> {
    const { world, violations } = this.parts
    for (;;) {
      const failure = await node.start()
      if (failure === undefined) return
      this.note(`node ${node.nodeId} does not start: ${failure}`)
      if (node.removed) return
      // It may be started again while it is being removed, or after nobody knew whether it was.
      if (saysTakenOut.test(failure) && !(await this.isMember(node))) {
        node.removed = true
        return
      }
      if (saysToReplace.test(failure)) {
        if (node.machine.isDamaged) return void this.whenFree(() => this.replace(node))
        return violations.add(`node ${node.nodeId} does not start, and nothing was done to its disk: ${failure}`)
      }
      if (!node.startWasFaulty) return violations.add(`node ${node.nodeId} does not start: ${failure}`)
      await world.sleep(500)
      if (node.process.alive || node.removed) return
    }
  }

  async restartLater(node: SimulatedNode): Promise<void> {
    const { world, random, plan } = this.parts
    await world.sleep(random.next() * plan.downMsMax)
    if (!node.process.alive && !node.removed) await this.start(node)
  }

  /** Restarts nodes that take part no more, as somebody would who reads what they say. */
  restartFenced(): void {
    const { violations } = this.parts
    for (const node of this.present) {
      const fenced = node.running?.raft?.status().fenced
      if (fenced === undefined) continue
      // It is left running for a while after it was removed, or nobody knew whether it was.
      if (saysTakenOut.test(fenced) && this.membership?.members.every(({ nodeId }) => nodeId !== node.nodeId) !== false) continue
      if (!node.machine.isFaulty && !node.machine.isDamaged) violations.add(`node ${node.nodeId} takes part no more: ${fenced}`)
      this.note(`* restart node ${node.nodeId}, which takes part no more: ${fenced}`)
      node.kill("kept")
      void this.restartLater(node)
    }
  }

  // --- the cluster

  /** Does one thing at a time. */
  async change(change: () => Promise<void>): Promise<void> {
    if (this.isBusy || this.isStopping) return
    this.isBusy = true
    try {
      await change()
    } finally {
      this.isBusy = false
    }
  }

  private async whenFree(change: () => Promise<void>): Promise<void> {
    while (this.isBusy) await this.parts.world.sleep(200)
    this.isBusy = true
    try {
      await change()
    } finally {
      this.isBusy = false
    }
  }

  /** Asks any node; true where it was done. */
  private async ask(what: string, call: (running: Running) => Effect.Effect<unknown, MetadataError>, not?: SimulatedNode) {
    const able = this.present.filter((node) => node.running !== undefined && node !== not)
    if (able.length === 0) return false
    const node = this.parts.random.pick(able)
    const exit = await node.process.run(call(node.running as Running))
    this.note(`* ${what} through node ${node.nodeId}: ${Exit.isSuccess(exit) ? "done" : sayFailure(exit.cause)}`)
    return Exit.isSuccess(exit)
  }

  async addNode(): Promise<SimulatedNode | undefined> {
    const { nodes, random } = this.parts
    if (nodes.length >= nodesInAllMax) return undefined
    const node = this.parts.newMember()
    nodes.push(node)
    this.parts.applyLinks()
    void this.start(node)
    const voter = random.chance(0.8) || (this.membership?.voters.length ?? 1) < 3
    const added = { nodeId: node.nodeId, address: addressOf(node.nodeId), voter }
    const isAdded = await this.ask(
      `add node ${node.nodeId} as a ${voter ? "voter" : "learner"}`,
      ({ control }) => control.addNode(added),
      node
    )
    return isAdded ? node : undefined
  }

  async removeNode(node: SimulatedNode): Promise<boolean> {
    const { world, random } = this.parts
    const isDone = await this.ask(`remove node ${node.nodeId}`, ({ control }) => control.removeNode(node.nodeId))
    // Where nobody knows whether it was, the cluster does.
    const members = this.membership?.members
    if (!isDone && (members === undefined || members.some(({ nodeId }) => nodeId === node.nodeId))) return false
    // Now and then it is left running: it must disturb nobody.
    await world.sleep(random.pick([0, 2_000]))
    node.removed = true
    if (node.process.alive) node.kill("kept")
    return true
  }

  /** Whose disk is damaged: out with it, and another one in its place, under a new number. */
  async replace(node: SimulatedNode): Promise<void> {
    const remove = () => this.again(async () => node.removed || (await this.removeNode(node)))
    const add = () => this.again(async () => this.parts.nodes.length >= nodesInAllMax || (await this.addNode()) !== undefined)
    const isLonely = (this.membership?.voters.length ?? 1) < 3
    const [first, second] = isLonely || this.parts.random.chance(0.5) ? [add, remove] : [remove, add]
    await first()
    await second()
  }

  private async again(attempt: () => Promise<boolean>): Promise<void> {
    const { world, violations } = this.parts
    while (violations.none && !(await attempt())) await world.sleep(500)
  }

  async transfer(to: SimulatedNode): Promise<void> {
    await this.ask(`hand leadership to node ${to.nodeId}`, ({ control }) => control.transferLeadership(to.nodeId))
  }

  async snapshot(): Promise<void> {
    await this.ask("take a snapshot", ({ control }) => control.takeSnapshot)
  }

  async export(): Promise<void> {
    await this.ask("export a snapshot", ({ control }) => Stream.runDrain(control.exportSnapshot))
  }

  private note(text: string): void {
    this.parts.world.note(text)
  }
}
