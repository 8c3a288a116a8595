/**
 * One run of a group of machines under a seed: messages lost, doubled, late and out of order, crashes between any two steps and
 * within a turn, slow disks, cuts, changes of the membership, snapshots, reads. Then all faults stop and progress is demanded.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { defaultLimits, type MachineOptions } from "../../src/core/MachineOptions.js"
import { emptyMembership } from "../../src/core/Quorum.js"
import type { MembershipChange } from "../../src/RaftNode.js"
import { beginWith, emptyDisk, MachineCluster, type MachineNode } from "./MachineCluster.js"
import { renderMessage, renderStatus } from "./Render.js"

const flyingMax = 400
const ticksToRecoverMax = 2_000
const electionTicks = 10

export interface RandomRunOptions {
  readonly seed: number
  readonly actions: number
  /** Clocks go alike and reads may lean on leases. */
  readonly leases?: boolean
}

export class RandomRun {
  readonly cluster = new MachineCluster()
  /** To be read when a run fails. */
  private readonly events: Array<string | RaftMessage> = []
  private readonly random: SeededRandom
  private readonly faults: {
    readonly loss: number
    readonly double: number
    readonly crash: number
    readonly crashInTurn: number
    readonly cut: number
    readonly slow: number
    readonly change: number
    readonly snapshot: number
    readonly unrest: number
    readonly transfer: number
  }
  private readonly base: Omit<MachineOptions, "nodeId" | "drawElectionTicks">
  private nextNodeId: number
  private nextText = 1
  private nextReadId = 1
  /** What was committed anywhere when a read was asked for. */
  private readonly floorByRead = new Map<number, number>()
  readsAnswered = 0
  proposed = 0

  constructor(private readonly run: RandomRunOptions) {
    const random = new SeededRandom(run.seed)
    this.random = random
    // Swarm: each run draws which faults are on and how strong, some of them far beyond the usual.
    const focus = random.pick(["nothing", "change", "transfer", "snapshot", "cut", "crash"] as const)
    const strength = (max: number, name?: string) => {
      if (name === focus) return max * 5
      return random.chance(0.6) ? random.next() * max : 0
    }
    this.faults = {
      loss: strength(0.3),
      double: strength(0.2),
      crash: strength(0.02, "crash"),
      crashInTurn: strength(0.02),
      cut: strength(0.02, "cut"),
      slow: strength(0.05),
      change: strength(0.1, "change"),
      snapshot: strength(0.05, "snapshot"),
      unrest: strength(0.03),
      transfer: strength(0.05, "transfer")
    }
    this.base = {
      ...defaultLimits,
      heartbeatTicks: random.int(1, 3),
      electionTicks,
      preVote: run.leases === true || random.chance(0.7),
      checkQuorum: run.leases === true || random.chance(0.7),
      leaseReads: run.leases === true,
      leaseMarginTicks: 1,
      appendBytesMax: random.pick([1, 120, 100_000]),
      inflightMessagesMax: random.pick([1, 2, 64]),
      inflightBytesMax: random.pick([200, 100_000]),
      uncommittedBytesMax: random.pick([300, 100_000]),
      applyBytesMax: random.pick([1, 100_000]),
      promoteLagEntriesMax: random.pick([0, 10])
    }
    const voters = Array.from({ length: random.pick([1, 2, 3, 3, 3, 5]) }, (_, at) => at + 1)
    const members = voters.map((nodeId) => ({ nodeId, address: `node${nodeId}` }))
    for (const nodeId of voters) {
      const disk = emptyDisk()
      beginWith(disk, { ...emptyMembership, voters, members })
      this.cluster.disks.set(nodeId, disk)
      this.start(nodeId)
    }
    this.nextNodeId = voters.length + 1
    this.cluster.crashesAt = () => random.chance(this.faults.crashInTurn)
  }

  private note(what: string | RaftMessage): void {
    this.events.push(what)
  }

  /** What happened last. */
  trace(count: number): ReadonlyArray<string> {
    return this.events.slice(-count).map((event) => (typeof event === "string" ? event : renderMessage(event)))
  }

  private start(nodeId: number): void {
    this.cluster.start(nodeId, {
      ...this.base,
      nodeId,
      drawElectionTicks: () => electionTicks + this.random.int(0, electionTicks)
    })
  }

  private get runningIds(): ReadonlyArray<number> {
    return [...this.cluster.nodes.keys()]
  }

  private get leaders(): ReadonlyArray<MachineNode> {
    return [...this.cluster.nodes.values()].filter((node) => node.machine.role === "leader" && node.held === undefined)
  }

  /** One of those that think they lead. */
  private someLeader(): MachineNode | undefined {
    const { leaders } = this
    return leaders.length === 0 ? undefined : this.random.pick(leaders)
  }

  /** A node that may act: it runs and no write holds it up. */
  private idle(): number | undefined {
    const ids = this.runningIds.filter((nodeId) => this.cluster.node(nodeId).held === undefined)
    return ids.length === 0 ? undefined : this.random.pick(ids)
  }

