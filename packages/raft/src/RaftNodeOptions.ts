/**
 * What a member of a Raft group is told by whoever composes it, and the limits it keeps.
 */
import type { Member } from "@effectmq/schemas/raft/Membership"
import { defaultLimits } from "./core/MachineOptions.js"

export interface RaftNodeOptions {
  /** A positive whole number, never used by another member of the group, not even after this one is gone. */
  readonly nodeId: number
  /**
   * The voters of a new group, this member among them: the same list on all of them. Taken when the store is empty. An empty list:
   * this member waits until a leader adds it.
   */
  readonly initialMembers: ReadonlyArray<Member>
  /** Where others are as long as the log does not say it: a member that was added answers before it knows any of the group. */
  readonly contacts: ReadonlyArray<Member>
  /** All times are counted in ticks of this length. */
  readonly tickMs: number
  readonly heartbeatMs: number
  /** An election begins when no leader was heard for a time drawn anew each time between these. */
  readonly electionMsMin: number
  readonly electionMsMax: number
  /** Reads without asking a majority while clocks make it certain enough; off unless clocks can be trusted (docs/adr/0006-raft-machine.md). */
  readonly leaseReads: boolean
  /** Of `electionMsMin`, given away to clocks that run differently. */
  readonly leaseMarginMs: number
  readonly readTimeoutMs: number
  /** Reads that wait on this member. */
  readonly readBarriersMax: number
  /** A change of the membership or a transfer of leadership. */
  readonly changeTimeoutMs: number
  /** Messages that came and were not looked at yet; those beyond are dropped. */
  readonly inboxMessagesMax: number
  /** A snapshot is taken when so many commands were applied since the last one, */
  readonly snapshotEntries: number
  /** or so many bytes, and as many as that one had. */
  readonly snapshotBytes: number
  readonly snapshotChunkBytesMax: number
  /** What stays in the log before a snapshot, so that a slow follower needs none: at most this much. */
  readonly keptEntries: number
  readonly keptBytes: number
  /** One command. */
  readonly commandBytesMax: number
  /** Of what is proposed and not committed. */
  readonly uncommittedBytesMax: number
  /** Of the entries in one message. */
  readonly appendBytesMax: number
  /** To one follower, sent and not answered. */
  readonly inflightMessagesMax: number
  readonly inflightBytesMax: number
  /** How far a learner may be behind when it gets a vote. */
  readonly promoteLagEntriesMax: number
}

export const defaultOptions: Omit<RaftNodeOptions, "nodeId" | "initialMembers" | "contacts"> = {
  tickMs: 50,
  heartbeatMs: 100,
  electionMsMin: 400,
  electionMsMax: 800,
  leaseReads: false,
  leaseMarginMs: 100,
  readTimeoutMs: 3_000,
  readBarriersMax: 20_000,
  changeTimeoutMs: 10_000,
  inboxMessagesMax: 10_000,
  snapshotEntries: 50_000,
  snapshotBytes: 16 * 1024 * 1024,
  snapshotChunkBytesMax: 512 * 1024,
  keptEntries: 5_000,
  keptBytes: 8 * 1024 * 1024,
  commandBytesMax: defaultLimits.commandBytesMax,
  uncommittedBytesMax: defaultLimits.uncommittedBytesMax,
  appendBytesMax: defaultLimits.appendBytesMax,
  inflightMessagesMax: defaultLimits.inflightMessagesMax,
  inflightBytesMax: defaultLimits.inflightBytesMax,
  promoteLagEntriesMax: defaultLimits.promoteLagEntriesMax
}
