/**
 * Drives a Raft machine from one fiber: takes what gathered, steps all of it, then does what comes out in the order that must hold.
 *
 * Invariants
 * - Everything but `propose` and what reads happens in the driver's fiber, one turn after another; so do all calls to the state
 *   machine and the store.
 * - Nothing that depends on a write is sent before the write is durable.
 * - No space: the write is tried again, and meanwhile this member does not lead and whoever asks it for something is told why it
 *   cannot. Any other failure of the store, a violation of what Raft promises, a state machine that cannot go on: this member takes
 *   part no more, and says why.
 */
import type { CommandEntry, Entry } from "@effectmq/schemas/raft/Entry"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { entryBytes } from "../core/Log.js"
import type { RaftMachine } from "../core/RaftMachine.js"
import type { Ready } from "../core/Ready.js"
import type { RaftNodeOptions } from "../RaftNodeOptions.js"
import type { RaftStoreError, RaftStoreService } from "../RaftStore.js"
import type { RaftTransportService } from "../RaftTransport.js"
import { RaftUnavailable } from "../RaftUnavailable.js"
import type { StateMachine } from "../StateMachine.js"
import { chunkMessage, persist, restore, stage } from "./DurableWork.js"
import { Inbox } from "./Inbox.js"
import { LeaderWishes, refused } from "./LeaderWishes.js"
import type { RaftMeters } from "./RaftMeters.js"
import { ReadBarriers } from "./ReadBarriers.js"
import { SnapshotTaking } from "./SnapshotTaking.js"
import { StatusBoard } from "./StatusBoard.js"

/** Commands applied in a turn before others get theirs. */
const appliedPerTurnMax = 5_000

export interface DriverParts {
  readonly options: RaftNodeOptions
  readonly machine: RaftMachine
  readonly store: RaftStoreService
  readonly transport: RaftTransportService
  readonly stateMachine: StateMachine
  readonly meters: RaftMeters
  readonly scope: Scope.Scope
  readonly firstReadId: number
}

export class RaftDriver {
  fenced: string | undefined
  private noSpaceFor: string | undefined
  private closed = false
  private readonly inbox: Inbox
  private tickDue = false
  /** What a tick between two turns threw. */
  private failure: { readonly cause: unknown } | undefined
  private tickStartMs = 0
  private ticksCounted = 0
  private woken = true
  private wakeUp: (() => void) | undefined
  /** The term that the state machine leads in, as it knows; 0 for none. */
  private ledTerm = 0
  /** What the transport knows of the members is committed. */
  private membersAreFinal = false
  private contacts: ReadonlyArray<Member>
  readonly board: StatusBoard
  readonly reads: ReadBarriers
  readonly wishes: LeaderWishes
  readonly snapshots: SnapshotTaking
  private readonly parts: DriverParts
  private readonly machine: RaftMachine

  constructor(parts: DriverParts) {
    const { options, machine, store, stateMachine, scope } = parts
    const ticks = (ms: number) => Math.max(1, Math.ceil(ms / options.tickMs))
    this.parts = parts
    this.machine = machine
    this.contacts = options.contacts
    this.inbox = new Inbox(options.inboxMessagesMax)
    this.board = new StatusBoard(options.nodeId, options.tickMs, machine, () => ({
      fenced: this.fenced,
      noSpace: this.noSpaceFor
    }))
    this.reads = new ReadBarriers(
      options.readBarriersMax,
      ticks(options.readTimeoutMs),
      ticks(options.heartbeatMs * 2),
      parts.firstReadId
    )
    this.wishes = new LeaderWishes(machine, ticks(options.changeTimeoutMs))
    this.snapshots = new SnapshotTaking(options, machine, store, stateMachine, scope, this.wake, parts.meters.snapshotsTaken)
  }

  readonly wake = (): void => {
    this.woken = true
    const wakeUp = this.wakeUp
    this.wakeUp = undefined
    wakeUp?.()
  }

  receive(message: RaftMessage): void {
    const outcome = this.inbox.offer(message)
    if (outcome === "closed") return
    this.parts.meters.received.value++
    if (outcome === "taken") this.wake()
    else this.parts.meters.dropped.value++
  }

