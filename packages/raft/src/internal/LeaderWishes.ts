/**
 * Changes of the membership and transfers of leadership that were asked for here and are under way.
 *
 * Invariant: each gets one answer, in bounded time. `timeout` says that the outcome is not known.
 */
import type { RaftMachine } from "../core/RaftMachine.js"
import { isJoint } from "../core/Quorum.js"
import type { Refusal } from "../core/Ready.js"
import type { MembershipChange } from "../RaftNode.js"
import { RaftUnavailable } from "../RaftUnavailable.js"

type Answer = (error: RaftUnavailable | undefined) => void

interface Change {
  readonly index: number
  readonly term: number
  readonly answer: Answer
  ticksLeft: number
}

interface Transfer {
  readonly to: number
  readonly term: number
  readonly answer: Answer
  ticksLeft: number
}

export const refused = (refusal: Refusal): RaftUnavailable => new RaftUnavailable(refusal)

export class LeaderWishes {
  private waiting: Array<{ readonly begin: () => void; readonly answer: Answer }> = []
  private changes: Array<Change> = []
  private transfers: Array<Transfer> = []

  constructor(
    private readonly machine: RaftMachine,
    private readonly timeoutTicks: number
  ) {}

  change(change: MembershipChange, answer: Answer): void {
    const begin = () => {
      const index = this.machine.changeMembership(change)
      if (typeof index !== "number") return answer(refused(index))
      this.changes.push({ index, term: this.machine.term, answer, ticksLeft: this.timeoutTicks })
    }
    this.waiting.push({ begin, answer })
  }

  transfer(to: number, answer: Answer): void {
    const begin = () => {
      const refusal = this.machine.transferLeadership(to)
      if (refusal !== undefined) return answer(refused(refusal))
      this.transfers.push({ to, term: this.machine.term, answer, ticksLeft: this.timeoutTicks })
    }
    this.waiting.push({ begin, answer })
  }

  /** What was asked for since the last turn. */
  begin(): void {
    const waiting = this.waiting
    this.waiting = []
    for (const { begin } of waiting) begin()
  }

  /** Answers what is decided by now. */
  settle(): void {
    if (this.changes.length > 0) this.changes = this.changes.filter((change) => !this.settleChange(change))
    if (this.transfers.length > 0) this.transfers = this.transfers.filter((transfer) => !this.settleTransfer(transfer))
  }

  private settleChange({ index, term, answer, ticksLeft }: Change): boolean {
    const { machine } = this
    const unknown = (reason: "timeout" | "no-leader", message: string) => {
      answer(new RaftUnavailable({ reason, message, leaderId: machine.leaderId }))
      return true
    }
    const done =
      machine.commitIndex >= machine.membershipIndex && machine.membershipIndex >= index && !isJoint(machine.membership)
    // Who still leads in that term has the entry, or had it until the log was cut.
    const isThere = machine.termAt(index) === term || (machine.role === "leader" && machine.term === term)
    if (done && isThere) {
      answer(undefined)
      return true
    }
    if (machine.role !== "leader" || machine.term !== term) {
      return unknown("no-leader", "leadership ended before the change was committed, look whether it was made")
    }
    return ticksLeft <= 0 && unknown("timeout", "the change is not committed yet, it may still be")
  }

  private settleTransfer({ to, term, answer, ticksLeft }: Transfer): boolean {
    const { machine } = this
    if (machine.leaderId === to && machine.term > term) {
      answer(undefined)
      return true
    }
    const stays = machine.role === "leader" && machine.transferTo === 0
    const elsewhere = machine.term > term && machine.leaderId !== 0
    if (!stays && !elsewhere && ticksLeft > 0) return false
    const message = stays
      ? `node ${to} did not take over in time, this one leads on`
      : `node ${to} does not lead, ${machine.leaderId === 0 ? "nobody" : `node ${machine.leaderId}`} does`
    answer(new RaftUnavailable({ reason: "timeout", message, leaderId: machine.leaderId }))
    return true
  }

  get areUnderWay(): boolean {
    return this.changes.length + this.transfers.length > 0
  }

  tick(): void {
    for (const one of this.changes) one.ticksLeft--
    for (const one of this.transfers) one.ticksLeft--
  }

  /** This member stands still and leads no more: nothing is begun, and transfers under way are not waited for. */
  standStill(error: RaftUnavailable): void {
    for (const { answer } of this.waiting.splice(0)) answer(error)
    for (const { answer, to } of this.transfers.splice(0)) {
      const message = `node ${to} may lead by now or not: ${error.message}`
      answer(new RaftUnavailable({ reason: "timeout", message }))
    }
  }

  failAll(error: RaftUnavailable): void {
    const all = [...this.waiting, ...this.changes, ...this.transfers]
    this.waiting = []
    this.changes = []
    this.transfers = []
    for (const one of all) one.answer(error)
  }
}
