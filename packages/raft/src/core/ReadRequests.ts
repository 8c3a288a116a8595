/**
 * Reads that wait on a leader until a majority confirmed that it still leads (read index: Raft dissertation, 6.4).
 *
 * Invariants
 * - A request gets a commit index that was known when or after it came, and it gets it only after a majority answered a message
 *   that was sent after it came.
 * - All that came before one round of messages share the round.
 */

export interface ReadRequest {
  /** Who asks; the leader itself or a follower. */
  readonly from: number
  readonly requestId: number
}

interface Round {
  readonly round: number
  readonly index: number
  readonly requests: ReadonlyArray<ReadRequest>
}

export class ReadRequests {
  /** Sent with every append; rises when reads wait for an answer to it. */
  round = 0
  /** When each round that matters to the lease was sent; oldest first. */
  readonly sentAt: Array<{ readonly round: number; readonly tick: number }> = []
  /** They wait for the first commit of the term. */
  private early: Array<ReadRequest> = []
  private fresh: Array<ReadRequest> = []
  private rounds: Array<Round> = []
  count = 0

  wait(request: ReadRequest, committedInTerm: boolean): void {
    this.count++
    if (committedInTerm) this.fresh.push(request)
    else this.early.push(request)
  }

  /** The first entry of the term is committed. */
  termCommitted(): void {
    if (this.early.length === 0) return
    this.fresh = [...this.early, ...this.fresh]
    this.early = []
  }

  /** Gives those that came since the last round one of their own; whether there is one. */
  beginRound(commitIndex: number): boolean {
    if (this.fresh.length === 0) return false
    this.round++
    this.rounds.push({ round: this.round, index: commitIndex, requests: this.fresh })
    this.fresh = []
    return true
  }

  /** What a majority has confirmed, oldest first. */
  takeConfirmed(isConfirmed: (round: number) => boolean): ReadonlyArray<Round> {
    let count = this.rounds.length
    while (count > 0 && !isConfirmed((this.rounds[count - 1] as Round).round)) count--
    const confirmed = this.rounds.splice(0, count)
    for (const round of confirmed) this.count -= round.requests.length
    return confirmed
  }

  /** Leadership ended: nobody gets an answer any more. */
  takeAll(): ReadonlyArray<ReadRequest> {
    const all = [...this.rounds.flatMap((round) => round.requests), ...this.early, ...this.fresh]
    this.rounds = []
    this.early = []
    this.fresh = []
    this.sentAt.length = 0
    this.round = 0
    this.count = 0
    return all
  }
}
