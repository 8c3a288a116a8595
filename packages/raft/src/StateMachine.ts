/**
 * What a Raft group is for: a state that every member builds from the same commands. `RaftNode` drives it.
 *
 * All calls come from one fiber, one after another. The first is `restore` where there is a snapshot, before `RaftNode.make`
 * succeeds; all others come later. `leadershipBegan` comes when this member's part of what it speaks of is durable.
 */
import type { CommandEntry, Entry } from "@effectmq/schemas/raft/Entry"
import type * as Effect from "effect/Effect"

export interface StateMachine {
  /** Committed commands, each once and in log order. Must not throw: a state machine that cannot go on fences itself through `RaftNode.fence`. */
  apply(commands: ReadonlyArray<CommandEntry>): void
  /**
   * The state as of the last applied command, as chunks of at most `bytesMax`, at least one. The call itself fixes the state; the
   * effect runs beside further `apply`s, so it must hold on to an immutable state.
   */
  snapshot(bytesMax: number): Effect.Effect<ReadonlyArray<Uint8Array>>
  /** Replaces the state. A content it does not understand (a newer version, damage) is a failure and fences the node. */
  restore(index: number, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, { readonly message: string }>
  /**
   * This member leads in `term`. `uncommitted` is what its log holds beyond the last `apply`, in order: what a decision must stand
   * on. From now until `leadershipEnded` proposals of `term` are taken.
   */
  leadershipBegan(term: number, uncommitted: ReadonlyArray<Entry>): void
  /** What was proposed and not applied may or may not be applied later. */
  leadershipEnded(term: number): void
}
