/**
 * The port of what a member of a Raft group must remember: term and vote, log, membership and snapshots.
 * Adapters: `SqliteRaftStore.layer`, `MemoryRaftStore.layer`.
 *
 * Invariants
 * - When `persist` has succeeded, all of its write is durable; when it failed, the store takes no more writes until it is opened
 *   again (whether the write happened is known then).
 * - A store that is damaged, partly written or of a newer format is not opened; the error says what to do.
 * - Snapshot and entries are always together without a gap: nothing is forgotten that no complete snapshot holds.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

export interface HardState {
  readonly term: number
  /** Whom this member voted for in `term`; 0 for nobody. */
  readonly votedFor: number
  /** What is known to be committed; a hint that spares a restarted member from waiting. */
  readonly commitIndex: number
}

/** What a store held when it was opened. */
export interface StoredRaft {
  /** Made with the store: two stores never share one, so a member that lost its disk is known as another. */
  readonly storeId: string
  readonly hardState: HardState
  /** The newest complete snapshot. */
  readonly snapshot: SnapshotMeta | undefined
  /** Everything behind the snapshot (and, where kept for slow followers, some of what is before), dense. */
  readonly entries: ReadonlyArray<Entry>
}

export interface RaftWrite {
  readonly hardState?: HardState | undefined
  /** Dense. What the store holds at and behind the first one's index is replaced. */
  readonly entries?: ReadonlyArray<Entry> | undefined
}

/**
 * `damaged`, `newer`, `locked`: not opened. `full`: no space, the write had no effect and may be tried again. `io`: anything
 * else; the store is fenced.
 */
export class RaftStoreError extends Data.TaggedError("RaftStoreError")<{
  readonly reason: "damaged" | "newer" | "locked" | "full" | "io"
  readonly message: string
  readonly cause?: unknown
}> {}

export interface RaftStoreService {
  readonly stored: StoredRaft
  /** One transaction. */
  persist(write: RaftWrite): Effect.Effect<void, RaftStoreError>
  /**
   * Writes one chunk of a snapshot that is being taken or received; nothing counts until `completeSnapshot`. A chunk of another
   * snapshot than the one begun before forgets that one.
   */
  stageSnapshotChunk(snapshot: SnapshotMeta, chunk: number, data: Uint8Array): Effect.Effect<void, RaftStoreError>
  /**
   * The staged snapshot is whole: it replaces the older one. `log`: `keep` leaves the entries as they are (it was taken here),
   * `discard` forgets all of them (it was received and the log does not reach it).
   */
  completeSnapshot(snapshot: SnapshotMeta, log: "keep" | "discard"): Effect.Effect<void, RaftStoreError>
  /** Of the newest complete snapshot; dies where its index is another. */
  readSnapshotChunk(index: number, chunk: number): Effect.Effect<Uint8Array, RaftStoreError>
  /** Forgets entries up to and including `index`; what the snapshot does not hold stays. */
  compact(index: number): Effect.Effect<void, RaftStoreError>
}

export class RaftStore extends Context.Tag("@effectmq/raft/RaftStore")<RaftStore, RaftStoreService>() {}
