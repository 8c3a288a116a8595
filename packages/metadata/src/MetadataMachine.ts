/**
 * The metadata as the state machine of a Raft group: every member applies the same entries to its image; the leader decides
 * commands on the newest image its log amounts to, and answers once the entry is applied.
 *
 * Invariants
 * - The leader's `leading.image` is the replica's image with every entry of its log behind it applied. It is made anew in every
 *   leadership and gone with it.
 * - A reply leaves after `view.image()` shows what it says. A refusal, and a reply that needed no event, stand on the log as of its
 *   decision, so that they leave only after this member was confirmed as the leader since.
 * - An entry that cannot be applied stops this member for good, loudly: nothing is skipped.
 */
import type { RaftNodeService } from "@effectmq/raft/RaftNode"
import type { StateMachine } from "@effectmq/raft/StateMachine"
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { CommandEntry, Entry } from "@effectmq/schemas/raft/Entry"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { decideOffers, entryLimits } from "./core/decideOffers.js"
import { entryData } from "./core/EntryChain.js"
import type { Image } from "./core/Image.js"
import { Replica, type Step, stepOf } from "./core/Replica.js"
import { ImageView } from "./internal/ImageView.js"
import { outcomeOf, type Offer, leaderLost, notLeader, unavailable } from "./internal/Outcomes.js"
import type { Roll } from "./internal/Roll.js"
import { readContent, writeContent } from "./internal/snapshots.js"
import { Sweeps } from "./internal/Sweeps.js"
import { uptimeMsNow } from "./internal/uptime.js"

export interface MetadataMachineOptions {
  /** Commands beyond these are refused as `overloaded`. */
  readonly commandsWaitingMax: number
  /** Decided into one entry. */
  readonly commandsPerEntryMax: number
  /** Entries that are decided and not yet applied; commands wait meanwhile, and the next entry holds more of them. */
  readonly entriesUnderWayMax: number
}

export const defaultOptions: MetadataMachineOptions = {
  commandsWaitingMax: 20_000,
  commandsPerEntryMax: 1_000,
  entriesUnderWayMax: 4
}

/** What is to be answered when something else has happened. */
interface Answers {
  answers: ReadonlyArray<readonly [Offer, SubmitOutcome]>
}

/** An entry that is in the leader's log and not applied yet. */
interface Turn extends Answers {
  readonly term: number
  readonly step: Step
  /** What stands on this entry. */
  readonly behind: Array<() => void>
}

interface Leading {
  readonly term: number
  image: Image
  readonly turnsByIndex: Map<number, Turn>
  lastIndex: number
  /** Turns without an entry that wait for the confirmation that this member leads. */
  confirming: number
  /** Of commands that were retried in this term: the last try that was seen. */
  readonly attemptsById: Map<string, number>
}

/** Retries are rare: the oldest that is forgotten was on its way for far too long. */
export const attemptsMax = 8192

const sweepMs = 100

/** Whoever waits for longer than he likes is told that nothing is known. */
const giveUpLate = (turn: Answers, now: number, message: string): void => {
  const late = turn.answers.filter(([offer]) => offer.deadlineMs <= now)
  if (late.length === 0) return
  turn.answers = turn.answers.filter(([offer]) => offer.deadlineMs > now)
  for (const [offer] of late) offer.answer(unavailable("timeout", message))
}

/** Whether a later try came before this one; if not, this one is remembered where another may still be on its way. */
const isOutrun = ({ attemptsById }: Leading, { command: { commandId }, attempt }: Offer): boolean => {
  if ((attemptsById.get(commandId) ?? 0) > attempt) return true
  if (attempt > 1) {
    attemptsById.delete(commandId)
    attemptsById.set(commandId, attempt)
    if (attemptsById.size > attemptsMax) attemptsById.delete(attemptsById.keys().next().value as string)
  }
  return false
}

export class MetadataMachine implements StateMachine {
  readonly replica = new Replica()
  readonly view = new ImageView()
  private raft: RaftNodeService | undefined
  private leading: Leading | undefined
  private waiting: Array<Offer> = []
  /** Turns without an entry, of this leadership and earlier ones. */
  private readonly confirming = new Set<Answers>()
  private wakeTurn: (() => void) | undefined
  private stopped: MetadataUnavailable | undefined
  private readonly sweeps = new Sweeps(
    sweepMs,
    () => this.waiting.length > 0 || this.confirming.size > 0 || (this.leading?.turnsByIndex.size ?? 0) > 0,
    (now) => this.sweep(now)
  )

