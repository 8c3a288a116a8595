/**
 * Faults that aim: they wait for the moment in which a group is most easily hurt, and strike within a few messages of it. Chance alone
 * seldom comes there.
 */
import type { MembershipChange } from "@effectmq/raft/RaftNode"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { Member } from "./Member.js"
import type { ClusterNemesisParts } from "./ClusterNemesis.js"

export interface StrikeTools {
  readonly parts: ClusterNemesisParts
  readonly present: () => ReadonlyArray<Member>
  readonly leader: () => Member | undefined
  /** Nothing goes wrong any more. */
  readonly isDone: () => boolean
  readonly killAndRestart: (member: Member) => void
  /** One change of the membership at a time. */
  readonly change: (change: () => Promise<void>) => Promise<void>
  readonly ask: (change: MembershipChange) => Promise<boolean>
}

/** How long a new leader is waited for, and how closely. */
const electionMsMax = 4_000
const lookMs = 3

export class Strikes {
  /** What is to be done when the leader applies what it has just committed. */
  private armed = false

  constructor(private readonly tools: StrikeTools) {}

  private note(text: string): void {
    this.tools.parts.world.note(`* ${text}`)
  }

  private leaderTerm(member: Member | undefined): number {
    return member?.raft?.status().term ?? 0
  }

  /** In the middle of a change of the membership. */
  async atChange(): Promise<void> {
    const { random, world, nodes } = this.tools.parts
    const leader = this.tools.leader()
    if (leader?.raft === undefined) return
    const change = this.someChange(leader.raft.status().membership)
    if (change === undefined) return
    const asked = this.tools.change(async () => {
      const done = await this.tools.ask(change)
      const gone = nodes.find(({ nodeId }) => nodeId === change.nodeId)
      if (!done || change._tag !== "Remove" || gone === undefined) return
      gone.removed = true
      gone.kill()
    })
    await world.sleep(random.next() * random.pick([1, 10, 60]))
    this.strike(leader)
    await asked
  }

  private someChange({ voters, learners }: Membership): (MembershipChange & { readonly nodeId: number }) | undefined {
    const { random } = this.tools.parts
    if (learners.length > 0 && random.chance(0.6)) return { _tag: "Promote", nodeId: random.pick(learners) }
    return voters.length > 1 ? { _tag: "Remove", nodeId: random.pick(voters) } : undefined
  }

  /** At whoever is elected next. */
  async atElection(): Promise<void> {
    const { world, random } = this.tools.parts
    const before = this.leaderTerm(this.tools.leader())
    const untilMs = world.nowMs + electionMsMax
    while (world.nowMs < untilMs) {
      await world.sleep(lookMs)
      const leader = this.tools.leader()
      if (leader === undefined || this.leaderTerm(leader) <= before) continue
      await world.sleep(random.pick([0, 1, 10, 50]))
      return random.chance(0.4) ? this.atChange() : this.strike(leader)
    }
  }

  /** What the leader commits next is known to whoever asked for it, and to no other member. */
  arm(): void {
    this.armed = true
  }

  leaderApplies(nodeId: number): void {
    const { network, nodes } = this.tools.parts
    const leader = nodes.find((member) => member.nodeId === nodeId)
    if (!this.armed || leader === undefined) return
    this.armed = false
    this.note(`cut off node ${nodeId}, which has just committed`)
    for (const other of nodes) if (other !== leader) network.partition([leader.process], [other.process])
  }

  /** Leadership goes to and fro. */
  async toAndFro(): Promise<void> {
    const { random } = this.tools.parts
    for (let times = random.int(2, 5); times > 0; times--) {
      const leader = this.tools.leader()
      if (leader?.raft === undefined) return
      const { voters } = leader.raft.status().membership
      const others = voters.filter((nodeId) => nodeId !== leader.nodeId)
      if (others.length === 0 || this.tools.isDone()) return
      await leader.process.run(leader.raft.transferLeadership(random.pick(others)))
    }
  }

  private strike(leader: Member): void {
    if (this.tools.isDone()) return
    const { random, network } = this.tools.parts
    const membership = leader.raft?.status().membership
    switch (random.pick(["kill", "isolate", "halves", "halves", "killAndHalves"])) {
      case "kill":
        if (leader.process.alive) this.tools.killAndRestart(leader)
        return
      case "isolate": {
        this.note(`cut off node ${leader.nodeId}`)
        const rest = this.tools.present().filter((member) => member !== leader)
        return network.partition(
          [leader.process],
          rest.map(({ process }) => process)
        )
      }
      case "halves":
        return this.cutHalves(membership)
      case "killAndHalves":
        this.cutHalves(membership)
        if (leader.process.alive) this.tools.killAndRestart(leader)
    }
  }

  /** Those that vote in one half of a joint membership only from those of the other; the rest fall to either side. */
  private cutHalves(membership: Membership | undefined): void {
    const { random, network } = this.tools.parts
    const { voters = [], outgoingVoters = [] } = membership ?? {}
    const present = this.tools.present()
    const isNew = ({ nodeId }: Member) => voters.includes(nodeId) && !outgoingVoters.includes(nodeId)
    const isOld = ({ nodeId }: Member) => !voters.includes(nodeId) && outgoingVoters.includes(nodeId)
    const share = random.pick([0.3, 0.5, 0.7])
    const side = present.filter((member) => isNew(member) || (!isOld(member) && random.chance(share)))
    const rest = present.filter((member) => !side.includes(member))
    this.note(`cut ${side.map(({ nodeId }) => nodeId)} from ${rest.map(({ nodeId }) => nodeId)}`)
    network.partition(
      side.map(({ process }) => process),
      rest.map(({ process }) => process)
    )
  }
}
