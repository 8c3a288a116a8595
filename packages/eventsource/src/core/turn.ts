/**
 * Decides the commands of one turn, each on the state that the ones before it made.
 *
 * A decider that throws has a bug: its command dies, with no effect on the others.
 */
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type { Decider, EventCodec } from "../Decider.js"

export interface Decided<State, Event, Reply, Failure> {
  readonly state: State
  readonly events: ReadonlyArray<Event>
  /** The events encoded. */
  readonly lines: ReadonlyArray<string>
  /** One per command, in order. */
  readonly exits: ReadonlyArray<Exit.Exit<Reply, Failure>>
}

export const decideTurn = <State, Command, Event, Reply, Failure>(
  decider: Decider<State, Command, Event, Reply, Failure>,
  codec: EventCodec<Event>,
  before: State,
  sequence: number,
  commands: ReadonlyArray<Command>
): Decided<State, Event, Reply, Failure> => {
  let state = before
  const events: Array<Event> = []
  const lines: Array<string> = []
  const exits = commands.map((command): Exit.Exit<Reply, Failure> => {
    const start = events.length
    try {
      const decision = decider.decide(state, command)
      if (Either.isLeft(decision)) return Exit.fail(decision.left)
      let next = state
      for (const event of decision.right.events) {
        lines.push(codec.encode(event))
        events.push(event)
        next = decider.apply(next, event, sequence + events.length)
      }
      state = next
      return Exit.succeed(decision.right.reply)
    } catch (defect) {
      events.length = start
      lines.length = start
      return Exit.die(defect)
    }
  })
  return { state, events, lines, exits }
}
