/**
 * What a member's driver does with its store: writes that wait for space, snapshots that come in, chunks that go out.
 *
 * Invariants
 * - A write that found no space is tried again until there is some; whoever waits for it is told each time, and at the end (`NoSpace`).
 * - Anything else that the store cannot do is the failure of the effect, and the end of the member.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ChunkRead, ReceivedChunk } from "../core/Ready.js"
import type { RaftStoreError, RaftStoreService, RaftWrite } from "../RaftStore.js"
import type { StateMachine } from "../StateMachine.js"
import type { RaftMeters } from "./RaftMeters.js"

const fullRetryMsMin = 50
const fullRetryMsMax = 2_000

export const isFull = (error: RaftStoreError): boolean => error.reason === "full"

export interface NoSpace {
  /** After every attempt that found none. */
  readonly before: (why: string) => void
  /** After the wait that follows; true ends the attempts. */
  readonly after: () => boolean
  /** There is some again. */
  readonly over: () => void
}

export const persist = (
  store: RaftStoreService,
  meters: RaftMeters,
  write: RaftWrite,
  noSpace: NoSpace
): Effect.Effect<void, RaftStoreError> =>
  Effect.gen(function* () {
    for (let waitMs = fullRetryMsMin; ; waitMs = Math.min(waitMs * 2, fullRetryMsMax)) {
      const startedMs = performance.now()
      const written = yield* Effect.either(Effect.uninterruptible(store.persist(write)))
      if (Either.isRight(written)) {
        meters.writes.value++
        meters.writeSeconds.observe((performance.now() - startedMs) / 1000)
        if (waitMs === fullRetryMsMin) return
        noSpace.over()
        return yield* Effect.logInfo("the raft log has space again, this node goes on")
      }
      if (!isFull(written.left)) return yield* written.left
      meters.storeFull.value++
      if (waitMs === fullRetryMsMin) {
        yield* Effect.logError(`the raft log has no space left, this node waits for some: ${written.left.message}`)
      }
      noSpace.before(written.left.message)
      yield* Effect.sleep(waitMs)
      if (noSpace.after()) return
    }
  })

/** Stores chunks, and completes the snapshot where they are the last; false where there is no space: the leader sends them again. */
export const stage = (
  store: RaftStoreService,
  meters: RaftMeters,
  chunks: ReadonlyArray<ReceivedChunk>,
  install: SnapshotMeta | undefined
): Effect.Effect<boolean, RaftStoreError> => {
  const stageAll = Effect.gen(function* () {
    for (const { snapshot, chunk, data } of chunks) yield* store.stageSnapshotChunk(snapshot, chunk, data)
    if (install !== undefined) yield* store.completeSnapshot(install, "discard")
    return true
  })
  const noSpace = Effect.sync(() => {
    meters.storeFull.value++
    return false
  })
  return Effect.catchIf(Effect.uninterruptible(stageAll), isFull, () => noSpace)
}

/** The state as of a complete snapshot; fails with why it cannot be. */
export const restore = (
  store: RaftStoreService,
  stateMachine: StateMachine,
  snapshot: SnapshotMeta
): Effect.Effect<void, string | RaftStoreError> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    for (let chunk = 0; chunk < snapshot.chunks; chunk++) chunks.push(yield* store.readSnapshotChunk(snapshot.index, chunk))
    yield* Effect.mapError(
      stateMachine.restore(snapshot.index, chunks),
      (failure) => `the snapshot at ${snapshot.index} cannot be used: ${failure.message}`
    )
  })

export const chunkMessage = (
  store: RaftStoreService,
  from: number,
  { to, term, snapshot, chunk }: ChunkRead
): Effect.Effect<RaftMessage, RaftStoreError> =>
  Effect.map(store.readSnapshotChunk(snapshot.index, chunk), (data) => ({
    _tag: "SnapshotRequest",
    from,
    to,
    term,
    snapshot,
    chunk,
    data
  }))
