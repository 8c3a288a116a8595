/** The suite over the stores in memory and on this machine's disk. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as MemoryRaftStore from "../src/MemoryRaftStore.js"
import { RaftStore, type RaftStoreError } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { raftStoreSuite, type StorePlace } from "./RaftStoreSuite.js"

const over =
  (layer: () => Layer.Layer<RaftStore, RaftStoreError>): StorePlace["use"] =>
  (body) =>
    Effect.runPromise(Effect.provide(Effect.flatMap(RaftStore, body), layer()))

raftStoreSuite("MemoryRaftStore", 40, () => {
  const contents = MemoryRaftStore.emptyContents()
  return { use: over(() => MemoryRaftStore.layerOver(contents)), remove: () => {} }
})

raftStoreSuite("SqliteRaftStore", 12, () => {
  const directory = mkdtempSync(join(tmpdir(), "effectmq-raft-store-"))
  return {
    use: over(() => SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") })),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
})
