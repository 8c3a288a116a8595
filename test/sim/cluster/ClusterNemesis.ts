/**
 * What goes wrong with a Raft group besides its links and clocks: members, their disks, who leads and who belongs to it.
 */
import type { MembershipChange, RaftNodeService } from "@effectmq/raft/RaftNode"
import * as Exit from "effect/Exit"
import type { Action, ClusterPlan } from "./ClusterPlan.js"
import type { Member } from "./Member.js"
import { Nemesis, type NemesisParts } from "./Nemesis.js"
import { sayFailure } from "./SayFailure.js"
import { Strikes } from "./Strikes.js"

export interface ClusterNemesisParts extends NemesisParts<Member, Action> {
  readonly plan: ClusterPlan
  readonly nodes: Array<Member>
  /** A member that begins with nothing. */
  readonly newMember: () => Member
  readonly fault: (text: string) => void
}

export class ClusterNemesis extends Nemesis<Member, Action, ClusterNemesisParts> {
  protected readonly clockJumpsMs = [-3_600_000, -1000, 1000, 3_600_000]
  protected readonly slowLink = { delayMsMax: 1000 }
  private isDone = false
  /** Membership changes on their way. */
  private changing = false
  private readonly strikes: Strikes

  constructor(parts: ClusterNemesisParts) {
    super(parts)
    this.strikes = new Strikes({
      parts,
      present: () => this.present,
      leader: () => this.leader,
      isDone: () => this.isDone,
      killAndRestart: (member) => this.killAndRestart(member),
      change: (change) => this.change(change),
      ask: (change) => this.ask(change)
    })
  }

  /** To be called in the middle of a leader's turn. */
  leaderApplies(nodeId: number): void {
    if (!this.isDone) this.strikes.leaderApplies(nodeId)
  }

  override async run(): Promise<void> {
    await super.run()
    this.isDone = true
  }

  /** Everything works from now on. */
  async heal(): Promise<void> {
    const { nodes } = this.parts
    this.note("--- faults stop")
    this.mendLinks()
    for (const member of nodes) {
      const { process, storeFaults } = member
      process.resume()
      process.setRate(1)
      process.taskMs = 0
      Object.assign(storeFaults, { latencyMsMax: 1, errorChance: 0, full: false })
      if (member.removed) member.kill()
      else if (member.raft?.status().fenced !== undefined) this.kill(member)
    }
    for (const member of nodes) if (!member.removed && !member.process.alive) await this.start(member)
  }

  get isChanging(): boolean {
    return this.changing
  }

  get leader(): Member | undefined {
    let found: Member | undefined
    for (const member of this.parts.nodes) {
      const status = member.raft?.status()
      if (status?.role !== "leader") continue
      if (found === undefined || status.term > (found.raft as RaftNodeService).status().term) found = member
    }
    return found
  }

  /** Until it is up, or killed: a start that fails for a disk that fails is tried again. */
  async start(member: Member): Promise<void> {
    const { world, fault } = this.parts
    for (;;) {
      const failure = await member.start()
      this.note(`node ${member.nodeId} ${failure === undefined ? "started" : `does not start: ${failure}`}`)
      if (failure === undefined) return
      if (member.storeFaults.errorChance === 0 && !member.storeFaults.full)
        return fault(`node ${member.nodeId} does not start: ${failure}`)
      await world.sleep(500)
      if (member.process.alive || member.removed) return
    }
  }

  protected get present(): ReadonlyArray<Member> {
    return this.parts.nodes.filter((member) => !member.removed)
  }

  protected act(action: Action, member: Member, other: Member): void {
    const { random } = this.parts
    const say = (text: string) => this.note(`* ${text}`)
    switch (action) {
      case "kill":
        if (member.process.alive) this.killAndRestart(member)
        return
      case "killSoon":
        return this.killSoon(member)
      case "killAll":
        for (const one of this.present) if (one.process.alive) this.killAndRestart(one)
        return
      case "stop":
        if (member.isUp) void this.stopAndRestart(member)
        return
      case "pause":
        return this.pause(member)
      case "slowProcess":
        member.process.taskMs = random.pick([0, 0.2, 2])
        return say(`each task of node ${member.nodeId} takes ${member.process.taskMs} ms`)
      case "diskFull":
        member.storeFaults.full = !member.storeFaults.full
        return say(`the disk of node ${member.nodeId} ${member.storeFaults.full ? "is full" : "has room"}`)
      case "diskErrors":
        say(`the disk of node ${member.nodeId} fails`)
        member.storeFaults.errorChance = 0.2
        return void this.restartWhenFenced(member)
      case "slowDisk":
        member.storeFaults.latencyMsMax = random.pick([0, 5, 50, 300])
        return say(`calls of the disk of node ${member.nodeId} take up to ${member.storeFaults.latencyMsMax} ms`)
      case "addNode":
        return void this.change(() => this.addNode())
      case "removeNode":
        return void this.change(() => this.removeNode(member))
      case "transfer":
        return void this.transfer(member)
      case "toAndFro":
        return void this.strikes.toAndFro()
      case "strikeChange":
        return void this.strikes.atChange()
      case "strikeElection":
        return void this.strikes.atElection()
      case "strikeCommit":
        return this.strikes.arm()
      case "snapshot":
        if (member.raft === undefined) return
        say(`node ${member.nodeId} takes a snapshot`)
        return void member.process.run(member.raft.takeSnapshot)
      default:
        return this.actOnLinksAndClocks(action, member, other)
    }
  }

