/**
 * The id of the cluster that a Raft store is of, read without loading the metadata: a snapshot names it in its first event, and before
 * there is a snapshot the log holds the event with which the cluster was made.
 *
 * Invariant: only what is committed counts, since an entry that is not may yet be replaced by another one.
 */
import type { RaftStoreService } from "@effectmq/raft/RaftStore"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { entryLines } from "../core/EntryChain.js"

const lineFeed = 10

/** undefined where the line is no such event: whoever loads the metadata says what is wrong with it. */
const clusterIdIn = (line: string): string | undefined => {
  const event = Either.getOrUndefined(metadataEventCodec.decode(line))
  return event?._tag === "ClusterCreated" ? event.clusterId : undefined
}

/** Of the snapshot, chunk by chunk until its second line is whole. */
const inSnapshot = ({ stored, readSnapshotChunk }: RaftStoreService): Effect.Effect<string | undefined> =>
  Effect.gen(function* () {
    const { index = 0, chunks = 0 } = stored.snapshot ?? {}
    let bytes = Buffer.alloc(0)
    for (let chunk = 0; chunk < chunks; chunk++) {
      bytes = Buffer.concat([bytes, yield* readSnapshotChunk(index, chunk)])
      const headerEnd = bytes.indexOf(lineFeed)
      const end = headerEnd < 0 ? -1 : bytes.indexOf(lineFeed, headerEnd + 1)
      if (end >= 0) return clusterIdIn(bytes.toString("utf8", headerEnd + 1, end))
    }
    return undefined
    // A store that cannot be read is refused by the member that stands on it.
  }).pipe(Effect.orElseSucceed(() => undefined))

export const storedClusterId = (store: RaftStoreService): Effect.Effect<string | undefined> =>
  Effect.map(inSnapshot(store), (found) => {
    if (found !== undefined) return found
    const { entries, hardState } = store.stored
    for (const entry of entries) {
      if (entry.index > hardState.commitIndex) break
      if (entry.kind !== "command") continue
      for (const line of entryLines(entry.data)) {
        const clusterId = line.includes("ClusterCreated") ? clusterIdIn(line) : undefined
        if (clusterId !== undefined) return clusterId
      }
    }
    return undefined
  })
