/**
 * Watches a Raft group from outside: what its members hand to their stores, send, apply and say. It knows Raft's rules and none of
 * its code, and tells of the first thing that must never be:
 *
 * - elections (ElectionWatch); a vote, an answer, a term is durable before it is spoken of;
 * - logs match: an entry of one index and term is the same everywhere, and so is what lies before it;
 * - what is committed is durable on a majority of the membership in force, never changes, is never cut off, and is in the log of
 *   every later leader;
 * - memberships that follow each other have no majorities that share nobody, and the one is committed, and an entry of the leader's
 *   term with it, before the next is begun;
 * - reads lean on nothing older than what was committed when they were asked for (ReadWatch);
 * - nobody stops for what it found in its group;
 * - a store gives back what it said it had;
 * - snapshots carry the term and the membership of their index.
 */
import type { RaftWrite, StoredRaft } from "@effectmq/raft/RaftStore"
import type { CommandEntry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { ElectionWatch } from "./ElectionWatch.js"
import { LogView, type PlacedMembership, type Seen, seenOf } from "./LogView.js"
import { isMajority, sayMembership } from "./Majorities.js"
import { checkBegun, checkStep } from "./MembershipSteps.js"
import { ReadWatch } from "./ReadWatch.js"
import { checkReopened } from "./Reopened.js"
import type { Violations } from "./Violations.js"

/** What was committed, as it was seen first. */
interface Committed {
  readonly seen: Seen
  /** A term in which it was committed already; later leaders have it. */
  readonly inTerm: number
}

export interface MemberView {
  /** What was handed to the store. */
  told: LogView
  /** What the store said is durable. */
  durable: LogView
  appliedIndex: number
}

export class GroupWatch {
  private readonly members = new Map<number, MemberView>()
  private readonly committed = new Map<number, Committed>()
  private committedIndex = 0
  private readonly electionWatch: ElectionWatch
  readonly reads: ReadWatch
  /** Called in the middle of a leader's turn, when what it applies has been answered to nobody yet. */
  leaderApplies: (nodeId: number) => void = () => undefined
  private readonly entriesByPlace = new Map<string, { readonly digest: string; readonly previousTerm: number | undefined }>()

  constructor(
    private readonly violations: Violations,
    /** Told of every entry when it is first known to be committed. */
    private readonly whenCommitted: (seen: Seen) => void = () => undefined
  ) {
    this.electionWatch = new ElectionWatch(violations, (nodeId) => this.member(nodeId))
    this.reads = new ReadWatch(violations, () => this.committedIndex)
  }

  /** Of everything that is known to be committed. */
  get lastCommittedIndex(): number {
    return this.committedIndex
  }

  get elections(): number {
    return this.electionWatch.count
  }

  // --- stores

  storeOpened(nodeId: number, stored: Omit<StoredRaft, "storeId">): void {
    const view = LogView.of(stored)
    const before = this.members.get(nodeId)
    if (before !== undefined) checkReopened(this.violations, nodeId, before, view)
    this.members.set(nodeId, { told: view, durable: LogView.of(stored), appliedIndex: 0 })
  }

  /** Handed to the store; not durable yet. */
  storeTold(nodeId: number, write: RaftWrite): void {
    const { told } = this.member(nodeId)
    const { hardState, entries = [] } = write
    const { violations } = this
    if (hardState !== undefined) {
      if (hardState.term < told.term) violations.add(`node ${nodeId} goes back from term ${told.term} to ${hardState.term}`)
      const changesVote = hardState.term === told.term && told.votedFor !== 0 && hardState.votedFor !== told.votedFor
      if (changesVote)
        violations.add(`node ${nodeId} changes its vote of term ${told.term} from ${told.votedFor} to ${hardState.votedFor}`)
    }
    const first = entries[0]
    if (first !== undefined) {
      this.checkCut(nodeId, told, entries.map(seenOf))
    }
    const changes = entries.filter((entry) => entry.kind === "membership")
    // Entries come to be with their leader.
    const own = changes.filter(({ index, term }) => !this.entriesByPlace.has(`${index} ${term}`))
    let previousTerm = first === undefined ? undefined : told.termAt(first.index - 1)
    for (const entry of entries) {
      this.checkMatching(nodeId, seenOf(entry), previousTerm)
      previousTerm = entry.term
    }
    told.write(write)
    for (const { index } of changes) checkStep(this.violations, nodeId, told, index)
    const holders = (index: number, term: number) => this.holders(index, term)
    for (const { index } of own) checkBegun(this.violations, nodeId, told, index, holders)
  }

  storeDurable(nodeId: number, write: RaftWrite): void {
    this.member(nodeId).durable.write(write)
  }

  /** What is committed stays in the log. */
  private checkCut(nodeId: number, told: LogView, entries: ReadonlyArray<Seen>): void {
    const first = (entries[0] as Seen).index
    for (let index = first; index <= told.lastIndex; index++) {
      const committed = this.committed.get(index)?.seen
      const after = entries[index - first]
      if (committed === undefined || told.entries.get(index)?.term !== committed.term) continue
      if (after?.term !== committed.term) {
        this.violations.add(`node ${nodeId} cuts entry ${index} of term ${committed.term} off its log, and it is committed`)
      }
    }
  }

  private checkMatching(nodeId: number, { index, term, digest }: Seen, previousTerm: number | undefined): void {
    const place = `${index} ${term}`
    const known = this.entriesByPlace.get(place)
    if (known === undefined) {
      this.entriesByPlace.set(place, { digest, previousTerm })
      return
    }
    if (known.digest !== digest) {
      this.violations.add(`entry ${index} of term ${term} is ${digest} on node ${nodeId}, and ${known.digest} elsewhere`)
    }
    if (previousTerm !== undefined && known.previousTerm !== undefined && previousTerm !== known.previousTerm) {
      const where = `entry ${index} of term ${term} comes behind one of term`
      this.violations.add(`${where} ${previousTerm} on node ${nodeId}, and behind one of ${known.previousTerm} elsewhere`)
    }
  }

  /** `keep`: it was taken here. */
  snapshotCompleted(nodeId: number, snapshot: SnapshotMeta, log: "keep" | "discard"): void {
    const { told, durable } = this.member(nodeId)
    const { index, term, membership } = snapshot
    // What it was taken of was applied; of a group of one, or where no command came since, nobody else says so.
    if (log === "keep") this.appliedUpTo(nodeId, told, index)
    const what = `the snapshot at ${index} that node ${nodeId} ${log === "keep" ? "took" : "received"}`
    const committed = this.committed.get(index)?.seen
    if (committed !== undefined && committed.term !== term)
      this.violations.add(`${what} says term ${term}, it is ${committed.term}`)
    if (index > this.committedIndex && log === "discard") this.violations.add(`${what} holds what is not committed`)
    const expected = log === "keep" ? told.membershipBefore(index + 1)?.membership : this.committedMembership(index)
    if (expected !== undefined && sayMembership(expected) !== sayMembership(membership)) {
      this.violations.add(`${what} says membership ${sayMembership(membership)}, it is ${sayMembership(expected)}`)
    }
    for (const view of [told, durable]) view.snapshotTaken(snapshot, log)
  }

  private committedMembership(index: number) {
    let newest: Seen | undefined
    for (const { seen } of this.committed.values()) {
      if (seen.membership !== undefined && seen.index <= index && seen.index > (newest?.index ?? 0)) newest = seen
    }
    return newest?.membership
  }

  // --- what they say

  sent(message: RaftMessage): void {
    const { violations } = this
    const { from, term } = message
    const { told, durable } = this.member(from)
    const isPreVote = (message._tag === "VoteRequest" || message._tag === "VoteReply") && message.preVote
    if (!isPreVote && durable.term < term)
      violations.add(`node ${from} speaks of term ${term}, and term ${durable.term} is durable there`)
    switch (message._tag) {
      case "VoteRequest":
        if (!isPreVote) this.electionWatch.voted(from, term, from)
        return
      case "VoteReply":
        if (!isPreVote && message.granted) this.electionWatch.voted(from, term, message.to)
        return
      case "AppendRequest":
        this.leads(from, term)
        return this.claimed(from, told, message.commitIndex, term)
      case "SnapshotRequest":
        return this.leads(from, term)
      case "AppendReply":
        return message.accepted ? this.accepted(from, durable, message.index, term) : undefined
      case "ReadIndexRequest":
        return this.reads.requested(from, message.requestId)
      case "ReadIndexReply":
        return this.reads.answered(from, message.to, message.requestId, message.index)
    }
  }

  /** Called for every sign of leadership. */
  leads(nodeId: number, term: number): void {
    if (!this.electionWatch.leads(nodeId, term)) return
    const { told } = this.member(nodeId)
    for (const [index, { seen, inTerm }] of this.committed) {
      if (inTerm < term && !told.holds(index, seen.term)) {
        this.violations.add(
          `node ${nodeId} leads in term ${term} without entry ${index} of term ${seen.term}, committed in ${inTerm}`
        )
        return
      }
    }
  }

  /** It takes part no more; `reason` is not that its disk failed. */
  fenced(nodeId: number, reason: string): void {
    this.violations.add(`node ${nodeId} takes part no more: ${reason}`)
  }

  private accepted(nodeId: number, durable: LogView, index: number, term: number): void {
    // What was accepted in a term that is over may be replaced already, in one write: nobody can have counted on it.
    if (durable.term !== term) return
    if (index > durable.lastIndex) {
      this.violations.add(`node ${nodeId} says that it has entry ${index}, and its durable log ends at ${durable.lastIndex}`)
    }
    const leader = this.members.get(this.electionWatch.leaderOf(term) ?? 0)?.told
    const [theirs, own] = [leader?.termAt(index), durable.termAt(index)]
    if (leader?.term === term && theirs !== undefined && own !== undefined && theirs !== own) {
      this.violations.add(`node ${nodeId} says that its entry ${index} of term ${own} matches the leader's, of term ${theirs}`)
    }
  }

  // --- what is committed

  /** A leader says so. */
  private claimed(nodeId: number, told: LogView, index: number, inTerm: number): void {
    if (index <= this.committedIndex) return
    const before = this.committedIndex
    for (let at = before + 1; at <= index; at++) {
      const seen = told.entries.get(at)
      if (seen !== undefined) this.commit(nodeId, seen, inTerm)
      else if (at > told.snapshotIndex) this.violations.add(`node ${nodeId} calls entry ${at} committed, and its log has none`)
    }
    this.checkDurable(nodeId, told, index)
    this.checkOwnTerm(nodeId, told, index, inTerm)
    this.committedIndex = index
  }

  /** A leader commits by counting only what is of its own term; what lies before is committed with it. */
  private checkOwnTerm(nodeId: number, told: LogView, index: number, term: number): void {
    // The first membership is committed from the beginning.
    if (index <= 1) return
    let own = index
    while (own <= told.lastIndex && told.termAt(own) !== term) own++
    if (own <= told.lastIndex) return this.checkDurable(nodeId, told, own)
    this.violations.add(`node ${nodeId} calls entry ${index} committed in term ${term}, and has no entry of that term`)
  }

  /** Durable on a majority of a membership that was in force since the entry was in the leader's log. */
  private checkDurable(nodeId: number, told: LogView, index: number): void {
    const term = told.termAt(index)
    if (term === undefined) return
    const holders = this.holders(index, term)
    const placed = [told.membershipBefore(index + 1), ...told.membershipsBehind(index)].filter((one) => one !== undefined)
    const inForce = placed.flatMap((one) => [one.membership, ...this.left(told, one)])
    if (inForce.length === 0 || inForce.some((membership) => isMajority(membership, new Set(holders)))) return
    const memberships = inForce.map(sayMembership).join("; ")
    this.violations.add(`node ${nodeId} calls entry ${index} of term ${term} committed, durable on ${holders} of ${memberships}`)
  }

  /** Whether it is durable on a majority of a membership that some member goes by. */
  isKept(index: number, term: number): boolean {
    const holders = new Set(this.holders(index, term))
    return [...this.members.values()].some(({ told }) => told.membership !== undefined && isMajority(told.membership, holders))
  }

  private holders(index: number, term: number): ReadonlyArray<number> {
    return [...this.members].filter(([, { durable }]) => durable.holds(index, term)).map(([holder]) => holder)
  }

  /**
   * What a joint membership is left for: in force on the leader as soon as the joint one is committed, before its entry is handed to
   * any store (Raft paper, 6).
   */
  private left(told: LogView, { index, membership }: PlacedMembership): ReadonlyArray<Membership> {
    const term = told.termAt(index)
    if (membership.outgoingVoters.length === 0) return []
    if (term !== undefined && !isMajority(membership, new Set(this.holders(index, term)))) return []
    return [{ ...membership, outgoingVoters: [] }]
  }

  private commit(nodeId: number, seen: Seen, inTerm: number): void {
    const known = this.committed.get(seen.index)
    if (known === undefined) {
      this.committed.set(seen.index, { seen, inTerm })
      this.whenCommitted(seen)
    } else if (known.seen.term !== seen.term || known.seen.digest !== seen.digest) {
      const other = `${known.seen.digest} of term ${known.seen.term}`
      this.violations.add(
        `entry ${seen.index} is committed as ${seen.digest} of term ${seen.term} on node ${nodeId}, and as ${other}`
      )
    }
  }

  /** A member applied all of its log up to here. */
  private appliedUpTo(nodeId: number, told: LogView, index: number): void {
    if (index <= this.committedIndex) return
    for (let at = this.committedIndex + 1; at <= index; at++) {
      const seen = told.entries.get(at)
      if (seen !== undefined) this.commit(nodeId, seen, told.term)
    }
    // The first membership is committed from the beginning.
    if (index > 1) this.checkDurable(nodeId, told, index)
    this.committedIndex = index
  }

  /** The state machine of a member got these. */
  applied(nodeId: number, commands: ReadonlyArray<CommandEntry>): void {
    const view = this.member(nodeId)
    const { told } = view
    for (const command of commands) {
      const seen = seenOf(command)
      if (seen.index <= view.appliedIndex)
        this.violations.add(`node ${nodeId} applies entry ${seen.index} behind ${view.appliedIndex}`)
      for (let index = view.appliedIndex + 1; index < seen.index; index++) {
        if (told.entries.get(index)?.kind === "command" && index > told.snapshotIndex) {
          this.violations.add(`node ${nodeId} applies entry ${seen.index} and left out ${index}`)
        }
      }
      view.appliedIndex = seen.index
      this.commit(nodeId, seen, told.term)
    }
    this.appliedUpTo(nodeId, told, commands.at(-1)?.index ?? 0)
    if (this.electionWatch.leaderOf(told.term) === nodeId) this.leaderApplies(nodeId)
  }

  /** The state machine of a member begins with a snapshot. */
  restored(nodeId: number, index: number): void {
    const view = this.member(nodeId)
    view.appliedIndex = index
  }

  private member(nodeId: number): MemberView {
    const view = this.members.get(nodeId)
    if (view === undefined) throw new Error(`node ${nodeId} has no store`)
    return view
  }
}
