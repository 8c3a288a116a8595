/**
 * What can go wrong between an event store and what it stands on.
 */
import * as Data from "effect/Data"

/**
 * - `io`: the device or system answered an error. `full`: no space, nothing was changed.
 * - `locked`: another process has the store open. `damaged`: what is stored does not match its hash chain, or is not a store.
 * - `newer`: a later release wrote it.
 */
export type EventStoreErrorReason = "io" | "full" | "locked" | "damaged" | "newer"

export class EventStoreError extends Data.TaggedError("EventStoreError")<{
  readonly reason: EventStoreErrorReason
  /** What was being done, what was found, and for what a person must mend, how. */
  readonly message: string
  readonly cause?: unknown
}> {}

/** Somebody else appended: the store's last sequence is not the expected one. Nothing was changed. */
export class SequenceConflict extends Data.TaggedError("SequenceConflict")<{
  readonly expectedSequence: number
  readonly lastSequence: number
}> {
  override get message() {
    return `expected sequence ${this.expectedSequence} as the last one, it is ${this.lastSequence}`
  }
}

/** The events asked for were cut away: begin from the snapshot. */
export class EventsCut extends Data.TaggedError("EventsCut")<{
  readonly fromSequence: number
  readonly firstSequence: number
}> {
  override get message() {
    return `events before sequence ${this.firstSequence} are in the snapshot only, asked for ${this.fromSequence}`
  }
}

/** A stored event is intact and cannot be understood here: another release or another kind of store wrote it. */
export class ReplayFailed extends Data.TaggedError("ReplayFailed")<{
  readonly sequence: number
  readonly message: string
}> {}
