/**
 * A member of a Raft group at work: it drives the pure machine (core/) with ticks, messages and proposals, and does what comes
 * out in the order that must hold: persist, send, apply.
 */
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"

export type RaftRole = "follower" | "preCandidate" | "candidate" | "leader" | "learner"

/** What a leader knows of another member. */
export interface FollowerStatus {
  readonly nodeId: number
  readonly matchIndex: number
  /** `probe`: looking for where the logs part; `replicate`: entries flow; `snapshot`: a snapshot is on its way. */
  readonly state: "probe" | "replicate" | "snapshot"
  /** Ms since it was heard of last. */
  readonly silentMs: number
}

export interface RaftStatus {
  readonly nodeId: number
  readonly role: RaftRole
  readonly term: number
  /** 0 where none is known. */
  readonly leaderId: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly snapshotIndex: number
  readonly membership: Membership
  /** Only where this member leads. */
  readonly followers: ReadonlyArray<FollowerStatus>
  /** Why this member takes part no more; undefined while it does. */
  readonly fenced: string | undefined
}

/** One step of who takes part. `promote`: a learner that has caught up gets a vote. */
export type MembershipChange =
  | { readonly _tag: "AddLearner"; readonly member: Member }
  | { readonly _tag: "Promote"; readonly nodeId: number }
  | { readonly _tag: "Remove"; readonly nodeId: number }
  | { readonly _tag: "SetAddress"; readonly member: Member }

/**
 * `not-leader`: this member does not lead (`leaderId` may). `no-leader`: nobody answers for a majority. `overloaded`: too much waits
 * here. `timeout`: not known in time. `busy`: another change is under way. `invalid`: it cannot be, `message` says why.
 * `fenced`, `closed`: this member takes part no more.
 */
export class RaftUnavailable extends Data.TaggedError("RaftUnavailable")<{
  readonly reason: "not-leader" | "no-leader" | "overloaded" | "timeout" | "busy" | "invalid" | "fenced" | "closed"
  readonly message: string
  readonly leaderId?: number | undefined
}> {}

export interface RaftNodeService {
  readonly storeId: string
  status(): RaftStatus
  /**
   * Appends a command to the leader's log, at once; right is its index. It is committed when `StateMachine.apply` gets an entry of
   * that index and this term; it may be lost when `leadershipEnded` comes first.
   */
  propose(term: number, data: Uint8Array): Either.Either<number, RaftUnavailable>
  /**
   * Succeeds when this member has applied everything that was committed anywhere when it was called, as a majority confirmed
   * meanwhile; answers the applied index. Works on every member (read index, dissertation 6.4).
   */
  readonly readBarrier: Effect.Effect<number, RaftUnavailable>
  /** On the leader; succeeds when the last entry it takes (joint and final) is committed. */
  changeMembership(change: MembershipChange): Effect.Effect<void, RaftUnavailable>
  /** On the leader; succeeds when the other leads. */
  transferLeadership(toNodeId: number): Effect.Effect<void, RaftUnavailable>
  /** Now, besides those that are taken when they are due. */
  readonly takeSnapshot: Effect.Effect<SnapshotMeta, RaftUnavailable>
  /** Called after every change of role, term, leader or membership. Returns how to stop that. */
  onStatus(listener: (status: RaftStatus) => void): () => void
  /** Takes part no more, loudly: something was found that must not be. */
  fence(reason: string): void
}

export class RaftNode extends Context.Tag("@effectmq/raft/RaftNode")<RaftNode, RaftNodeService>() {}
