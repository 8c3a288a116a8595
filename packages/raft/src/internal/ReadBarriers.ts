/**
 * Linearizable reads that wait on this member: those of one turn share one request to the leader, and ask again when its answer
 * does not come.
 *
 * Invariant: a read is answered when the answer to a request that was sent after the read came is applied here.
 */
import type { ReadAnswer } from "../core/Ready.js"
import { RaftUnavailable } from "../RaftUnavailable.js"

export interface ReadWaiter {
  succeed(appliedIndex: number): void
  fail(error: RaftUnavailable): void
  ticksLeft: number
  /** Answered or given up. */
  done: boolean
}

interface Asked {
  readonly waiters: ReadonlyArray<ReadWaiter>
  ticks: number
}

export class ReadBarriers {
  private fresh: Array<ReadWaiter> = []
  /** The leader could not say: asked again with the next tick. */
  private later: Array<ReadWaiter> = []
  private readonly askedById = new Map<number, Asked>()
  /** By rising index. */
  private confirmed: Array<{ readonly index: number; readonly waiters: ReadonlyArray<ReadWaiter> }> = []
  private count = 0

  constructor(
    private readonly waitersMax: number,
    private readonly timeoutTicks: number,
    private readonly retryTicks: number,
    /** Ids never come again, not even after a restart: a late answer to another request would be older than the read. */
    private nextId: number
  ) {}

  get waiting(): number {
    return this.count
  }

  /** Returns how to give up. */
  add(succeed: (appliedIndex: number) => void, fail: (error: RaftUnavailable) => void): () => void {
    if (this.count >= this.waitersMax) {
      fail(new RaftUnavailable({ reason: "overloaded", message: `${this.count} reads wait already` }))
      return () => undefined
    }
    const waiter = { succeed, fail, ticksLeft: this.timeoutTicks, done: false }
    this.fresh.push(waiter)
    this.count++
    return () => this.finish(waiter)
  }

  private finish(waiter: ReadWaiter): boolean {
    if (waiter.done) return false
    waiter.done = true
    this.count--
    return true
  }

  /** Some wait for a request of theirs. */
  get isAsking(): boolean {
    return this.fresh.length > 0
  }

  /** The id of a request for those that came since the last one; undefined where there are none. */
  ask(): number | undefined {
    if (this.fresh.length === 0) return undefined
    const id = this.nextId++
    this.askedById.set(id, { waiters: this.fresh, ticks: 0 })
    this.fresh = []
    return id
  }

  answered({ requestId, index }: ReadAnswer, appliedIndex: number): void {
    const asked = this.askedById.get(requestId)
    if (asked === undefined) return
    this.askedById.delete(requestId)
    if (index < 0) this.later.push(...asked.waiters)
    else if (index <= appliedIndex) this.succeed(asked.waiters, appliedIndex)
    else {
      const at = this.confirmed.findIndex((one) => one.index > index)
      this.confirmed.splice(at < 0 ? this.confirmed.length : at, 0, { index, waiters: asked.waiters })
    }
  }

  applied(appliedIndex: number): void {
    while (this.confirmed.length > 0 && (this.confirmed[0] as { readonly index: number }).index <= appliedIndex) {
      this.succeed(this.confirmed.shift()?.waiters ?? [], appliedIndex)
    }
  }

  private succeed(waiters: ReadonlyArray<ReadWaiter>, appliedIndex: number): void {
    for (const waiter of waiters) if (this.finish(waiter)) waiter.succeed(appliedIndex)
  }

  /** What was asked of another leader gets no answer. */
  leaderChanged(): void {
    for (const asked of this.askedById.values()) this.fresh.push(...asked.waiters)
    this.askedById.clear()
    this.fresh.push(...this.later)
    this.later = []
  }

  tick(expired: () => RaftUnavailable): void {
    if (this.count === 0 && this.askedById.size === 0) return
    this.fresh.push(...this.later)
    this.later = []
    for (const [id, asked] of this.askedById) {
      if (++asked.ticks < this.retryTicks) continue
      this.askedById.delete(id)
      this.fresh.push(...asked.waiters)
    }
    const age = (waiters: ReadonlyArray<ReadWaiter>) => {
      for (const waiter of waiters) if (--waiter.ticksLeft <= 0 && this.finish(waiter)) waiter.fail(expired())
    }
    age(this.fresh)
    for (const asked of this.askedById.values()) age(asked.waiters)
    for (const one of this.confirmed) age(one.waiters)
    this.fresh = this.fresh.filter((waiter) => !waiter.done)
  }

  failAll(error: RaftUnavailable): void {
    const all = [
      ...this.fresh,
      ...this.later,
      ...[...this.askedById.values()].flatMap((asked) => asked.waiters),
      ...this.confirmed.flatMap((one) => one.waiters)
    ]
    this.fresh = []
    this.later = []
    this.askedById.clear()
    this.confirmed = []
    for (const waiter of all) if (this.finish(waiter)) waiter.fail(error)
  }
}
