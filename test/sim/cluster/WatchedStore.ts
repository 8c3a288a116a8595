/**
 * A Raft store that tells a `GroupWatch` what it is told and what it answers.
 */
import { RaftStore, type RaftStoreService, type RaftWrite } from "@effectmq/raft/RaftStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { GroupWatch } from "./GroupWatch.js"

type Told = (write: RaftWrite) => void

const watched = (store: RaftStoreService, nodeId: number, watch: GroupWatch, told: Told): RaftStoreService => {
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

export const layerWatched = <E, R>(
  store: Layer.Layer<RaftStore, E, R>,
  nodeId: number,
  watch: GroupWatch,
  /** Sees every write besides. */
  told: Told = () => undefined
): Layer.Layer<RaftStore, E, R> =>
  Layer.effect(
    RaftStore,
    Effect.map(RaftStore, (service) => watched(service, nodeId, watch, told))
  ).pipe(Layer.provide(store))
