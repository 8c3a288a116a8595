/**
 * A Raft store whose process can die at any moment: what was persisted outlives it, what was not is gone, and calls take their time.
 *
 * It is the memory adapter of raft with the ways of a disk: a write that is under way when the process dies has happened or not;
 * one that fails with `io` has happened or not, and the store takes no more; one that fails for lack of space has not.
 */
import { type MemoryContents, make } from "@effectmq/raft/MemoryRaftStore"
import { RaftStore, RaftStoreError, type RaftStoreService } from "@effectmq/raft/RaftStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SeededRandom } from "./SeededRandom.js"

export interface StoreFaults {
  /** Longest usual time of a call; now and then one takes twenty times as long. */
  latencyMsMax: number
  /** How likely it is that a call fails for good. */
  errorChance: number
  /** While true, whatever makes the store larger fails. */
  full: boolean
}

export const noStoreFaults = (): StoreFaults => ({ latencyMsMax: 0, errorChance: 0, full: false })

const fenced = new RaftStoreError({ reason: "io", message: "the store failed before and takes no more" })
const failedCall = "a call of the disk was made to fail"

/** Whether a member that fenced itself for this reason did so because its store was made to fail. */
export const isFailure = (reason: string): boolean => reason === failedCall || reason === fenced.message

export const makeFaulty = (contents: MemoryContents, faults: StoreFaults, random: SeededRandom): RaftStoreService => {
  const inner = make(contents)
  let isFenced = false
  const pause = Effect.suspend(() => {
    const { latencyMsMax } = faults
    if (latencyMsMax <= 0) return Effect.void
    return Effect.sleep(random.next() * latencyMsMax * (random.chance(0.02) ? 20 : 1))
  })
  const call = <A>(doIt: Effect.Effect<A, RaftStoreError>, grows: boolean): Effect.Effect<A, RaftStoreError> =>
    Effect.gen(function* () {
      if (isFenced) return yield* fenced
      yield* pause
      if (grows && faults.full) return yield* new RaftStoreError({ reason: "full", message: "no space is left" })
      if (faults.errorChance > 0 && random.chance(faults.errorChance)) {
        isFenced = true
        if (random.chance(0.5)) yield* doIt
        return yield* new RaftStoreError({ reason: "io", message: failedCall })
      }
      const result = yield* doIt
      // The process may die here, before it knows.
      yield* pause
      return result
    })
  return {
    stored: inner.stored,
    persist: (write) => call(inner.persist(write), (write.entries ?? []).length > 0),
    stageSnapshotChunk: (snapshot, chunk, data) => call(inner.stageSnapshotChunk(snapshot, chunk, data), true),
    completeSnapshot: (snapshot, log) => call(inner.completeSnapshot(snapshot, log), false),
    readSnapshotChunk: (index, chunk) => call(inner.readSnapshotChunk(index, chunk), false),
    compact: (index) => call(inner.compact(index), false)
  }
}

/** Opened anew over the same contents it is the store after a restart. */
export const layer = (contents: MemoryContents, faults: StoreFaults, random: SeededRandom): Layer.Layer<RaftStore> =>
  Layer.sync(RaftStore, () => makeFaulty(contents, faults, random))