  private act(nodeId: number, what: string, action: (machine: MachineNode["machine"]) => unknown): void {
    this.note(`${nodeId} ${what}`)
    this.cluster.act(nodeId, action)
    this.look()
  }

  /** All that was asked of it; throws where an invariant is broken. */
  play(): void {
    for (let at = 0; at < this.run.actions; at++) this.step()
    this.recover()
  }

  private step(): void {
    const { random, faults } = this
    const action = random.weighted<() => void>([
      [60, () => this.deliverSome()],
      [12, () => this.tickSome()],
      [8, () => this.propose()],
      [4, () => this.read()],
      [100 * faults.crash, () => this.crash()],
      [3, () => this.restart()],
      [100 * faults.cut, () => this.cut()],
      [0.7, () => this.heal()],
      [20 * faults.slow, () => this.slow()],
      [5, () => this.written()],
      [20 * faults.change, () => this.change()],
      [20 * faults.snapshot, () => this.snapshot()],
      [100 * faults.unrest, () => this.campaign()],
      [20 * faults.transfer, () => this.transfer()]
    ])
    action()
  }

  private deliverSome(): void {
    const { cluster, random, faults } = this
    const { flying } = cluster
    while (flying.length > flyingMax) flying.splice(random.int(0, flying.length - 1), 1)
    if (flying.length === 0) return this.tickSome()
    // Mostly in order: a network that never is makes no progress.
    const at = random.chance(0.7) ? 0 : random.int(0, flying.length - 1)
    const message = flying[at] as (typeof flying)[number]
    if (cluster.nodes.get(message.to)?.held !== undefined) return
    // Now and then what gathered for a member is taken in one turn, with a tick in it, as its driver does.
    const together = random.chance(0.15) ? flying.filter(({ to }) => to === message.to).slice(0, random.int(2, 6)) : [message]
    const arriving = together.filter((one) => {
      if (!random.chance(faults.double)) flying.splice(flying.indexOf(one), 1)
      return !random.chance(faults.loss)
    })
    for (const one of arriving) this.note(one)
    if (arriving.length === 1 || !cluster.nodes.has(message.to)) for (const one of arriving) cluster.deliver(one)
    else {
      cluster.act(message.to, (machine) => {
        for (const one of arriving) machine.step(one)
        if (together.length > 1) machine.tick()
      })
    }
    this.look()
  }

  private tickSome(): void {
    if (this.run.leases === true) {
      for (const nodeId of this.runningIds) {
        const node = this.cluster.nodes.get(nodeId)
        // Time goes on for a leader that a slow disk holds up; here nobody's disk is slow while leases are in use.
        if (node !== undefined) this.act(nodeId, "tick", (machine) => machine.tick())
      }
      return
    }
    const nodeId = this.idle()
    if (nodeId === undefined) return
    const count = this.random.pick([1, 1, 1, 3, electionTicks])
    for (let at = 0; at < count && this.cluster.nodes.get(nodeId)?.held === undefined && this.cluster.nodes.has(nodeId); at++) {
      this.act(nodeId, "tick", (machine) => machine.tick())
    }
  }

  /** Also while a write goes on: that is the one thing a machine takes then. */
  private propose(): void {
    const leaders = [...this.cluster.nodes.values()].filter((node) => node.machine.role === "leader")
    if (leaders.length === 0) return
    const leader = this.random.pick(leaders)
    const text = `x${this.nextText++}`
    const count = this.random.pick([1, 1, 4])
    this.act(leader.nodeId, `propose ${text}`, (machine) => {
      for (let at = 0; at < count; at++) if (typeof machine.propose(Buffer.from(`${text}.${at}`)) === "number") this.proposed++
    })
  }

  private read(): void {
    const nodeId = this.idle()
    if (nodeId === undefined) return
    const requestId = this.nextReadId++
    this.floorByRead.set(requestId, this.cluster.invariants.committedUpTo)
    this.act(nodeId, `read ${requestId}`, (machine) => machine.readIndex(requestId))
  }

  private look(): void {
    for (const node of this.cluster.nodes.values()) {
      // No disk lies here, so nobody has a reason to stop.
      if (node.fenced !== undefined) throw new Error(`broken: node ${node.nodeId} stopped: ${node.fenced}`)
      for (const { requestId, index } of node.reads.splice(0)) {
        const floor = this.floorByRead.get(requestId) ?? 0
        if (index < 0) continue
        this.readsAnswered++
        if (index < floor) throw new Error(`broken: read ${requestId} got ${index}, and ${floor} was committed before it`)
      }
    }
  }

  private crash(): void {
    const ids = this.runningIds
    if (ids.length === 0) return
    const nodeId = this.random.pick(ids)
    this.note(`${nodeId} crashes`)
    this.cluster.crash(nodeId)
  }

  private restart(): void {
    const gone = [...this.cluster.disks.keys()].filter((nodeId) => !this.cluster.nodes.has(nodeId))
    if (gone.length === 0) return
    const nodeId = this.random.pick(gone)
    this.note(`${nodeId} starts`)
    this.start(nodeId)
  }