  // --- processes

  private kill(member: Member): void {
    this.note(`* kill node ${member.nodeId}`)
    member.kill()
  }

  private killAndRestart(member: Member): void {
    this.kill(member)
    void this.restartLater(member)
  }

  /** In the middle of whatever it does next. */
  private killSoon(member: Member): void {
    const { random } = this.parts
    if (!member.process.alive) return
    const tasks = random.pick([1, 3, 10, 100, 1000])
    member.process.killAfter(tasks, () => {
      this.note(`* node ${member.nodeId} is killed, ${tasks} tasks later`)
      member.gone()
      void this.restartLater(member)
    })
  }

  private async restartLater(member: Member): Promise<void> {
    const { world, random, plan } = this.parts
    await world.sleep(random.next() * plan.downMsMax)
    if (member.process.alive || member.removed) return
    await this.start(member)
  }

  private async stopAndRestart(member: Member): Promise<void> {
    this.note(`* stop node ${member.nodeId}`)
    await member.stop()
    await this.restartLater(member)
  }

  private pause(member: Member): void {
    const { world, random, plan } = this.parts
    const ms = random.next() * plan.pauseMsMax
    this.note(`* pause node ${member.nodeId} for ${ms.toFixed(0)} ms`)
    member.process.pause()
    void world.sleep(ms).then(() => member.process.resume())
  }

  /** As whoever looks after a node would. */
  private async restartWhenFenced(member: Member): Promise<void> {
    const { world, random } = this.parts
    await world.sleep(random.next() * 5_000)
    member.storeFaults.errorChance = 0
    if (member.raft?.status().fenced !== undefined) this.killAndRestart(member)
  }

  // --- the group

  private async change(change: () => Promise<void>): Promise<void> {
    if (this.changing || this.isDone) return
    this.changing = true
    try {
      await change()
    } finally {
      this.changing = false
    }
  }

  /** Asks the leader; true where it said that it is done. */
  private async ask(change: MembershipChange): Promise<boolean> {
    const { leader } = this
    if (leader?.raft === undefined) return false
    const exit = await leader.process.run(leader.raft.changeMembership(change))
    const what = change._tag === "AddLearner" ? change.member.nodeId : "nodeId" in change ? change.nodeId : ""
    this.note(`* ${change._tag} ${what} by node ${leader.nodeId}: ${Exit.isSuccess(exit) ? "done" : sayFailure(exit.cause)}`)
    return Exit.isSuccess(exit)
  }

  private async addNode(): Promise<void> {
    const { nodes, plan, world, random } = this.parts
    if (this.present.length >= plan.nodesMax || nodes.length > 20) return
    const member = this.parts.newMember()
    nodes.push(member)
    this.applyLinks()
    await this.start(member)
    const address = `node-${member.nodeId}:1`
    for (let tries = 5; tries > 0; tries--) {
      if (await this.ask({ _tag: "AddLearner", member: { nodeId: member.nodeId, address } })) break
      await world.sleep(300)
    }
    if (random.chance(0.2)) return
    for (let tries = 5; tries > 0; tries--) {
      if (await this.ask({ _tag: "Promote", nodeId: member.nodeId })) break
      await world.sleep(300)
    }
  }

  private async removeNode(member: Member): Promise<void> {
    const { world, random } = this.parts
    if (this.present.length <= 1) return
    const isRemoved = await this.ask({ _tag: "Remove", nodeId: member.nodeId })
    if (!isRemoved) return
    // Now and then it is left running: it must disturb nobody.
    await world.sleep(random.pick([0, 2_000]))
    member.removed = true
    this.kill(member)
  }

  private async transfer(member: Member): Promise<void> {
    const { leader } = this
    if (leader?.raft === undefined) return
    const exit = await leader.process.run(leader.raft.transferLeadership(member.nodeId))
    this.note(`* from node ${leader.nodeId} to ${member.nodeId}: ${Exit.isSuccess(exit) ? "leads" : sayFailure(exit.cause)}`)
  }
}
