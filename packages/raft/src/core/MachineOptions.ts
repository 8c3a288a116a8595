/**
 * What a Raft machine is told when it is made: who it is, its times in ticks, and its limits.
 */

export interface MachineOptions {
  /** Not 0: that stands for nobody. */
  readonly nodeId: number
  /** A leader speaks to everybody at least this often. */
  readonly heartbeatTicks: number
  /**
   * Who heard a leader within so many ticks gives no vote to another; a leader that heard no majority within them steps down. No
   * election begins earlier.
   */
  readonly electionTicks: number
  /** Ticks without a leader until this member wants to lead, drawn anew each time: at least `electionTicks`. */
  readonly drawElectionTicks: () => number
  /** Ask before an election whether it could be won, so that nobody's term rises for nothing (dissertation, 9.6). */
  readonly preVote: boolean
  /** Leaders step down without a majority, followers of a live leader give no votes (dissertation, 6.2 and 4.2.3). */
  readonly checkQuorum: boolean
  /** Answer reads without asking a majority while clocks make it certain enough (dissertation, 6.4.1). Needs `checkQuorum`. */
  readonly leaseReads: boolean
  /** How many ticks of `electionTicks` a lease gives away to clocks that differ. */
  readonly leaseMarginTicks: number
  /** Entries of one append message; a single entry may be larger. */
  readonly appendBytesMax: number
  /** Append messages to one follower that are not yet answered. */
  readonly inflightMessagesMax: number
  readonly inflightBytesMax: number
  /** One command. */
  readonly commandBytesMax: number
  /** Of entries that are not committed; proposals beyond are refused. */
  readonly uncommittedBytesMax: number
  /** Committed entries given out at once; a single entry may be larger. */
  readonly applyBytesMax: number
  /** Reads that wait on a leader. */
  readonly readsWaitingMax: number
  /** A learner that is further behind gets no vote. */
  readonly promoteLagEntriesMax: number
}

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

export const defaultLimits = {
  appendBytesMax: 512 * kibibyte,
  inflightMessagesMax: 128,
  inflightBytesMax: 8 * mebibyte,
  commandBytesMax: 4 * mebibyte,
  uncommittedBytesMax: 32 * mebibyte,
  applyBytesMax: 4 * mebibyte,
  readsWaitingMax: 10_000,
  promoteLagEntriesMax: 1_000
} as const satisfies Partial<MachineOptions>

/** Throws where options do not fit together: that is a mistake of whoever composed them. */
export const checkMachineOptions = (options: MachineOptions): void => {
  const demand = (right: boolean, problem: string) => {
    if (!right) throw new Error(`raft options: ${problem}`)
  }
  demand(Number.isSafeInteger(options.nodeId) && options.nodeId > 0, "nodeId must be a positive whole number")
  demand(options.heartbeatTicks >= 1, "heartbeatTicks must be at least 1")
  demand(options.electionTicks > options.heartbeatTicks, "electionTicks must be more than heartbeatTicks")
  demand(!options.leaseReads || options.checkQuorum, "leaseReads needs checkQuorum")
  demand(options.leaseMarginTicks >= 0 && options.leaseMarginTicks < options.electionTicks, "leaseMarginTicks leaves no lease")
  for (const name of [
    "appendBytesMax",
    "inflightMessagesMax",
    "inflightBytesMax",
    "commandBytesMax",
    "uncommittedBytesMax",
    "applyBytesMax",
    "readsWaitingMax"
  ] as const) {
    demand(options[name] >= 1, `${name} must be at least 1`)
  }
}
