/**
 * A Raft member as a pure machine: messages, ticks and wishes go in; what to persist, send, apply and answer comes out (Ready.ts
 * says in which order that must be done). It knows no clock, no disk and no network; randomness is an option.
 *
 * Between `ready` and `advance` only `propose` and what reads may be called.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import type { MembershipChange } from "../RaftNode.js"
import type { HardState } from "../RaftStore.js"
import { advanceCommit } from "./Commit.js"
import { campaign, hearsLeader, tickElection } from "./Election.js"
import { beginTransfer, tickLeader } from "./Leadership.js"
import type { MachineOptions } from "./MachineOptions.js"
import type { Progress } from "./Progress.js"
import { proposeChange, proposeCommand } from "./Proposals.js"
import { type MachineStart, RaftState } from "./RaftState.js"
import { answerReads, requestRead } from "./ReadIndex.js"
import type { Ready, Refusal } from "./Ready.js"
import { replicate } from "./Replication.js"
import { becomeFollower } from "./Roles.js"
import { sendChunks, sendNewerSnapshot } from "./SnapshotTransfer.js"
import { step } from "./Step.js"

/** What `advance` has to note. */
interface Pending {
  readonly hardState: HardState
  readonly lastIndex: number
  readonly appliedIndex: number
  readonly install: SnapshotMeta | undefined
}

export class RaftMachine {
  private readonly raft: RaftState
  private durable: HardState
  private pending: Pending | undefined

  constructor(options: MachineOptions, start: MachineStart) {
    this.raft = new RaftState(options, start)
    this.durable = start.hardState
    // It may have heard a leader before it was stopped, and given its word by that.
    if (options.leaseReads && start.hardState.term > 0) this.raft.withholdVotesTicks = options.electionTicks
  }

  get role() {
    return this.raft.role
  }
  get term(): number {
    return this.raft.term
  }
  get votedFor(): number {
    return this.raft.votedFor
  }
  get leaderId(): number {
    return this.raft.leaderId
  }
  get membership(): Membership {
    return this.raft.memberships.current
  }
  get membershipIndex(): number {
    return this.raft.memberships.currentIndex
  }
  get isVoter(): boolean {
    return this.raft.isVoter
  }
  get firstIndex(): number {
    return this.raft.log.firstIndex
  }
  get lastIndex(): number {
    return this.raft.log.lastIndex
  }
  get commitIndex(): number {
    return this.raft.log.commitIndex
  }
  get appliedIndex(): number {
    return this.raft.log.appliedIndex
  }
  get snapshot(): SnapshotMeta | undefined {
    return this.raft.snapshot
  }
  /** A snapshot comes in: the store's staging place is taken. */
  get isReceivingSnapshot(): boolean {
    return this.raft.receiving !== undefined
  }
  /** To whom leadership is on its way; 0 for nobody. */
  get transferTo(): number {
    return this.raft.transferTo
  }
  get electionTicks(): number {
    return this.raft.options.electionTicks
  }
  /** Everybody in a membership that matters still, with the newest address of each. */
  get knownMembers(): ReadonlyArray<Member> {
    const byNode = new Map<number, Member>()
    for (const membership of this.raft.memberships.since(this.raft.log.commitIndex)) {
      for (const member of membership.members) byNode.set(member.nodeId, member)
    }
    return [...byNode.values()]
  }
  get uncommittedBytes(): number {
    return this.raft.uncommittedBytes
  }
  get followers(): Iterable<Progress> {
    return this.raft.progressByNode.values()
  }

  termAt(index: number): number {
    return this.raft.log.termAt(index)
  }

  membershipAt(index: number): Membership {
    return this.raft.memberships.at(index)
  }

  /** `from` to `to`, both included, as far as they are in the log. */
  entries(from: number, to: number): ReadonlyArray<Entry> {
    const { log } = this.raft
    return log.between(Math.max(from, log.firstIndex), Math.min(to, log.lastIndex))
  }

  step(message: RaftMessage): void {
    this.demandNoPending("step")
    step(this.raft, message)
  }

  /** `elapsed`: how many tick lengths went by, where some were missed. Elections wait for none of those that were missed. */
  tick(elapsed = 1): void {
    this.demandNoPending("tick")
    const { raft } = this
    raft.now += elapsed
    if (raft.withholdVotesTicks > 0) raft.withholdVotesTicks--
    if (raft.isLeader) tickLeader(raft)
    else tickElection(raft)
  }

  /** Begins an election now; where leases are in use, not against the word that this member gave to a leader. */
  campaign(): void {
    this.demandNoPending("campaign")
    const { raft } = this
    const isBound = hearsLeader(raft) || (raft.withholdVotesTicks > 0 && raft.memberships.current.voters.length > 1)
    if (!raft.options.leaseReads || !isBound) campaign(raft, false)
  }

  /** Leads no more, for a reason of its own. */
  stepDown(): void {
    if (this.raft.isLeader) becomeFollower(this.raft, this.raft.term, 0)
  }

  /** The index that the command has in the log now. */
  propose(data: Uint8Array): number | Refusal {
    return proposeCommand(this.raft, data)
  }

  /** The index of the first entry that the change takes. */
  changeMembership(change: MembershipChange): number | Refusal {
    this.demandNoPending("changeMembership")
    return proposeChange(this.raft, change)
  }

