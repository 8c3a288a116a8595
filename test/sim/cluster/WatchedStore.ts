/**
 * A Raft store that tells a `GroupWatch` what it is told and what it answers.
 */
import type { RaftStoreService, RaftWrite } from "@effectmq/raft/RaftStore"
import * as Effect from "effect/Effect"
import type { GroupWatch } from "./GroupWatch.js"

type Told = (write: RaftWrite) => void

/** `told` sees every write besides. */
export const watched = (
  store: RaftStoreService,
  nodeId: number,
  watch: GroupWatch,
  told: Told = () => undefined
): RaftStoreService => {
  watch.storeOpened(nodeId, store.stored)
  return {
    stored: store.stored,
    persist: (write) =>
      Effect.suspend(() => {
        watch.storeTold(nodeId, write)
        told(write)
        return Effect.tap(store.persist(write), () => Effect.sync(() => watch.storeDurable(nodeId, write)))
      }),
    stageSnapshotChunk: (snapshot, chunk, data) => store.stageSnapshotChunk(snapshot, chunk, data),
    completeSnapshot: (snapshot, log) =>
      Effect.tap(store.completeSnapshot(snapshot, log), () => Effect.sync(() => watch.snapshotCompleted(nodeId, snapshot, log))),
    readSnapshotChunk: (index, chunk) => store.readSnapshotChunk(index, chunk),
    compact: (index) => store.compact(index)
  }
}