  private cut(): void {
    const ids = [...this.cluster.disks.keys()]
    if (this.random.chance(0.6)) return this.split(ids)
    const [from, to] = [this.random.pick(ids), this.random.pick(ids)]
    this.note(`cut ${from}->${to}`)
    this.cluster.cuts.add(`${from}->${to}`)
    if (this.random.chance(0.5)) this.cluster.cuts.add(`${to}->${from}`)
  }

  /** Two sides that do not hear each other. */
  private split(ids: ReadonlyArray<number>): void {
    const side = ids.filter(() => this.random.chance(0.5))
    this.note(`split off ${side.join(",")}`)
    this.cluster.cuts.clear()
    for (const one of side) {
      for (const other of ids) {
        if (side.includes(other)) continue
        this.cluster.cuts.add(`${one}->${other}`)
        this.cluster.cuts.add(`${other}->${one}`)
      }
    }
  }

  private heal(): void {
    this.note("heal")
    this.cluster.cuts.clear()
  }

  private slow(): void {
    const nodeId = this.idle()
    if (nodeId !== undefined && this.run.leases !== true) this.cluster.node(nodeId).diskIsSlow = true
  }

  private written(): void {
    for (const node of [...this.cluster.nodes.values()]) {
      if (node.held === undefined || !this.random.chance(0.5)) continue
      node.diskIsSlow = this.random.chance(0.5)
      this.note(`${node.nodeId} written`)
      this.cluster.finishWrite(node.nodeId)
    }
    this.look()
  }

  private snapshot(): void {
    const nodeId = this.idle()
    if (nodeId === undefined) return
    this.note(`${nodeId} snapshot`)
    this.cluster.takeSnapshot(nodeId, this.random.int(0, 3))
  }

  /** Somebody loses patience. */
  private campaign(): void {
    const nodeId = this.idle()
    if (nodeId !== undefined) this.act(nodeId, "campaign", (machine) => machine.campaign())
  }

  private transfer(): void {
    const leader = this.someLeader()
    if (leader === undefined) return
    const to = this.random.pick(leader.machine.membership.voters)
    this.act(leader.nodeId, `transfer to ${to}`, (machine) => machine.transferLeadership(to))
  }

  private change(): void {
    const leader = this.someLeader()
    if (leader === undefined) return
    const { voters, learners } = leader.machine.membership
    const change = this.random.pick<() => MembershipChange | undefined>([
      () => {
        const nodeId = this.nextNodeId
        if (voters.length + learners.length >= 6) return undefined
        this.nextNodeId++
        this.cluster.disks.set(nodeId, emptyDisk())
        this.start(nodeId)
        return { _tag: "AddLearner", member: { nodeId, address: `node${nodeId}` } }
      },
      () => (learners.length === 0 ? undefined : { _tag: "Promote", nodeId: this.random.pick(learners) }),
      () => ({ _tag: "Remove", nodeId: this.random.pick([...voters, ...learners]) })
    ])()
    if (change === undefined) return
    this.act(leader.nodeId, `change ${JSON.stringify(change)}`, (machine) => machine.changeMembership(change))
  }

  /** No more faults: a leader is found, commits, and every member has it. */
  private recover(): void {
    const { cluster } = this
    this.note("faults stop")
    cluster.crashesAt = () => false
    cluster.cuts.clear()
    for (const nodeId of cluster.disks.keys()) if (!cluster.nodes.has(nodeId)) this.start(nodeId)
    for (const node of cluster.nodes.values()) node.diskIsSlow = false
    for (const { nodeId } of [...cluster.nodes.values()]) cluster.finishWrite(nodeId)
    let mark = { index: 0, term: 0 }
    for (let tick = 0; tick < ticksToRecoverMax; tick++) {
      for (const nodeId of this.runningIds) this.act(nodeId, "tick", (machine) => machine.tick())
      for (let at = 0; at < 2_000; at++) {
        const message = cluster.deliverFirst(() => true)
        if (message === undefined) break
        this.note(message)
        this.look()
      }
      const leader = this.leaders.find(({ machine }) => machine.transferTo === 0)
      if (leader !== undefined && mark.term !== leader.machine.term) {
        const { term } = leader.machine
        this.act(leader.nodeId, "propose mark", (machine) => {
          const index = machine.propose(Buffer.from("mark"))
          if (typeof index === "number") mark = { index, term }
        })
      }
      if (mark.index > 0 && this.hasAll(mark.index)) return
    }
    const shown = [...cluster.nodes.values()].map((node) => `${node.nodeId}: ${renderStatus(node)}`)
    throw new Error(`no progress after faults stopped:\n${shown.join("\n")}`)
  }

  private hasAll(mark: number): boolean {
    const leader = this.leaders[0]
    if (leader === undefined || leader.machine.commitIndex < mark) return false
    return leader.machine.membership.members.every(({ nodeId }) => this.cluster.node(nodeId).machine.appliedIndex >= mark)
  }
}