  propose(term: number, data: Uint8Array): Either.Either<number, RaftUnavailable> {
    const { machine } = this
    const unavailable = this.unavailable()
    if (unavailable !== undefined) return Either.left(unavailable)
    if (this.ledTerm !== term || machine.term !== term) {
      const message = `this node does not lead in term ${term}`
      return Either.left(new RaftUnavailable({ reason: "not-leader", message, leaderId: machine.leaderId }))
    }
    const index = machine.propose(data)
    if (typeof index === "number") {
      this.parts.meters.proposals.value++
      this.wake()
      return Either.right(index)
    }
    this.parts.meters.refused.value++
    return Either.left(refused(index))
  }

  /** Why nothing is done here any more. */
  unavailable(): RaftUnavailable | undefined {
    if (this.closed) return new RaftUnavailable({ reason: "closed", message: "the node is stopping" })
    return this.fenced === undefined ? undefined : new RaftUnavailable({ reason: "fenced", message: this.fenced })
  }

  /** Why nothing is done here now. */
  standsStill(): RaftUnavailable | undefined {
    return this.unavailable() ?? (this.noSpaceFor === undefined ? undefined : noSpaceError(this.noSpaceFor))
  }

  fence(reason: string): void {
    if (this.fenced !== undefined || this.closed) return
    this.fenced = reason
    this.inbox.close()
    this.wake()
  }

