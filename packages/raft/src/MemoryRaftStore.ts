/**
 * A Raft store in memory: gone with the process, otherwise as strict as the durable one.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { newStoreId } from "./internal/store/NewStoreId.js"
import { StagedSnapshot } from "./internal/store/StagedSnapshot.js"
import { chunkProblem, completionProblem, entriesProblem, type LogBounds } from "./internal/store/StoreRules.js"
import { type HardState, RaftStore, type RaftStoreService } from "./RaftStore.js"

/** What a store holds. Opening a store over the same contents again is a restart. */
export interface MemoryContents {
  readonly storeId: string
  hardState: HardState
  /** The first entry that is not forgotten, or would be the first. */
  firstIndex: number
  entries: Array<Entry>
  snapshot: SnapshotMeta | undefined
  chunks: ReadonlyArray<Uint8Array>
}

export const emptyContents = (): MemoryContents => ({
  storeId: newStoreId(),
  hardState: { term: 0, votedFor: 0, commitIndex: 0 },
  firstIndex: 1,
  entries: [],
  snapshot: undefined,
  chunks: []
})

const assertRight = (problem: string | undefined): void => {
  if (problem !== undefined) throw new Error(problem)
}

export const make = (contents: MemoryContents): RaftStoreService => {
  let staged: StagedSnapshot | undefined
  let stagedChunks: Array<Uint8Array> = []
  const bounds = (): LogBounds => ({
    firstIndex: contents.firstIndex,
    lastIndex: contents.firstIndex + contents.entries.length - 1,
    snapshotIndex: contents.snapshot?.index ?? 0
  })
  return {
    stored: {
      storeId: contents.storeId,
      hardState: contents.hardState,
      snapshot: contents.snapshot,
      entries: [...contents.entries]
    },
    persist: ({ hardState, entries = [] }) =>
      Effect.sync(() => {
        assertRight(entriesProblem(entries, bounds()))
        if (hardState !== undefined) contents.hardState = hardState
        if (entries.length > 0) {
          contents.entries.length = entries[0].index - contents.firstIndex
          for (const entry of entries) contents.entries.push(entry)
        }
      }),
    stageSnapshotChunk: (snapshot, chunk, data) =>
      Effect.sync(() => {
        assertRight(chunkProblem(snapshot, chunk))
        if (staged === undefined || !staged.isOf(snapshot)) {
          staged = new StagedSnapshot(0, snapshot)
          stagedChunks = []
        }
        stagedChunks[chunk] = Uint8Array.from(data)
        staged.chunkWritten(chunk, data.length)
      }),
    completeSnapshot: (snapshot, log) =>
      Effect.sync(() => {
        if (staged === undefined || !staged.isOf(snapshot)) throw new Error("another snapshot was staged, or none")
        assertRight(staged.missing())
        assertRight(completionProblem(snapshot, log, bounds()))
        contents.snapshot = snapshot
        contents.chunks = stagedChunks
        staged = undefined
        if (log === "discard") {
          contents.entries = []
          contents.firstIndex = snapshot.index + 1
        }
      }),
    readSnapshotChunk: (index, chunk) =>
      Effect.sync(() => {
        const data = contents.chunks[chunk]
        if (contents.snapshot?.index !== index || data === undefined) throw new Error(`there is no chunk ${chunk} at ${index}`)
        return data
      }),
    compact: (index) =>
      Effect.sync(() => {
        const forgotten = Math.min(index, contents.snapshot?.index ?? 0) - contents.firstIndex + 1
        if (forgotten <= 0) return
        contents.entries.splice(0, forgotten)
        contents.firstIndex += forgotten
      })
  }
}

/** A store whose content outlives it. */
export const layerOver = (contents: MemoryContents): Layer.Layer<RaftStore> =>
  Layer.effect(
    RaftStore,
    Effect.sync(() => make(contents))
  )

/** An empty store of its own for everyone who builds it. */
export const layer: Layer.Layer<RaftStore> = Layer.effect(
  RaftStore,
  Effect.sync(() => make(emptyContents()))
)
