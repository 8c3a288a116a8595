/**
 * One run of the cluster simulation: a Raft group, clients, and faults, all drawn from one seed. Then faults stop and progress is
 * demanded; then the history is judged. The same seed gives the same run.
 */
import type { Member as RaftMember } from "@effectmq/schemas/raft/Membership"
import { registerModel } from "@effectmq/testing/RegisterModel"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import { SimulatedRaftTransport } from "@effectmq/testing/SimulatedRaftTransport"
import { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import { Clients } from "./Clients.js"
import { type ClusterPlan, planOf } from "./ClusterPlan.js"
import { GroupWatch } from "./GroupWatch.js"
import { ImageWatch } from "./ImageWatch.js"
import { judgeHistory } from "./judgeHistory.js"
import { Member } from "./Member.js"
import { ClusterNemesis } from "./ClusterNemesis.js"
import { Violations } from "./Violations.js"

export interface ClusterOutcome {
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
    readonly committed: number
    readonly elections: number
    readonly starts: number
    readonly messages: number
    readonly actions: Readonly<Record<string, number>>
  }
}

/** Simulated time in which a group that works has long done everything. */
const progressMs = 20_000

class ClusterSimulation {
  private readonly world: VirtualWorld
  private readonly plan: ClusterPlan
  private readonly violations: Violations
  private readonly network: SimulatedNetwork
  private readonly group: GroupWatch
  private readonly images: ImageWatch
  private readonly transport: SimulatedRaftTransport
  private readonly members: Array<Member> = []
  private readonly clients: Clients
  private readonly nemesis: ClusterNemesis
  private readonly first: ReadonlyArray<RaftMember>

  constructor(readonly seed: number) {
    this.world = new VirtualWorld({ seed })
    this.plan = planOf(seed)
    this.violations = new Violations((text) => this.world.note(text))
    this.network = new SimulatedNetwork(this.world)
    this.group = new GroupWatch(this.violations)
    this.images = new ImageWatch(this.violations)
    this.transport = new SimulatedRaftTransport(this.network, (message) => this.group.sent(message))
    const { world, network, plan, images, members } = this
    this.first = Array.from({ length: plan.nodes }, (_, index) => ({ nodeId: index + 1, address: `node-${index + 1}:1` }))
    const process = world.process("clients")
    this.clients = new Clients({
      process,
      network,
      random: new SeededRandom(seed, 11),
      plan,
      images,
      members: () => members.filter((member) => !member.removed)
    })
    this.nemesis = new ClusterNemesis({
      world,
      network,
      random: new SeededRandom(seed, 12),
      plan,
      nodes: members,
      clients: process,
      newMember: () => this.newMember([]),
      fault: (text) => this.violations.add(text)
    })
    this.group.leaderApplies = (nodeId) => this.nemesis.leaderApplies(nodeId)
  }

  async run(): Promise<ClusterOutcome> {
    const { world, violations } = this
    try {
      await world.run(() => this.drive())
      if (violations.none) judgeHistory(violations, registerModel, this.clients.history)
    } catch (error) {
      violations.add(`thrown: ${(error as Error).stack ?? String(error)}`)
    }
    return this.outcome
  }

  private newMember(initialMembers: ReadonlyArray<RaftMember>): Member {
    const { world, transport, group, images, plan, members } = this
    const nodeId = members.length + 1
    return new Member(
      { world, transport, group, images, storeFaults: plan.store },
      { ...plan.raft, nodeId, initialMembers, contacts: this.first }
    )
  }

  private async drive(): Promise<void> {
    const { plan, members, nemesis, clients, world, violations } = this
    world.note(`plan: ${JSON.stringify(plan)}`)
    for (let count = plan.nodes; count > 0; count--) members.push(this.newMember(this.first))
    for (const member of members) void nemesis.start(member)
    const working = Array.from({ length: plan.clients }, (_, client) => clients.run(client + 1))
    // Whatever is found ends the run at once.
    const watching = (async () => {
      while (violations.none && !clients.stopping) await world.sleep(100)
    })()
    await Promise.race([nemesis.run(), watching])
    if (violations.none) await nemesis.heal()
    if (violations.none) await this.progress(working)
    clients.stopping = true
  }

  private async progress(working: ReadonlyArray<Promise<void>>): Promise<void> {
    const { world, clients, plan } = this
    const untilMs = world.nowMs + progressMs
    const within = async (what: string, done: () => Promise<boolean> | boolean): Promise<boolean> => {
      while (!(await done())) {
        if (world.nowMs > untilMs || !this.violations.none) {
          this.violations.add(`no progress ${progressMs / 1000} s after the faults stopped: ${what}; ${this.state}`)
          return false
        }
        await world.sleep(50)
      }
      return true
    }
    if (!(await within("a write", () => clients.write(0, { _tag: "Write", name: "k1", value: "last" })))) return
    clients.stopping = true
    await Promise.race([Promise.all(working), world.sleep(30 * plan.callTimeoutMs)])
    // A change that was asked for before may just now take the leader out.
    if (!(await within("changes of the membership end", () => !this.nemesis.isChanging))) return
    if (!(await within("somebody leads", () => this.nemesis.leader !== undefined))) return
    const membership = this.nemesis.leader?.raft?.status().membership
    if (membership === undefined) return
    const present = this.members.filter(({ nodeId }) => membership.members.some((member) => member.nodeId === nodeId))
    for (const member of present) {
      const read = () => clients.read(0, "k1", member)
      if (!(await within(`a read through node ${member.nodeId}`, async () => (await read()) !== undefined))) return
    }
    const isEven = () =>
      new Set(present.map((member) => member.raft?.status().appliedIndex)).size === 1 &&
      present.every((member) => member.raft?.status().membership === undefined || member.isUp)
    if (!(await within("all nodes at the same index", isEven))) return
    for (const { nodeId, machine } of present) if (machine !== undefined) this.images.final(nodeId, machine)
  }

  /** For people: who is where. */
  private get state(): string {
    return this.members
      .map((member) => {
        const status = member.raft?.status()
        if (status === undefined) return `${member.nodeId} ${member.removed ? "removed" : "down"}`
        const { role, term, leaderId, lastIndex, commitIndex, appliedIndex, fenced } = status
        return `${member.nodeId} ${role} term ${term} leader ${leaderId} last ${lastIndex} commit ${commitIndex} applied ${appliedIndex}${fenced === undefined ? "" : ` fenced: ${fenced}`}`
      })
      .join("; ")
  }

  private get outcome(): ClusterOutcome {
    const { seed, world, violations, clients, group, members, network, nemesis } = this
    return {
      seed,
      faults: violations.all,
      trace: world.trace,
      traceHash: world.traceHash,
      stats: {
        simulatedMs: world.nowMs,
        tasks: world.tasksRun,
        operations: clients.history.length,
        unknown: clients.history.filter(({ output }) => output === undefined).length,
        committed: group.lastCommittedIndex,
        elections: group.elections,
        starts: members.reduce((sum, { starts }) => sum + starts, 0),
        messages: network.counts.sent,
        actions: Object.fromEntries(nemesis.counts)
      }
    }
  }
}

export const simulateCluster = (seed: number): Promise<ClusterOutcome> => new ClusterSimulation(seed).run()
