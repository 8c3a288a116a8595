/**
 * Makes an image the beginning of a Raft group: the first snapshot of a store in which nothing is yet. Members that are seeded with
 * the same image and the same list begin alike.
 *
 * Until the snapshot is complete the store counts as one in which nothing is: a crash before that is as if nothing had been done.
 */
import { firstMembership } from "@effectmq/raft/core/MembershipChange"
import type { RaftStoreError, RaftStoreService, StoredRaft } from "@effectmq/raft/RaftStore"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import type { Image } from "../core/Image.js"
import { writeContent } from "./snapshots.js"

const seedIndex = 1
const seedTerm = 1
const chunkBytesMax = 512 * 1024

/** Nothing but, perhaps, a seed that was not completed. */
export const isSeedable = ({ hardState, snapshot, entries }: StoredRaft): boolean =>
  snapshot === undefined && entries.length === 0 && hardState.term <= seedTerm && hardState.votedFor === 0

export const seed = (
  store: RaftStoreService,
  image: Image,
  /** With which the chain begins. */
  hash: Uint8Array,
  members: ReadonlyArray<Member>
): Effect.Effect<SnapshotMeta, RaftStoreError> =>
  Effect.gen(function* () {
    const chunks = yield* writeContent({ image, point: { index: seedIndex, hash } }, chunkBytesMax)
    const snapshot: SnapshotMeta = {
      index: seedIndex,
      term: seedTerm,
      membership: firstMembership(members),
      chunks: chunks.length,
      bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    }
    yield* store.persist({ hardState: { term: seedTerm, votedFor: 0, commitIndex: 0 } })
    for (const [at, chunk] of chunks.entries()) yield* store.stageSnapshotChunk(snapshot, at, chunk)
    yield* store.completeSnapshot(snapshot, "discard")
    return snapshot
  })
