/**
 * Entries and snapshots for the tests of Raft stores.
 */
import type { CommandEntry, Entry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import type { RaftStoreService } from "../../src/RaftStore.js"

export const members: Membership = {
  voters: [1, 2, 3],
  outgoingVoters: [],
  learners: [4],
  members: [1, 2, 3, 4].map((nodeId) => ({ nodeId, address: `host${nodeId}:7400` }))
}

export const command = (index: number, term: number, text = `command ${index} of ${term}`): CommandEntry => ({
  kind: "command",
  index,
  term,
  data: Buffer.from(text)
})

export const commands = (first: number, last: number, term: number): Array<Entry> =>
  Array.from({ length: last - first + 1 }, (_, at) => command(first + at, term))

export const snapshotOf = (index: number, term: number, chunks: ReadonlyArray<Uint8Array>): SnapshotMeta => ({
  index,
  term,
  membership: members,
  chunks: chunks.length,
  bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0)
})

export const chunksOf = (...texts: ReadonlyArray<string>): ReadonlyArray<Uint8Array> => texts.map((text) => Buffer.from(text))

export const stage = (store: RaftStoreService, snapshot: SnapshotMeta, chunks: ReadonlyArray<Uint8Array>) =>
  Effect.forEach(chunks, (data, chunk) => store.stageSnapshotChunk(snapshot, chunk, data), { discard: true })

export const saveSnapshot = (
  store: RaftStoreService,
  snapshot: SnapshotMeta,
  chunks: ReadonlyArray<Uint8Array>,
  log: "keep" | "discard"
) => Effect.zipRight(stage(store, snapshot, chunks), store.completeSnapshot(snapshot, log))

/** Data as plain bytes, whatever class carries them. */
export const plain = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  entries.map((entry) => (entry.kind === "command" ? { ...entry, data: Buffer.from(entry.data) } : entry))
