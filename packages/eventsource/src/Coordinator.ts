/**
 * Drives a decider on an event store: one owner of one state.
 *
 * Invariants
 * - Commands are decided one after another, in the order they came. Those that wait together make one turn: each is decided
 *   on the state its forerunners made, their events are appended as one batch, and only then is any of them answered,
 *   refusals too, since a refusal may stand on a forerunner.
 * - A turn is never interrupted. `state()` shows what is durable, and nothing that was shown is taken back.
 * - A failed append that is not plainly without effect (`full`, `locked`) fences the coordinator: it takes no more commands.
 * - What waits is bounded; beyond that a command is refused at once.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { replay } from "./internal/replay.js"
import { decideTurn } from "./core/turn.js"
import type { Decider, EventCodec } from "./Decider.js"
import { EventStore } from "./EventStore.js"
import type { EventStoreError, ReplayFailed } from "./EventStoreError.js"

export interface CoordinatorOptions {
  /** Commands beyond these are refused as `overloaded`. */
  readonly commandsWaitingMax: number
  /** Decided and appended as one batch. */
  readonly commandsPerTurnMax: number
  /** A snapshot is taken when so many events lie after the last one. */
  readonly eventsPerSnapshot: number
}

export const defaultOptions: CoordinatorOptions = {
  commandsWaitingMax: 20_000,
  commandsPerTurnMax: 1_000,
  eventsPerSnapshot: 20_000
}

/**
 * `full`, `overloaded`, `closed`: the command had no effect. `io`: this command's append failed; whether it had effect is known
 * after a restart. `fenced`: an earlier append failed so; this command had no effect.
 */
export class CoordinatorUnavailable extends Data.TaggedError("CoordinatorUnavailable")<{
  readonly reason: "io" | "full" | "fenced" | "overloaded" | "closed"
  readonly message: string
  readonly cause?: unknown
}> {}

export interface Change<State, Event> {
  readonly before: State
  readonly after: State
  /** All events between them, in order. */
  readonly events: ReadonlyArray<Event>
}

export interface Coordinator<State, Command, Event, Reply, Failure> {
  readonly state: () => State
  /** Sequence of the last event in `state()`. */
  readonly sequence: () => number
  readonly submit: (command: Command) => Effect.Effect<Reply, Failure | CoordinatorUnavailable>
  /** Called once per turn that changed something, before its replies. Returns how to stop that. */
  readonly onChange: (listener: (change: Change<State, Event>) => void) => () => void
  /** The current state, then newer ones; a slow reader skips states and always gets the newest. */
  readonly states: Stream.Stream<State>
  /** Why no commands are taken any more; undefined while they are. */
  readonly fenced: () => CoordinatorUnavailable | undefined
}

interface Waiting<Command, Reply, Failure> {
  readonly command: Command
  readonly answer: (exit: Exit.Exit<Reply, Failure | CoordinatorUnavailable>) => void
}

