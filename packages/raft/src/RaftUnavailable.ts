/**
 * Why a member of a Raft group cannot do what it was asked for.
 */
import * as Data from "effect/Data"

/**
 * `not-leader`: this member does not lead (`leaderId` may). `no-leader`: nobody answers for a majority. `overloaded`: too much waits
 * here. `timeout`: not known in time. `busy`: another change is under way. `invalid`: it cannot be, `message` says why. `full`: this
 * member's log has no space left, it goes on when there is some. `fenced`, `closed`: this member takes part no more.
 */
export class RaftUnavailable extends Data.TaggedError("RaftUnavailable")<{
  readonly reason: "not-leader" | "no-leader" | "overloaded" | "timeout" | "busy" | "invalid" | "full" | "fenced" | "closed"
  readonly message: string
  readonly leaderId?: number | undefined
}> {}