  transferLeadership(to: number): Refusal | undefined {
    this.demandNoPending("transferLeadership")
    return beginTransfer(this.raft, to)
  }

  /** The answer is in some later `Ready.reads`, or lost. `requestId` must never come again, not even after a restart. */
  readIndex(requestId: number): void {
    this.demandNoPending("readIndex")
    requestRead(this.raft, requestId)
  }

  /** This member took a snapshot itself. */
  snapshotTaken(snapshot: SnapshotMeta): void {
    this.demandNoPending("snapshotTaken")
    const { raft } = this
    if (snapshot.index <= (raft.snapshot?.index ?? 0)) return
    raft.snapshot = snapshot
    raft.memberships.forgetBefore(snapshot.index)
    sendNewerSnapshot(raft, snapshot)
  }

  /** Up to where the log may be cut so that behind it no more than this stays before the snapshot. */
  compactionPoint(keptEntries: number, keptBytes: number): number {
    const { log, snapshot } = this.raft
    const index = snapshot?.index ?? 0
    return index <= log.compactIndex ? log.compactIndex : log.tailBefore(index, keptEntries, keptBytes)
  }

  /** Forgets entries up to `index`, as far as the snapshot holds them. */
  compact(index: number): void {
    this.demandNoPending("compact")
    this.raft.log.compact(Math.min(index, this.raft.snapshot?.index ?? 0))
  }

  /** A chunk or the whole of an incoming snapshot could not be stored: it begins anew. Called before `advance`. */
  snapshotFailed(): void {
    const { raft } = this
    raft.receiving = undefined
    raft.installing = undefined
    if (this.pending !== undefined) this.pending = { ...this.pending, install: undefined }
  }

  private demandNoPending(what: string): void {
    if (this.pending !== undefined) throw new Error(`raft: ${what} between ready and advance`)
  }

  /** True where `ready` has nothing. Of a leader, who may have something to send again, it is never said. */
  get isQuiet(): boolean {
    const { raft, durable } = this
    const { log, messages, messagesAfterWrite, chunks, chunkReads, readAnswers } = raft
    return (
      !raft.isLeader &&
      raft.term === durable.term &&
      raft.votedFor === durable.votedFor &&
      log.stableIndex === log.lastIndex &&
      log.appliedIndex === log.commitIndex &&
      messages.length + messagesAfterWrite.length + chunks.length + chunkReads.length + readAnswers.length === 0
    )
  }

  /** What is to be done now; undefined when there is nothing. Must be followed by `advance`. */
  ready(): Ready | undefined {
    this.demandNoPending("ready")
    const { raft, durable } = this
    const { log } = raft
    if (raft.isLeader) {
      if (raft.reads.beginRound(log.commitIndex)) answerReads(raft)
      replicate(raft)
      sendChunks(raft)
    }
    const hardState = { term: raft.term, votedFor: raft.votedFor, commitIndex: log.commitIndex }
    const promised = raft.term !== durable.term || raft.votedFor !== durable.votedFor
    const entries = log.stableIndex < log.lastIndex ? log.between(log.stableIndex + 1, log.lastIndex) : undefined
    // The commit index alone is not worth a write: it is known again soon after a start.
    const write = promised || entries !== undefined ? { hardState, entries } : undefined
    const appliedIndex =
      log.appliedIndex < log.commitIndex
        ? log.endOf(log.appliedIndex + 1, log.commitIndex, raft.options.applyBytesMax)
        : log.appliedIndex
    const committed = appliedIndex > log.appliedIndex ? log.between(log.appliedIndex + 1, appliedIndex) : []
    const { messages, messagesAfterWrite, chunks, chunkReads, readAnswers, installing } = raft
    if (
      write === undefined &&
      committed.length === 0 &&
      messages.length === 0 &&
      messagesAfterWrite.length === 0 &&
      chunks.length === 0 &&
      chunkReads.length === 0 &&
      readAnswers.length === 0
    ) {
      return undefined
    }
    raft.messages = []
    raft.messagesAfterWrite = []
    raft.chunks = []
    raft.chunkReads = []
    raft.readAnswers = []
    this.pending = {
      hardState: write === undefined ? durable : hardState,
      lastIndex: log.lastIndex,
      appliedIndex,
      install: installing
    }
    return {
      // What speaks of a term must not be heard before the term is durable: after a crash it could be led once more.
      messages: promised ? [] : messages,
      write,
      chunks,
      committed,
      install: installing,
      messagesAfterWrite: promised ? [...messages, ...messagesAfterWrite] : messagesAfterWrite,
      chunkReads,
      reads: readAnswers
    }
  }

  /** Everything that the last `ready` asked for is done. */
  advance(): void {
    const { pending, raft } = this
    if (pending === undefined) throw new Error("raft: advance without ready")
    this.pending = undefined
    this.durable = pending.hardState
    raft.log.stableIndex = pending.lastIndex
    raft.log.appliedIndex = pending.appliedIndex
    if (pending.install !== undefined) {
      raft.log.reset(pending.install.index, pending.install.term)
      raft.memberships.reset(pending.install.index, pending.install.membership)
      raft.snapshot = pending.install
      raft.receiving = undefined
      raft.installing = undefined
    }
    if (raft.isLeader) {
      advanceCommit(raft)
      answerReads(raft)
    }
  }
}
