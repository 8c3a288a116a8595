/**
 * Carries commands to the leader on another node: those that come together travel in one call.
 *
 * Every command is answered, soon after its deadline at the latest: `Lost` where it may have arrived and no answer came, as when
 * another node leads meanwhile.
 */
import { metadataCommandCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { SubmitOutcome, SubmittedCommand } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ClusterPeersService } from "../ClusterPeers.js"
import { isOther, type Leader, type Leaders } from "./Leaders.js"
import { leaderLost, notLeader } from "./Outcomes.js"
import { Sweeps } from "./Sweeps.js"
import { uptimeMs } from "./uptime.js"

export interface Try {
  readonly command: MetadataCommand
  readonly basisVersion: number
  readonly attempt: number
  /** By `uptimeMs`. */
  readonly deadlineMs: number
}

interface Waiting {
  readonly leader: Leader
  readonly sent: SubmittedCommand
  readonly deadlineMs: number
  readonly answer: (outcome: SubmitOutcome) => void
}

export const commandsPerCallMax = 256
/** No further command is taken into a call that has as many characters. */
export const lengthPerCallMax = 256 * 1024
export const callsUnderWayMax = 8
const sweepMs = 100
/** The leader answers by the deadline; its answer has so long to come back. */
export const returnMs = 500

export class Forwarder {
  private waiting: Array<Waiting> = []
  private readonly underWay = new Set<ReadonlyArray<Waiting>>()
  private wakeUp: (() => void) | undefined
  private isOver = false
  /** Of those under way: the ones whose fiber has not taken its first step. */
  private readonly notBegun = new Set<ReadonlyArray<Waiting>>()
  private readonly sweeps = new Sweeps(
    sweepMs,
    () => this.waiting.length > 0 || this.underWay.size > 0,
    (now) => this.sweep(now)
  )

  constructor(
    private readonly peers: ClusterPeersService,
    private readonly leaders: Leaders
  ) {}

  /** Carries a command to the leader. Answers how to take it back while it is not on its way. */
  offer(
    leader: Leader,
    { command, basisVersion, attempt, deadlineMs }: Try,
    answer: (outcome: SubmitOutcome) => void
  ): () => void {
    const sent = { line: metadataCommandCodec.encode(command), basisVersion, attempt }
    let isAnswered = false
    const once = (outcome: SubmitOutcome) => {
      if (isAnswered) return
      isAnswered = true
      answer(outcome)
    }
    const entry = { leader, sent, deadlineMs, answer: once }
    if (this.isOver) {
      once(notLeader(0, 0))
      return () => undefined
    }
    this.waiting.push(entry)
    this.sweeps.needed()
    this.wake()
    return () => {
      const at = this.waiting.indexOf(entry)
      if (at >= 0) this.waiting.splice(at, 1)
    }
  }

  /** Runs until it is interrupted; what is not on its way by then goes nowhere, nor does what comes later. */
  run(scope: Scope.Scope): Effect.Effect<never> {
    const work = Effect.async<void>((resume) => {
      if (this.mayCall()) resume(Effect.void)
      else this.wakeUp = () => resume(Effect.void)
    })
    const calls = Effect.suspend(() => {
      if (!this.mayCall()) return Effect.void
      const batch = this.take()
      this.underWay.add(batch)
      this.notBegun.add(batch)
      return this.send(batch).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            this.underWay.delete(batch)
            this.wake()
          })
        ),
        Effect.forkIn(scope)
      )
    })
    const turns = Effect.forever(Effect.zipRight(Effect.zipRight(work, Effect.yieldNow()), calls))
    const notSent = Effect.sync(() => {
      this.isOver = true
      for (const { answer } of this.waiting.splice(0)) answer(notLeader(0, 0))
      // A call whose fiber was ended before its first step has nobody else who answers.
      for (const batch of this.notBegun) for (const { answer } of batch) answer(leaderLost)
    })
    return Effect.zipRight(
      Effect.forkIn(this.sweeps.run, scope),
      Effect.onInterrupt(turns, () => notSent)
    )
  }

  /** Nobody waits for longer than he likes: neither behind calls that are not answered, nor in one with others who like to wait. */
  private sweep(now: number): void {
    for (const batch of this.underWay) {
      for (const { deadlineMs, answer } of batch) if (deadlineMs + returnMs <= now) answer(leaderLost)
    }
    const late = this.waiting.filter(({ deadlineMs }) => deadlineMs <= now)
    if (late.length === 0) return
    this.waiting = this.waiting.filter(({ deadlineMs }) => deadlineMs > now)
    for (const { answer } of late) answer(notLeader(0, 0))
  }

  private mayCall(): boolean {
    return this.waiting.length > 0 && this.underWay.size < callsUnderWayMax
  }

  private wake(): void {
    if (!this.mayCall()) return
    const wakeUp = this.wakeUp
    this.wakeUp = undefined
    wakeUp?.()
  }

  /** The first ones that go to the same leader. */
  private take(): ReadonlyArray<Waiting> {
    const { leader } = this.waiting[0] as Waiting
    let length = 0
    let count = 0
    for (const entry of this.waiting) {
      if (count >= commandsPerCallMax || length >= lengthPerCallMax || isOther(entry.leader, leader)) break
      length += entry.sent.line.length
      count++
    }
    return this.waiting.splice(0, count)
  }

  private send(batch: ReadonlyArray<Waiting>): Effect.Effect<void> {
    const { leader } = batch[0] as Waiting
    const answerAll = (outcome: SubmitOutcome) => {
      for (const entry of batch) entry.answer(outcome)
    }
    return Effect.gen(this, function* () {
      this.notBegun.delete(batch)
      const now = yield* uptimeMs
      const waitMsMax = Math.max(0, ...batch.map((entry) => entry.deadlineMs - now))
      const request = { term: leader.term, commands: batch.map((entry) => entry.sent), waitMsMax }
      const call = this.peers
        .at(leader.member)
        .submit(request)
        .pipe(Effect.timeoutOption(waitMsMax + returnMs))
      const outrun = Effect.as(this.leaders.after(leader), undefined)
      const answer = yield* Effect.either(Effect.raceFirst(call, outrun))
      if (answer._tag === "Left") {
        if (answer.left.reason === "unreachable") return answerAll(notLeader(0, 0))
        this.leaders.silent(leader)
        return answerAll(leaderLost)
      }
      if (answer.right === undefined || answer.right._tag === "None") {
        if (answer.right !== undefined) this.leaders.silent(leader)
        return answerAll(leaderLost)
      }
      const outcomes = answer.right.value
      for (const [at, entry] of batch.entries()) entry.answer(outcomes[at] ?? leaderLost)
    }).pipe(
      // A defect of the call, or the node stops.
      Effect.onExit((exit) => Effect.sync(() => (exit._tag === "Failure" ? answerAll(leaderLost) : undefined))),
      Effect.catchAllCause((cause) => Effect.logError("commands could not be passed on to the leader", cause))
    )
  }
}