  constructor(
    private readonly options: MetadataMachineOptions,
    /** Something that must not be, for the log. */
    private readonly complain: (message: string, ...details: ReadonlyArray<unknown>) => void,
    /** What the clocks of the nodes say where this member leads. */
    private readonly clocks: Pick<Roll, "passedMs"> = { passedMs: () => undefined }
  ) {}

  /** Why this member takes part no more. */
  get fault(): MetadataUnavailable | undefined {
    return this.stopped
  }

  // ---- what RaftNode calls

  apply(entries: ReadonlyArray<CommandEntry>): void {
    if (this.stopped !== undefined) return
    const before = this.replica.image
    const events: Array<MetadataEvent> = []
    const turns: Array<Turn> = []
    let problem: string | undefined
    let isOvertaken = false
    for (const { index, term, data } of entries) {
      const turn = this.leading?.turnsByIndex.get(index)
      const own = turn?.term === term ? turn : undefined
      // Another leader's entry took the place of one of this leadership, whose end is told only afterwards.
      if (own === undefined) isOvertaken ||= turn !== undefined
      else this.leading?.turnsByIndex.delete(index)
      const step = this.replica.apply(index, data, own?.step)
      if (Either.isLeft(step)) {
        problem = `entry ${index} of the metadata log cannot be applied here: ${step.left}`
        break
      }
      events.push(...step.right.events)
      if (own !== undefined) turns.push(own)
    }
    this.show({ before, after: this.replica.image, events })
    for (const turn of turns) {
      for (const [offer, outcome] of turn.answers) offer.answer(outcome)
      for (const next of turn.behind) next()
    }
    if (isOvertaken) this.leadershipEnded(this.leadsInTerm)
    this.view.wake()
    if (problem !== undefined) this.fail(problem)
    this.wake()
  }

  snapshot(bytesMax: number): Effect.Effect<ReadonlyArray<Uint8Array>> {
    return writeContent(this.replica.content, bytesMax)
  }

