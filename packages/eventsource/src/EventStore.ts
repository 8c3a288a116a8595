/**
 * The port of an event store: one append-only log of events, with a snapshot of what its beginning amounts to.
 * Adapters: `MemoryEventStore.layer`, `SqliteEventStore.layer`.
 *
 * Invariants
 * - Events have dense sequences from 1. One owner appends.
 * - A batch is there whole or not at all. When `append` has succeeded, the batch survives a crash of process and machine.
 * - Every batch extends a SHA-256 chain (core/HashChain). A store whose content does not match its chain is not opened.
 * - Snapshot and later events together are always there: nothing can be cut that no snapshot holds.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EventStoreError, EventsCut, SequenceConflict } from "./EventStoreError.js"

/** Events are lines of text: JSON without line breaks. */
export interface Snapshot {
  /** The last event it holds. */
  readonly sequence: number
  readonly events: ReadonlyArray<string>
}

export interface EventStoreService {
  /** Sequence of the last event; 0 while there is none. */
  lastSequence(): number
  /** Sequence of the first event that can be read; one past the last where there is none. */
  firstSequence(): number
  /** Of everything up to the last event, as 64 hex digits: equal on two stores exactly when their logs are. */
  chainHash(): string
  /** Appends the events in one batch; answers the new last sequence. No events change nothing. */
  append(expectedSequence: number, events: ReadonlyArray<string>): Effect.Effect<number, EventStoreError | SequenceConflict>
  /** Events from the given sequence on, at most `eventsMax`, at least one where there is one. */
  read(fromSequence: number, eventsMax: number): Effect.Effect<ReadonlyArray<string>, EventStoreError | EventsCut>
  readonly latestSnapshot: Effect.Effect<Snapshot | undefined, EventStoreError>
  /** Replaces the snapshot. Its sequence must end a batch and not go back; anything else is a bug and dies. */
  saveSnapshot(snapshot: Snapshot): Effect.Effect<void, EventStoreError>
  /** Forgets whole batches that end before `sequence`. What the snapshot does not hold stays. */
  cutBefore(sequence: number): Effect.Effect<void, EventStoreError>
}

export class EventStore extends Context.Tag("@effectmq/eventsource/EventStore")<EventStore, EventStoreService>() {}
