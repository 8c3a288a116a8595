/**
 * One run of the simulation of a cluster's metadata: nodes as the server composes them on simulated disks and a simulated network,
 * clients, somebody who looks after the cluster, and faults, all drawn from one seed. Then faults stop and progress is demanded; then the
 * history is judged. The same seed gives the same run.
 */
import type { Member } from "@effectmq/schemas/raft/Membership"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import { SimulatedNodes } from "@effectmq/testing/SimulatedNodeTransport"
import { SimulatedSqlite } from "@effectmq/testing/SimulatedSqlite"
import { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import * as Exit from "effect/Exit"
import { GroupWatch } from "../cluster/GroupWatch.js"
import { judgeHistory } from "../cluster/judgeHistory.js"
import { Violations } from "../cluster/Violations.js"
import { CommandWatch } from "./CommandWatch.js"
import { MetadataClients } from "./MetadataClients.js"
import { MetadataNemesis } from "./MetadataNemesis.js"
import { planOf, type MetadataPlan } from "./MetadataPlan.js"
import { NodeMachine } from "./NodeMachine.js"
import { objectModel } from "./ObjectModel.js"
import { Operator } from "./Operator.js"
import { addressOf, SimulatedNode } from "./SimulatedNode.js"
import { ViewWatch } from "./ViewWatch.js"

export interface MetadataOutcome {
  readonly seed: number
  /** Empty where everything held. */
  readonly faults: ReadonlyArray<string>
  readonly trace: ReadonlyArray<string>
  readonly traceHash: string
  readonly stats: {
    readonly simulatedMs: number
    readonly tasks: number
    readonly operations: number
    readonly unknown: number
    readonly refused: number
    readonly staleReads: number
    readonly committed: number
    readonly elections: number
    readonly starts: number
    readonly messages: number
    readonly actions: Readonly<Record<string, number>>
  }
}

/** Simulated time in which a cluster that works has long done everything. */
const progressMs = 20_000
/** Somebody who replaces a node waits until the new one has caught up. */
const operatorMs = 90_000

class MetadataSimulation {
  private readonly world: VirtualWorld
  private readonly plan: MetadataPlan
  private readonly violations: Violations
  private readonly network: SimulatedNetwork
  private readonly transport: SimulatedNodes
  private readonly group: GroupWatch
  private readonly commands: CommandWatch
  private readonly views: ViewWatch
  private readonly nodes: Array<SimulatedNode> = []
  private readonly clients: MetadataClients
  private readonly operator: Operator
  private readonly nemesis: MetadataNemesis
  private readonly first: ReadonlyArray<Member>

  constructor(
    readonly seed: number,
    private readonly sqlite: SimulatedSqlite
  ) {
    this.world = new VirtualWorld({ seed })
    this.plan = planOf(seed)
    this.violations = new Violations((text) => this.world.note(text))
    this.network = new SimulatedNetwork(this.world)
    this.transport = new SimulatedNodes(this.world, this.network)
    this.commands = new CommandWatch(this.violations, () => this.group)
    this.group = new GroupWatch(this.violations, (seen) => this.commands.committed(seen))
    this.views = new ViewWatch(this.violations)
    const { world, network, transport, plan, nodes, commands, violations } = this
    this.first = Array.from({ length: plan.nodes }, (_, index) => ({ nodeId: index + 1, address: addressOf(index + 1) }))
    const process = world.process("clients")
    this.operator = new Operator({
      world,
      random: new SeededRandom(seed, 13),
      plan,
      nodes,
      violations,
      newMember: () => this.newNode(false, []),
      applyLinks: () => this.nemesis.applyLinks()
    })
    const { operator } = this
    this.clients = new MetadataClients({
      process,
      network,
      random: new SeededRandom(seed, 11),
      plan,
      commands,
      violations,
      nodes: () => operator.present
    })
    this.nemesis = new MetadataNemesis({
      world,
      network,
      transport,
      random: new SeededRandom(seed, 12),
      plan,
      nodes,
      clients: process,
      operator
    })
  }

  async run(): Promise<MetadataOutcome> {
    const { world, violations } = this
    try {
      await world.run(() => this.drive())
      if (violations.none) judgeHistory(violations, objectModel, this.clients.history)
    } catch (error) {
      violations.add(`thrown: ${(error as Error).stack ?? String(error)}`)
    } finally {
      // Their databases take no memory in the next run.
      for (const { machine } of this.nodes) machine.disk.crash()
    }
    return this.outcome
  }

  private newNode(isObserver: boolean, initialMembers: ReadonlyArray<Member>): SimulatedNode {
    const { world, transport, group, commands, views, plan, nodes, first } = this
    const nodeId = nodes.length + 1
    const process = world.process(`node ${nodeId}`)
    const random = new SeededRandom(this.seed, 500 + nodeId)
    const stopped = () => world.root.post(() => this.nemesis.stopped(node))
    const machine = new NodeMachine(this.sqlite, random, process, plan.diskLatencyMsMax, plan.checkpointBytes, stopped)
    /** Some that are there, as the configuration of a node is to name them whenever it starts. */
    const contacts = (): ReadonlyArray<Member> => {
      const areThere = nodes.filter((one) => !one.isObserver && !one.removed && one.nodeId !== nodeId)
      const firstThere = first.filter((member) => areThere.some((one) => one.nodeId === member.nodeId))
      const others = areThere.map((one) => ({ nodeId: one.nodeId, address: addressOf(one.nodeId) }))
      return nodes.some(({ removed }) => removed) && firstThere.length === 0 ? others : first
    }
    const settings = { nodeId, isObserver, initialMembers, contacts }
    const node: SimulatedNode = new SimulatedNode({ nodes: transport, group, commands, views, plan }, settings, process, machine)
    return node
  }

  private async drive(): Promise<void> {
    const { plan, nodes, nemesis, clients, operator, world, violations } = this
    world.note(`plan: ${JSON.stringify(plan)}`)
    for (let count = plan.nodes; count > 0; count--) nodes.push(this.newNode(false, this.first))
    for (let count = plan.observers; count > 0; count--) nodes.push(this.newNode(true, []))
    for (const node of nodes) void operator.start(node)
    const working = Array.from({ length: plan.clients }, (_, client) => clients.run(client + 1))
    const watching = this.watch()
    await Promise.race([nemesis.run(), watching])
    if (violations.none) nemesis.heal()
    if (violations.none) await this.progress(working)
    clients.stopping = true
  }

  /** Whatever is found ends the run at once. */
  private async watch(): Promise<void> {
    const { violations, clients, operator, world } = this
    for (let turn = 0; violations.none && !clients.stopping; turn++) {
      await world.sleep(100)
      operator.restartFenced()
      if (turn % 10 === 0) clients.checkWaiting()
      const node = operator.present[turn % operator.present.length]
      if (turn % 30 === 0 && node !== undefined) void this.report(node)
    }
  }

  private async report({ process, running }: SimulatedNode): Promise<void> {
    if (running === undefined) return
    const exit = await process.run(running.report)
    if (Exit.isSuccess(exit)) this.views.reports(exit.value)
  }

  private async within(limitMs: number, what: string, done: () => Promise<boolean> | boolean): Promise<boolean> {
    const { world, violations } = this
    const untilMs = world.nowMs + limitMs
    while (!(await done())) {
      if (!violations.none) return false
      if (world.nowMs > untilMs) {
        violations.add(`not within ${limitMs / 1000} s after the faults stopped: ${what}; ${this.state}`)
        return false
      }
      await world.sleep(50)
    }
    return true
  }

  private async progress(working: ReadonlyArray<Promise<void>>): Promise<void> {
    const { world, clients, plan, operator } = this
    const write = () => clients.change(0, { _tag: "Put", name: "setting-1", value: "last" }, undefined, 1)
    if (!(await this.within(progressMs, "a change is made", write))) return
    operator.stop()
    if (!(await this.within(operatorMs, "the operator is done", () => !operator.isBusy))) return
    clients.stopping = true
    await Promise.race([Promise.all(working), world.sleep(30 * plan.callTimeoutMs)])
    const { membership } = operator
    if (membership === undefined) return this.violations.add("nobody leads after a change was made")
    const present = this.nodes.filter(
      ({ nodeId, isObserver }) => isObserver || membership.members.some((member) => member.nodeId === nodeId)
    )
    for (const node of present) {
      const read = async () => (await clients.read(0, "setting-1", node)) !== undefined
      if (!(await this.within(progressMs, `a read through node ${node.nodeId}`, read))) return
      const change = () => clients.change(0, { _tag: "Put", name: "setting-1", value: `last ${node.nodeId}` }, node, 1)
      if (!(await this.within(progressMs, `a change through node ${node.nodeId}`, change))) return
    }
    const stands = ({ nodeId, running }: SimulatedNode) => {
      const known = running?.metadata.image().nodesById.get(String(nodeId))
      return known !== undefined && known.fencedAtMs === undefined
    }
    if (!(await this.within(progressMs, "no node that is there is fenced", () => present.every(stands)))) return
    const versions = () => new Set(present.map(({ running }) => running?.metadata.image().version))
    if (!(await this.within(progressMs, "all nodes at the same version", () => versions().size === 1))) return
    for (const node of present) {
      if (node.running !== undefined) this.commands.final(node.nodeId, node.running.metadata.image())
      await this.report(node)
    }
  }

  /** For people: who is where. */
  private get state(): string {
    return this.nodes
      .map(({ nodeId, running, removed }) => {
        if (running === undefined) return `${nodeId} ${removed ? "removed" : "down"}`
        const { version } = running.metadata.image()
        const status = running.raft?.status()
        if (status === undefined) return `${nodeId} observer at ${version}${running.metadata.isStale() ? ", stale" : ""}`
        const { role, term, leaderId, lastIndex, commitIndex, appliedIndex, fenced } = status
        const log = `last ${lastIndex} commit ${commitIndex} applied ${appliedIndex}`
        return `${nodeId} ${role} term ${term} leader ${leaderId} ${log} version ${version}${fenced === undefined ? "" : ` fenced: ${fenced}`}`
      })
      .join("; ")
  }

  private get outcome(): MetadataOutcome {
    const { seed, world, violations, clients, group, nodes, network, nemesis } = this
    const count = (is: (output: { readonly _tag: string } | undefined) => boolean) =>
      clients.history.filter(({ output }) => is(output)).length
    return {
      seed,
      faults: violations.all,
      trace: world.trace,
      traceHash: world.traceHash,
      stats: {
        simulatedMs: world.nowMs,
        tasks: world.tasksRun,
        operations: clients.history.length,
        unknown: count((output) => output === undefined),
        refused: count((output) => output?._tag === "Refused"),
        staleReads: clients.staleReads,
        committed: group.lastCommittedIndex,
        elections: group.elections,
        starts: nodes.reduce((sum, { starts }) => sum + starts, 0),
        messages: network.counts.sent,
        actions: Object.fromEntries(nemesis.counts)
      }
    }
  }
}

export const simulateMetadata = async (seed: number): Promise<MetadataOutcome> =>
  new MetadataSimulation(seed, await SimulatedSqlite.load()).run()
