/**
 * An endless list of changes of a Raft store, the same for everybody: the next one follows from its number and from what the store
 * holds.
 */
import * as Effect from "effect/Effect"
import type { RaftStoreError, RaftStoreService } from "../../src/RaftStore.js"
import { commands, saveSnapshot, snapshotOf } from "./StoreSamples.js"

/** What a writer must know of the store to go on. */
export interface Position {
  readonly lastIndex: number
  readonly snapshotIndex: number
}

export const positionOf = ({ stored: { entries, snapshot } }: RaftStoreService): Position => {
  const snapshotIndex = snapshot?.index ?? 0
  return { lastIndex: entries.at(-1)?.index ?? snapshotIndex, snapshotIndex }
}

/** Does the change of this number; answers where the store is then. */
export const operate = (store: RaftStoreService, number: number, at: Position): Effect.Effect<Position, RaftStoreError> => {
  const { lastIndex, snapshotIndex } = at
  const hardState = { term: number, votedFor: number % 5, commitIndex: lastIndex }
  if (number % 37 === 0 && lastIndex > snapshotIndex) {
    const chunks = Array.from({ length: 1 + (number % 4) }, (_, chunk) => Buffer.alloc(20_000 * chunk + number, number))
    const index = lastIndex - ((number >> 1) % Math.min(5, lastIndex - snapshotIndex))
    return Effect.as(saveSnapshot(store, snapshotOf(index, number, chunks), chunks, "keep"), { lastIndex, snapshotIndex: index })
  }
  if (number % 41 === 0) return Effect.as(store.compact(snapshotIndex - 2), at)
  if (number % 7 === 0) return Effect.as(store.persist({ hardState }), at)
  const first = number % 11 === 0 ? Math.max(snapshotIndex + 1, lastIndex - 3) : lastIndex + 1
  const last = first + (number % 13) * (number % 3)
  return Effect.as(store.persist({ hardState, entries: commands(first, last, number) }), { ...at, lastIndex: last })
}
