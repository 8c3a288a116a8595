/**
 * A decider: how a state answers wishes with facts, and how facts make the next state.
 *
 * Invariants
 * - All of it is pure: no clock, no randomness, no I/O. A command brings its time with it.
 * - Only `apply` makes states. The same events give the same state, on every node and after every restart.
 * - Applying `snapshot(state)` to `initial` gives `state` again.
 */
import type * as Either from "effect/Either"

export interface Decision<Event, Reply> {
  /** In order; together they happen or do not. None: the reply needs no change. */
  readonly events: ReadonlyArray<Event>
  readonly reply: Reply
}

export interface Decider<State, Command, Event, Reply, Failure> {
  readonly initial: State
  readonly decide: (state: State, command: Command) => Either.Either<Decision<Event, Reply>, Failure>
  /** `sequence` is the event's place in the log, from 1; for an event of a snapshot, the place up to which the snapshot goes. */
  readonly apply: (state: State, event: Event, sequence: number) => State
  readonly snapshot: (state: State) => ReadonlyArray<Event>
}

/** Events as one line of text each, always the same line for the same event. */
export interface EventCodec<Event> {
  readonly encode: (event: Event) => string
  readonly decode: (line: string) => Either.Either<Event, { readonly message: string }>
}