  /** Ticks follow the machine's own time, not the calendar's; those that a busy or paused process missed are told as missed. */
  readonly ticks: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        this.tickStartMs = performance.now()
        return setInterval(this.tickIsDue, this.parts.options.tickMs)
      }),
      (timer) => Effect.sync(() => clearInterval(timer))
    )
  )

  /** Between two turns most ticks only count: those that nothing comes of take no turn. */
  private readonly tickIsDue = (): void => {
    this.tickDue = true
    if (this.wakeUp === undefined || this.fenced !== undefined) return this.wake()
    try {
      this.tick()
    } catch (cause) {
      this.failure = { cause }
    }
    const { machine, reads, wishes, snapshots, board, failure } = this
    const isQuiet =
      machine.isQuiet && failure === undefined && !reads.isAsking && !wishes.areUnderWay && !snapshots.isDue && !board.hasNews
    if (!isQuiet) this.wake()
  }

  private readonly work = Effect.async<void>((resume) => {
    if (this.woken) resume(Effect.void)
    else this.wakeUp = () => resume(Effect.void)
  })

  /**
   * Until it is fenced. The yields let whoever was woken by the last turn, or is about to propose, join the next one; with one only,
   * somebody who asks again and again would take turns with this fiber so that timers and sockets get none.
   */
  readonly run: Effect.Effect<void> = Effect.suspend(() => {
    const turn = Effect.catchAllCause(this.turn, (cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.zipRight(
            Effect.logError("the raft member failed", cause),
            Effect.sync(() => this.fence(reasonOf(cause)))
          )
    )
    const next = Effect.zipRight(Effect.zipRight(this.work, Effect.yieldNow()), Effect.zipLeft(turn, Effect.yieldNow()))
    const turns = Effect.whileLoop({ while: () => this.fenced === undefined, body: () => next, step: () => undefined })
    return Effect.zipRight(turns, this.tellFence)
  })

  private readonly turn: Effect.Effect<void, RaftStoreError> = Effect.suspend(() => {
    this.woken = false
    if (this.failure !== undefined) throw this.failure.cause
    this.takeInputs()
    return this.carryOut(this.parts.meters.applied.value)
  })

  /** What comes out, at once as far as nothing has to be waited for. `appliedBefore`: by this member when the turn began. */
  private carryOut(appliedBefore: number): Effect.Effect<void, RaftStoreError> {
    while (this.fenced === undefined) {
      const ready = this.machine.ready()
      if (ready === undefined) break
      const storing = this.handle(ready)
      if (storing !== undefined) {
        return Effect.zipRight(
          storing,
          Effect.suspend(() => this.handled(appliedBefore) ?? this.carryOut(appliedBefore))
        )
      }
      const pause = this.handled(appliedBefore)
      if (pause !== undefined) return pause
    }
    return this.endTurn()
  }

  /** Undefined where the turn goes on; otherwise how it ends, for others to have theirs. */
  private handled(appliedBefore: number): Effect.Effect<void, RaftStoreError> | undefined {
    this.settle()
    if (this.parts.meters.applied.value - appliedBefore < appliedPerTurnMax) return undefined
    this.wake()
    return Effect.zipRight(
      Effect.sleep(0),
      Effect.suspend(() => this.endTurn())
    )
  }

  private endTurn(): Effect.Effect<void, RaftStoreError> {
    this.settle()
    if (this.fenced !== undefined || !(this.snapshots.isAtWork || this.board.hasProblems)) return Effect.void
    return Effect.zipRight(this.snapshots.advance, this.board.tellProblems)
  }

  private takeInputs(): void {
    const { machine } = this
    for (const message of this.inbox.takeAll()) machine.step(message)
    if (this.tickDue) this.tick()
    this.wishes.begin()
    const readId = this.reads.ask()
    if (readId !== undefined) machine.readIndex(readId)
  }

  private tick(): void {
    this.tickDue = false
    const ticks = Math.floor((performance.now() - this.tickStartMs) / this.parts.options.tickMs)
    this.machine.tick(ticks - this.ticksCounted)
    this.ticksCounted = ticks
    if (!this.membersAreFinal && this.machine.membershipIndex <= this.machine.commitIndex) this.tellMembers()
    this.wishes.tick()
    this.snapshots.tick()
    this.reads.tick(() =>
      this.machine.leaderId === 0
        ? new RaftUnavailable({ reason: "no-leader", message: "no leader is known to this node" })
        : new RaftUnavailable({
            reason: "timeout",
            message: `node ${this.machine.leaderId} did not confirm in time that it leads`,
            leaderId: this.machine.leaderId
          })
    )
  }

  private send(messages: ReadonlyArray<RaftMessage>): void {
    for (const message of messages) this.parts.transport.send(message)
    this.parts.meters.sent.value += messages.length
  }

  /** Answers what is to be waited for; undefined where all was done at once. */
  private handle(ready: Ready): Effect.Effect<void, RaftStoreError> | undefined {
    this.send(ready.messages)
    const { write, chunks, install, chunkReads } = ready
    if (write !== undefined || install !== undefined || chunks.length + chunkReads.length > 0) return this.store(ready)
    this.apply(ready.committed)
    if (this.fenced !== undefined) return undefined
    this.send(ready.messagesAfterWrite)
    this.advance(ready)
    return undefined
  }

  private store(ready: Ready): Effect.Effect<void, RaftStoreError> {
    return Effect.gen(this, function* () {
      const { store, meters, options } = this.parts
      if (ready.write !== undefined) yield* persist(store, meters, ready.write, this.noSpace)
      if (this.fenced !== undefined) return
      this.apply(ready.committed)
      if (this.fenced !== undefined) return
      const staged = ready.chunks.length === 0 || (yield* stage(store, meters, ready.chunks, ready.install))
      if (staged && ready.install !== undefined) yield* this.restoreFrom(ready.install)
      if (this.fenced !== undefined) return
      if (!staged) this.machine.snapshotFailed()
      this.send(
        staged ? ready.messagesAfterWrite : ready.messagesAfterWrite.filter((message) => message._tag !== "SnapshotReply")
      )
      for (const read of ready.chunkReads) this.send([yield* chunkMessage(store, options.nodeId, read)])
      this.advance(ready)
    })
  }

  private advance({ reads }: Ready): void {
    const { machine } = this
    machine.advance()
    for (const answer of reads) this.reads.answered(answer, machine.appliedIndex)
    this.reads.applied(machine.appliedIndex)
  }

  /** Without space this member does not lead; what comes meanwhile is old when there is some, and its senders try again. */
  private readonly noSpace = {
    before: (why: string) => {
      this.machine.stepDown()
      this.noSpaceFor = why
      this.settle()
      const error = noSpaceError(why)
      this.reads.failAll(error)
      this.wishes.standStill(error)
      this.snapshots.failAll(error)
    },
    after: () => {
      this.inbox.takeAll()
      return this.fenced !== undefined
    },
    over: () => {
      this.noSpaceFor = undefined
      this.wake()
    }
  }

  private apply(committed: ReadonlyArray<Entry>): void {
    if (committed.length === 0) return
    const commands: Array<CommandEntry> = []
    let bytes = 0
    for (const entry of committed) {
      bytes += entryBytes(entry)
      if (entry.kind === "command") commands.push(entry)
    }
    if (commands.length > 0) this.parts.stateMachine.apply(commands)
    this.parts.meters.applied.value += commands.length
    this.snapshots.applied(committed.length, bytes)
  }

  private restoreFrom(snapshot: SnapshotMeta): Effect.Effect<void, RaftStoreError> {
    const { store, stateMachine, meters } = this.parts
    this.endLeadership()
    return Effect.catchAll(restore(store, stateMachine, snapshot), (failure) =>
      typeof failure === "string" ? Effect.sync(() => this.fence(failure)) : Effect.fail(failure)
    ).pipe(
      Effect.tap(() => {
        this.snapshots.installed()
        meters.snapshotsInstalled.value++
      })
    )
  }

  private endLeadership(): void {
    if (this.ledTerm === 0) return
    const term = this.ledTerm
    this.ledTerm = 0
    this.parts.stateMachine.leadershipEnded(term)
  }

  /** Tells everybody what changed; that this member takes part no more is told at the end of the turn. */
  private settle(): void {
    if (this.fenced !== undefined) return
    const { machine, parts } = this
    const leads = machine.role === "leader"
    if (this.ledTerm !== 0 && (!leads || machine.term !== this.ledTerm)) this.endLeadership()
    if (leads && this.ledTerm === 0) {
      this.ledTerm = machine.term
      parts.stateMachine.leadershipBegan(machine.term, machine.entries(machine.appliedIndex + 1, machine.lastIndex))
    }
    this.wishes.settle()
    this.tellStatus()
  }

  private tellStatus(): void {
    const told = this.board.tell()
    if (told === undefined) return
    const { before, now } = told
    if (before?.membership !== now.membership) this.tellMembers()
    if (before === undefined || before.leaderId === now.leaderId) return
    if (now.leaderId !== 0) this.parts.meters.leaderChanges.value++
    this.reads.leaderChanged()
    this.wake()
  }

  setContacts(contacts: ReadonlyArray<Member>): void {
    this.contacts = contacts
    this.tellMembers()
  }

  /** Those that are leaving are reached until their going is committed, and a tick longer, so that they hear of it. */
  private tellMembers(): void {
    const { machine, parts } = this
    this.membersAreFinal = machine.membershipIndex <= machine.commitIndex
    const members = machine.knownMembers.length > 0 ? machine.knownMembers : this.contacts
    parts.transport.setMembers(members.filter((member) => member.nodeId !== parts.options.nodeId))
  }

  private readonly tellFence = Effect.suspend(() => {
    const reason = String(this.fenced)
    this.stop(new RaftUnavailable({ reason: "fenced", message: reason }))
    return Effect.logFatal(`this node takes part no more in its raft group: ${reason}`)
  })

  private stop(error: RaftUnavailable): void {
    this.endLeadership()
    this.reads.failAll(error)
    this.wishes.failAll(error)
    this.snapshots.failAll(error)
    if (this.fenced !== undefined) this.tellStatus()
  }

  close(): void {
    this.closed = true
    this.inbox.close()
    this.stop(new RaftUnavailable({ reason: "closed", message: "the node is stopping" }))
    this.board.clear()
  }
}

const noSpaceError = (why: string) => new RaftUnavailable({ reason: "full", message: why })

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const problem = Cause.squash(cause)
  return problem instanceof Error ? problem.message : String(problem)
}