/** Rebuilds the state and serves until the scope closes; what waits then is refused as `closed`. */
export const make = <State, Command, Event, Reply, Failure>(
  decider: Decider<State, Command, Event, Reply, Failure>,
  codec: EventCodec<Event>,
  options: CoordinatorOptions = defaultOptions
): Effect.Effect<Coordinator<State, Command, Event, Reply, Failure>, EventStoreError | ReplayFailed, EventStore | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* EventStore
    const scope = yield* Effect.scope
    const rebuilt = yield* replay(decider, codec, store)

    let state = rebuilt.state
    let sequence = rebuilt.sequence
    let snapshotSequence = rebuilt.snapshotSequence
    let snapshotRunning = false
    let fence: CoordinatorUnavailable | undefined
    let waiting: Array<Waiting<Command, Reply, Failure>> = []
    let wake: (() => void) | undefined
    const listeners = new Set<(change: Change<State, Event>) => void>()

    const snapshot = (of: State, at: number) =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        for (const event of decider.snapshot(of)) {
          lines.push(codec.encode(event))
          if (lines.length % 256 === 0) yield* Effect.yieldNow()
        }
        const previous = snapshotSequence
        yield* store.saveSnapshot({ sequence: at, events: lines })
        snapshotSequence = at
        // What lies between the previous snapshot and this one stays, for readers that follow the log from behind.
        yield* store.cutBefore(previous + 1)
      }).pipe(
        Effect.catchAllCause((cause) => Effect.logWarning("no snapshot was taken, the next turn tries again", cause)),
        Effect.ensuring(Effect.sync(() => (snapshotRunning = false)))
      )

    const snapshotWhenDue = Effect.suspend(() => {
      if (snapshotRunning || fence !== undefined || sequence - snapshotSequence < options.eventsPerSnapshot) return Effect.void
      snapshotRunning = true
      return Effect.forkIn(Effect.interruptible(snapshot(state, sequence)), scope)
    })

    const publish = (change: Change<State, Event>) => {
      const problems: Array<unknown> = []
      for (const listener of listeners) {
        try {
          listener(change)
        } catch (problem) {
          problems.push(problem)
        }
      }
      return problems.length === 0 ? Effect.void : Effect.logError("a listener threw, which none may", ...problems)
    }

    const answerAll = (
      commands: ReadonlyArray<Waiting<Command, Reply, Failure>>,
      exit: Exit.Exit<never, CoordinatorUnavailable>
    ) => {
      for (const entry of commands) entry.answer(exit)
    }

    const unavailable = (error: { readonly _tag: string; readonly message: string; readonly reason?: string }) => {
      const harmless = error.reason === "full" || error.reason === "locked"
      if (!harmless) {
        const message = `no more changes are taken since one could not be stored, restart the node: ${error.message}`
        fence = new CoordinatorUnavailable({ reason: "fenced", message, cause: error })
      }
      return new CoordinatorUnavailable({ reason: error.reason === "full" ? "full" : "io", message: error.message, cause: error })
    }

    const serve = (commands: ReadonlyArray<Waiting<Command, Reply, Failure>>) =>
      Effect.gen(function* () {
        if (fence !== undefined) return answerAll(commands, Exit.fail(fence))
        const decided = decideTurn(
          decider,
          codec,
          state,
          sequence,
          commands.map((entry) => entry.command)
        )
        if (decided.events.length > 0) {
          const appended = yield* Effect.either(store.append(sequence, decided.lines))
          if (Either.isLeft(appended)) return answerAll(commands, Exit.fail(unavailable(appended.left)))
          const before = state
          state = decided.state
          sequence = appended.right
          yield* publish({ before, after: state, events: decided.events })
        }
        for (const [at, entry] of commands.entries()) entry.answer(decided.exits[at] as Exit.Exit<Reply, Failure>)
        yield* snapshotWhenDue
      })

    const turn = Effect.suspend(() => {
      const commands = waiting.splice(0, options.commandsPerTurnMax)
      return Effect.catchAllDefect(serve(commands), (defect) =>
        Effect.sync(() => {
          const message = `no more changes are taken because of a defect, restart the node: ${String(defect)}`
          fence = new CoordinatorUnavailable({ reason: "fenced", message, cause: defect })
          answerAll(commands, Exit.die(defect))
        })
      )
    }).pipe(Effect.uninterruptible)

    const work = Effect.async<void>((resume) => {
      if (waiting.length > 0) resume(Effect.void)
      else wake = () => resume(Effect.void)
    })
    // The yield lets whoever was woken by the last turn, or is about to submit, join the next one.
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.zipRight(work, Effect.yieldNow()), turn)))

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        fence = new CoordinatorUnavailable({ reason: "closed", message: "the node is stopping" })
        answerAll(waiting, Exit.fail(fence))
        waiting = []
        listeners.clear()
      })
    )

    const submit = (command: Command) =>
      Effect.async<Reply, Failure | CoordinatorUnavailable>((resume) => {
        if (fence !== undefined) return resume(fence)
        if (waiting.length >= options.commandsWaitingMax) {
          const message = `${waiting.length} changes wait already`
          return resume(new CoordinatorUnavailable({ reason: "overloaded", message }))
        }
        const entry = { command, answer: resume }
        waiting.push(entry)
        wake?.()
        wake = undefined
        return Effect.sync(() => {
          const at = waiting.indexOf(entry)
          if (at >= 0) waiting.splice(at, 1)
        })
      })

    const onChange = (listener: (change: Change<State, Event>) => void) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    }

    const states = Stream.unwrapScoped(
      Effect.gen(function* () {
        const newest = yield* Effect.acquireRelease(Queue.sliding<State>(1), Queue.shutdown)
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            newest.unsafeOffer(state)
            return onChange((change) => newest.unsafeOffer(change.after))
          }),
          (stop) => Effect.sync(stop)
        )
        return Stream.fromQueue(newest)
      })
    )

    return { state: () => state, sequence: () => sequence, submit, onChange, states, fenced: () => fence }
  })
