/**
 * Snapshots of this member's own state: begun when due, made beside further work, written a chunk per turn, then the log is cut.
 *
 * Invariants
 * - All of the store is called from the driver's fiber. One snapshot at a time; one that comes in from a leader goes first.
 * - The log is cut only at what a complete snapshot holds, and keeps a tail for slow followers.
 */
import type { Counter } from "@effectmq/metrics/Meters"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RaftMachine } from "../core/RaftMachine.js"
import type { RaftNodeOptions } from "../RaftNodeOptions.js"
import type { RaftStoreError, RaftStoreService } from "../RaftStore.js"
import { RaftUnavailable } from "../RaftUnavailable.js"
import type { StateMachine } from "../StateMachine.js"
import { isFull } from "./DurableWork.js"

type Answer = (outcome: SnapshotMeta | RaftUnavailable) => void

interface Making {
  readonly index: number
  /** What was applied since the last one, of the entries that this one holds. */
  readonly entries: number
  readonly bytes: number
  readonly answers: Array<Answer>
  /** Undefined while the state machine makes them. */
  chunks: ReadonlyArray<Uint8Array> | undefined
  snapshot: SnapshotMeta | undefined
  nextChunk: number
}

/** A snapshot that a follower is loading is kept until it is this many times overdue. */
const patience = 4
/** After no space. */
const retryTicks = 100

export class SnapshotTaking {
  private making: Making | undefined
  private wished: Array<Answer> = []
  private entriesSince = 0
  private bytesSince = 0
  private pauseTicks = 0

  constructor(
    private readonly options: RaftNodeOptions,
    private readonly machine: RaftMachine,
    private readonly store: RaftStoreService,
    private readonly stateMachine: StateMachine,
    private readonly scope: Scope.Scope,
    private readonly wake: () => void,
    private readonly taken: Counter
  ) {}

  applied(entries: number, bytes: number): void {
    this.entriesSince += entries
    this.bytesSince += bytes
  }

  /** The state is another one: what is being made is of no use. */
  installed(): void {
    this.giveUp(new RaftUnavailable({ reason: "busy", message: "a snapshot of the leader took the place of this one" }))
    this.entriesSince = 0
    this.bytesSince = 0
  }

  wish(answer: Answer): void {
    this.wished.push(answer)
    this.wake()
  }

  tick(): void {
    if (this.pauseTicks > 0) this.pauseTicks--
  }

  get isDue(): boolean {
    const { snapshotEntries, snapshotBytes } = this.options
    if (this.pauseTicks > 0 || (this.entriesSince < snapshotEntries && this.bytesSince < snapshotBytes)) return false
    const times = this.isBeingSent ? patience : 1
    const bytesMax = Math.max(snapshotBytes, this.machine.snapshot?.bytes ?? 0)
    return this.entriesSince >= snapshotEntries * times || this.bytesSince >= bytesMax * times
  }

  private get isBeingSent(): boolean {
    for (const follower of this.machine.followers) {
      if (follower.state === "snapshot" && follower.silentTicks < this.machine.electionTicks) return true
    }
    return false
  }

  /** There is something to be done in this turn. */
  get isAtWork(): boolean {
    return this.making !== undefined || this.wished.length > 0 || this.isDue
  }

  /** What is to be done in this turn. */
  readonly advance: Effect.Effect<void, RaftStoreError> = Effect.suspend(() => {
    if (this.making === undefined) return this.begin()
    if (this.making.chunks === undefined) return Effect.void
    if (this.machine.isReceivingSnapshot) {
      return Effect.sync(() => this.giveUp(new RaftUnavailable({ reason: "busy", message: "a snapshot of the leader comes in" })))
    }
    return Effect.catchIf(this.writeChunk(this.making, this.making.chunks), isFull, (error) =>
      Effect.sync(() => {
        this.pauseTicks = retryTicks
        this.giveUp(new RaftUnavailable({ reason: "overloaded", message: error.message }))
      })
    )
  })

  private begin(): Effect.Effect<void> {
    if (this.wished.length === 0 && !this.isDue) return Effect.void
    const { machine } = this
    const answers = this.wished
    this.wished = []
    const index = machine.appliedIndex
    const newest = machine.snapshot
    if (index === (newest?.index ?? 0)) {
      const empty = new RaftUnavailable({ reason: "invalid", message: "nothing was applied yet" })
      for (const answer of answers) answer(newest ?? empty)
      return Effect.void
    }
    if (machine.isReceivingSnapshot) {
      const busy = new RaftUnavailable({ reason: "busy", message: "a snapshot of the leader comes in" })
      for (const answer of answers) answer(busy)
      return Effect.void
    }
    const since = { entries: this.entriesSince, bytes: this.bytesSince }
    const making: Making = { index, ...since, answers, chunks: undefined, snapshot: undefined, nextChunk: 0 }
    const term = machine.termAt(index)
    const membership = machine.membershipAt(index)
    this.making = making
    this.entriesSince = 0
    this.bytesSince = 0
    const made = (chunks: ReadonlyArray<Uint8Array>) => {
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      making.chunks = chunks
      making.snapshot = { index, term, membership, chunks: chunks.length, bytes }
      this.wake()
    }
    return this.stateMachine.snapshot(this.options.snapshotChunkBytesMax).pipe(
      Effect.map(made),
      Effect.catchAllCause((cause) =>
        Effect.zipRight(
          Effect.logError("no snapshot could be made of the state", cause),
          Effect.sync(() => {
            this.pauseTicks = retryTicks
            this.giveUp(new RaftUnavailable({ reason: "invalid", message: "no snapshot could be made of the state" }))
          })
        )
      ),
      Effect.forkIn(this.scope),
      Effect.asVoid
    )
  }

  private writeChunk(making: Making, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, RaftStoreError> {
    const { machine, options, store } = this
    const snapshot = making.snapshot as SnapshotMeta
    return Effect.gen(this, function* () {
      const data = chunks[making.nextChunk] as Uint8Array
      yield* store.stageSnapshotChunk(snapshot, making.nextChunk, data)
      making.nextChunk++
      if (making.nextChunk < chunks.length) return this.wake()
      yield* store.completeSnapshot(snapshot, "keep")
      machine.snapshotTaken(snapshot)
      this.making = undefined
      this.taken.value++
      for (const answer of making.answers) answer(snapshot)
      if (this.wished.length > 0) this.wake()
      const cut = machine.compactionPoint(options.keptEntries, options.keptBytes)
      if (cut < machine.firstIndex) return
      yield* store.compact(cut)
      machine.compact(cut)
    })
  }

  /** It is as due as it was; whoever wished for one meanwhile gets another. */
  private giveUp(error: RaftUnavailable): void {
    const { making } = this
    if (making === undefined) return
    this.making = undefined
    this.entriesSince += making.entries
    this.bytesSince += making.bytes
    for (const answer of making.answers) answer(error)
    if (this.wished.length > 0) this.wake()
  }

  failAll(error: RaftUnavailable): void {
    this.giveUp(error)
    const wished = this.wished
    this.wished = []
    for (const answer of wished) answer(error)
  }
}
