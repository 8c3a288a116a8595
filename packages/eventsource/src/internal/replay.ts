/**
 * Rebuilds a decider's state from the snapshot and the events after it.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Decider, EventCodec } from "../Decider.js"
import type { EventStoreService } from "../EventStore.js"
import { EventStoreError, ReplayFailed } from "../EventStoreError.js"

export interface Rebuilt<State> {
  readonly state: State
  readonly sequence: number
  /** 0 where there is no snapshot. */
  readonly snapshotSequence: number
}

const eventsPerRead = 1024

export const replay = <State, Command, Event, Reply, Failure>(
  decider: Decider<State, Command, Event, Reply, Failure>,
  codec: EventCodec<Event>,
  store: EventStoreService
): Effect.Effect<Rebuilt<State>, EventStoreError | ReplayFailed> =>
  Effect.gen(function* () {
    const snapshot = yield* store.latestSnapshot
    let state = decider.initial
    let failure: ReplayFailed | undefined
    const apply = (line: string, sequence: number): boolean => {
      const event = codec.decode(line)
      if (Either.isLeft(event)) failure = new ReplayFailed({ sequence, message: `event ${sequence}: ${event.left.message}` })
      else state = decider.apply(state, event.right, sequence)
      return failure === undefined
    }

    const snapshotSequence = snapshot?.sequence ?? 0
    let applied = 0
    for (const line of snapshot?.events ?? []) {
      if (!apply(line, snapshotSequence)) break
      if (++applied % eventsPerRead === 0) yield* Effect.yieldNow()
    }
    let sequence = snapshotSequence
    while (failure === undefined && sequence < store.lastSequence()) {
      const lines = yield* Effect.catchTag(store.read(sequence + 1, eventsPerRead), "EventsCut", (error) =>
        Effect.fail(new EventStoreError({ reason: "damaged", message: error.message, cause: error }))
      )
      for (const line of lines) {
        if (!apply(line, sequence + 1)) break
        sequence++
      }
      if (lines.length === 0) return yield* Effect.dieMessage("the event store ends before its last event")
    }
    return failure === undefined ? { state, sequence, snapshotSequence } : yield* Effect.fail(failure)
  })