  restore(index: number, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, { readonly message: string }> {
    return Effect.flatMap(readContent(chunks), (read) =>
      Effect.suspend(() => {
        if (Either.isLeft(read)) return Effect.fail({ message: `the snapshot of the metadata cannot be used: ${read.left}` })
        const content = read.right
        if (content.point.index > index) {
          return Effect.fail({ message: `the snapshot at entry ${index} holds what was applied up to ${content.point.index}` })
        }
        const before = this.replica.image
        this.replica.replace(content)
        this.show({ before, after: content.image, events: undefined })
        this.view.wake()
        return Effect.void
      })
    )
  }

  leadershipBegan(term: number, uncommitted: ReadonlyArray<Entry>): void {
    if (this.stopped !== undefined) return
    const leading: Leading = {
      term,
      image: this.replica.image,
      turnsByIndex: new Map(),
      lastIndex: this.replica.point.index,
      confirming: 0,
      attemptsById: new Map()
    }
    for (const entry of uncommitted) {
      if (entry.kind !== "command") continue
      const step = stepOf(leading.image, entry.data)
      if (Either.isLeft(step)) {
        this.fail(`entry ${entry.index} of the metadata log cannot be applied here: ${step.left}`)
        return
      }
      leading.image = step.right.after
      leading.lastIndex = entry.index
      leading.turnsByIndex.set(entry.index, { term: entry.term, step: step.right, answers: [], behind: [] })
    }
    this.leading = leading
    this.wake()
  }

  leadershipEnded(term: number): void {
    const ended = this.leading
    if (ended?.term !== term) return
    this.leading = undefined
    for (const turn of ended.turnsByIndex.values()) {
      for (const [offer] of turn.answers) offer.answer(leaderLost)
      for (const next of turn.behind) next()
    }
    this.answerWaiting(this.elsewhere())
  }

  // ---- what the rest of the node calls

  /** Begins to serve on the member it is the state machine of, until the scope closes. */
  serve(raft: RaftNodeService): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen(this, function* () {
      this.raft = raft
      const stopListening = raft.onStatus((status) => {
        if (status.fenced !== undefined) this.stop("fenced", status.fenced)
      })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          stopListening()
          this.stop("closed", "the node is stopping")
        })
      )
      const scope = yield* Effect.scope
      const work = Effect.async<void>((resume) => {
        if (this.mayTurn()) resume(Effect.void)
        else this.wakeTurn = () => resume(Effect.void)
      })
      // The yield lets whoever was woken by the last entry, or is about to submit, join the next one.
      const turns = Effect.forever(
        Effect.zipRight(
          Effect.zipRight(work, Effect.yieldNow()),
          Effect.suspend(() => this.turn(scope))
        )
      )
      yield* Effect.forkScoped(turns)
      yield* Effect.forkScoped(this.sweeps.run)
      if (raft.status().fenced !== undefined) this.stop("fenced", raft.status().fenced as string)
    })
  }

  /** In which this member leads; 0 where it does not. */
  get leadsInTerm(): number {
    return this.leading?.term ?? 0
  }

  /** To the leader in `term`. Answers how to take it back while it is not yet decided. */
  offer(term: number, offer: Offer): () => void {
    const { leading } = this
    if (this.stopped !== undefined) offer.answer({ _tag: "Unavailable", error: this.stopped })
    else if (leading === undefined || leading.term !== term) offer.answer(this.elsewhere())
    else if (isOutrun(leading, offer)) offer.answer(leaderLost)
    else if (this.waiting.length >= this.options.commandsWaitingMax) {
      offer.answer(unavailable("overloaded", `${this.waiting.length} changes wait already`))
    } else {
      this.waiting.push(offer)
      this.sweeps.needed()
      this.wake()
    }
    return () => {
      const at = this.waiting.indexOf(offer)
      if (at >= 0) this.waiting.splice(at, 1)
    }
  }

  /** Takes part no more, loudly: something was found that must not be. */
  fail(problem: string): void {
    this.complain(`this node takes no more part in the metadata of the cluster: ${problem}`)
    this.stop("fenced", problem)
    this.raft?.fence(problem)
  }

  // ---- turns

  private mayTurn(): boolean {
    const { leading, options } = this
    return (
      this.waiting.length > 0 &&
      leading !== undefined &&
      leading.turnsByIndex.size + leading.confirming < options.entriesUnderWayMax
    )
  }

  private wake(): void {
    if (this.wakeTurn === undefined || !this.mayTurn()) return
    const wakeTurn = this.wakeTurn
    this.wakeTurn = undefined
    wakeTurn()
  }

  private turn(scope: Scope.Scope): Effect.Effect<void> {
    const { leading, raft } = this
    if (leading === undefined || raft === undefined || !this.mayTurn()) return Effect.void
    const offers = this.waiting.splice(0, this.options.commandsPerEntryMax)
    const { after, events, lines, exits } = decideOffers(leading.image, offers, entryLimits, this.passedMs(leading.image, offers))
    this.waiting.unshift(...offers.splice(exits.length))
    const answers = exits.map((exit, at) => [offers[at] as Offer, outcomeOf(exit)] as const)
    if (events.length === 0) return this.confirm(leading, raft, answers, scope)

    const proposed = raft.propose(leading.term, entryData(lines))
    if (Either.isRight(proposed)) {
      const step: Step = { before: leading.image, after, events }
      leading.turnsByIndex.set(proposed.right, { term: leading.term, step, answers, behind: [] })
      leading.image = after
      leading.lastIndex = proposed.right
    } else {
      const { reason, message } = proposed.left
      const outcome =
        reason === "not-leader" || reason === "no-leader" || reason === "busy"
          ? this.elsewhere()
          : unavailable(reason === "fenced" || reason === "closed" ? reason : "overloaded", message)
      for (const offer of offers) offer.answer(outcome)
    }
    return Effect.void
  }

  /** Of nodes that are there; only bans are judged by it. */
  private passedMs({ nodesById }: Image, offers: ReadonlyArray<Offer>): number | undefined {
    if (!offers.some(({ command }) => command._tag === "PutBan")) return undefined
    const present = [...nodesById.values()].filter(({ fencedAtMs }) => fencedAtMs === undefined)
    return this.clocks.passedMs(
      present.map(({ nodeId }) => nodeId),
      uptimeMsNow()
    )
  }

  /** What was decided without an event leaves when this member is confirmed as leader and what it stands on is applied. */
  private confirm(
    leading: Leading,
    raft: RaftNodeService,
    answers: ReadonlyArray<readonly [Offer, SubmitOutcome]>,
    scope: Scope.Scope
  ): Effect.Effect<void> {
    const turn: Answers = { answers }
    leading.confirming++
    this.confirming.add(turn)
    const index = leading.lastIndex
    const standsOn = leading.turnsByIndex.get(index)
    const applied = Effect.async<void>((resume) => {
      // It may have been applied while the confirmation was under way.
      if (standsOn === undefined || this.leading !== leading || !leading.turnsByIndex.has(index)) resume(Effect.void)
      else standsOn.behind.push(() => resume(Effect.void))
    })
    const answer = (leads: boolean) => {
      leading.confirming--
      this.confirming.delete(turn)
      for (const [offer, outcome] of turn.answers) offer.answer(leads ? outcome : this.elsewhere())
    }
    const confirmed = Effect.zipRight(raft.readBarrier, applied)
    return confirmed.pipe(
      Effect.match({ onFailure: () => false, onSuccess: () => this.leading === leading }),
      Effect.flatMap((leads) =>
        Effect.sync(() => {
          answer(leads)
          this.wake()
        })
      ),
      Effect.onInterrupt(() => Effect.sync(() => answer(false))),
      Effect.forkIn(scope),
      Effect.asVoid
    )
  }

  /** Not here: where else, and that nothing was done. */
  private elsewhere(): SubmitOutcome {
    if (this.stopped !== undefined) return { _tag: "Unavailable", error: this.stopped }
    const status = this.raft?.status()
    const leads = this.leading !== undefined
    const leaderId = status === undefined || (status.leaderId === status.nodeId && !leads) ? 0 : status.leaderId
    return notLeader(
      leaderId,
      status?.term ?? 0,
      status?.membership.members.find((member) => member.nodeId === leaderId)?.address
    )
  }

  private answerWaiting(outcome: SubmitOutcome): void {
    for (const offer of this.waiting.splice(0)) offer.answer(outcome)
  }

  private sweep(now: number): void {
    const late = this.waiting.filter((offer) => offer.deadlineMs <= now)
    if (late.length > 0) {
      this.waiting = this.waiting.filter((offer) => offer.deadlineMs > now)
      for (const offer of late) offer.answer(unavailable("overloaded", "the change waited in line for too long and was not made"))
    }
    const notTaken = "a majority of the nodes did not take the change in time; it may still be made"
    for (const turn of this.leading?.turnsByIndex.values() ?? []) giveUpLate(turn, now, notTaken)
    const notConfirmed =
      "a majority of the nodes did not confirm in time that this one leads: what became of the change is not known"
    for (const turn of this.confirming) giveUpLate(turn, now, notConfirmed)
  }

  private show(change: Parameters<ImageView["show"]>[0]): void {
    const problems = this.view.show(change)
    if (problems.length > 0) this.complain("a listener of metadata threw, which none may", ...problems)
  }

  private stop(reason: "fenced" | "closed", message: string): void {
    if (this.stopped !== undefined) return
    const text = reason === "fenced" ? `this node takes part no more, restart it when mended: ${message}` : message
    this.stopped = new MetadataUnavailable({ reason, message: text })
    const ended = this.leading
    this.leading = undefined
    for (const turn of ended?.turnsByIndex.values() ?? []) {
      for (const [offer] of turn.answers)
        offer.answer(reason === "fenced" ? { _tag: "Unavailable", error: this.stopped } : leaderLost)
      for (const next of turn.behind) next()
    }
    this.answerWaiting({ _tag: "Unavailable", error: this.stopped })
    // A confirmation whose fiber was ended before its first step has nobody else who answers.
    for (const turn of this.confirming) {
      const { answers } = turn
      turn.answers = []
      for (const [offer] of answers) offer.answer({ _tag: "Unavailable", error: this.stopped })
    }
    this.view.stop(this.stopped)
  }
}
