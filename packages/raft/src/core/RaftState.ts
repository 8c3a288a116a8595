/**
 * All that a Raft machine holds. The files beside this one each own a concept and change what belongs to it.
 *
 * Invariants (Raft paper, figure 2)
 * - `term` never falls; in one term at most one vote is given.
 * - `leaderId` is the leader of `term`, or 0.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import type { StoredRaft } from "../RaftStore.js"
import { Log } from "./Log.js"
import { checkMachineOptions, type MachineOptions } from "./MachineOptions.js"
import { MembershipHistory } from "./MembershipHistory.js"
import type { Progress } from "./Progress.js"
import { emptyMembership, isVoter } from "./Quorum.js"
import { violated } from "./RaftViolation.js"
import { ReadRequests } from "./ReadRequests.js"
import type { ChunkRead, ReadAnswer, ReceivedChunk } from "./Ready.js"

export type MachineStart = Omit<StoredRaft, "storeId">

/** A snapshot that comes in from a leader. */
export interface Receiving {
  readonly from: number
  readonly term: number
  readonly snapshot: SnapshotMeta
  readonly nextChunk: number
}

export class RaftState {
  readonly nodeId: number
  role: "follower" | "preCandidate" | "candidate" | "leader" = "follower"
  term: number
  votedFor: number
  leaderId = 0
  readonly log: Log
  readonly memberships: MembershipHistory
  /** The newest complete snapshot of this member. */
  snapshot: SnapshotMeta | undefined
  /** Ticks since the leader was heard or a vote was given; on a leader, since it last counted who it hears. */
  electionElapsed = 0
  electionTimeout: number
  /** All ticks so far, with those that were missed. */
  now = 0

  /** While it asks for votes. */
  readonly votes = new Map<number, boolean>()

  // As a leader.
  heartbeatElapsed = 0
  /** By rising node id; everybody but this member who is in a membership that still matters. */
  progressByNode = new Map<number, Progress>()
  uncommittedBytes = 0
  readonly reads = new ReadRequests()
  /** Who is to lead next; 0 for nobody. */
  transferTo = 0
  /** Somebody was told to begin an election at once: from then on a lease means nothing in this term. */
  transferAsked = false

  // As a follower.
  /** After a start where leases are in use: it may have heard a leader just before. */
  withholdVotesTicks = 0
  receiving: Receiving | undefined
  /** Received whole and not installed yet: until then the log stands still. */
  installing: SnapshotMeta | undefined

  // What goes out with the next `ready`.
  messages: Array<RaftMessage> = []
  messagesAfterWrite: Array<RaftMessage> = []
  chunks: Array<ReceivedChunk> = []
  chunkReads: Array<ChunkRead> = []
  readAnswers: Array<ReadAnswer> = []

  constructor(
    readonly options: MachineOptions,
    start: MachineStart
  ) {
    checkMachineOptions(options)
    const { hardState, snapshot, entries } = start
    this.nodeId = options.nodeId
    this.snapshot = snapshot
    this.memberships = new MembershipHistory(snapshot?.index ?? 0, snapshot?.membership ?? emptyMembership)
    this.log = startLog(snapshot, entries)
    for (const entry of entries) if (entry.index > (snapshot?.index ?? 0)) this.memberships.appended(entry)
    this.term = hardState.term
    this.votedFor = hardState.votedFor
    if (this.log.lastTerm > this.term) violated(`the stored term ${this.term} is below that of the log, ${this.log.lastTerm}`)
    const snapshotIndex = snapshot?.index ?? 0
    if (hardState.commitIndex > this.log.lastIndex) {
      violated(`the stored log ends at ${this.log.lastIndex}, and entries up to ${hardState.commitIndex} were committed`)
    }
    this.log.commitIndex = Math.max(snapshotIndex, hardState.commitIndex, this.log.compactIndex)
    this.log.appliedIndex = Math.max(snapshotIndex, this.log.compactIndex)
    this.electionTimeout = this.drawTimeout()
  }

  get isLeader(): boolean {
    return this.role === "leader"
  }

  /** Whether it has a vote. */
  get isVoter(): boolean {
    return isVoter(this.memberships.current, this.nodeId)
  }

  /**
   * Whether it may want to lead: it has a vote, or has one until the membership that takes it away is committed. It may be the only
   * one whose log can win an election that commits that membership (dissertation, 4.2.2).
   */
  get mayLead(): boolean {
    return this.memberships.since(this.log.commitIndex).some((membership) => isVoter(membership, this.nodeId))
  }

  /** What was committed before this leader's term is known to be so only behind an entry of its own (paper, 5.4.2 and 8). */
  get committedInTerm(): boolean {
    return this.log.termAt(this.log.commitIndex) === this.term
  }

  drawTimeout(): number {
    return Math.max(this.options.electionTicks, this.options.drawElectionTicks())
  }

  /** Beside the write that is to come: the message depends on nothing that is not durable. */
  send(message: RaftMessage): void {
    this.messages.push(message)
  }

  sendAfterWrite(message: RaftMessage): void {
    this.messagesAfterWrite.push(message)
  }
}

/** The store may hold more than the snapshot needs; of what is before its first entry no term is known, so that one is given up. */
const startLog = (snapshot: SnapshotMeta | undefined, entries: MachineStart["entries"]): Log => {
  const snapshotIndex = snapshot?.index ?? 0
  const first = entries[0]
  if (first === undefined) return new Log(snapshotIndex, snapshot?.term ?? 0, [])
  if (first.index === snapshotIndex + 1) return new Log(snapshotIndex, snapshot?.term ?? 0, entries)
  if (first.index > snapshotIndex) violated(`the stored log begins at ${first.index}, behind a gap`)
  const last = entries[entries.length - 1] as (typeof entries)[number]
  if (last.index < snapshotIndex) return new Log(snapshotIndex, snapshot?.term ?? 0, [])
  return new Log(first.index, first.term, entries.slice(1))
}
