/**
 * Makes an empty data directory begin with the metadata of an exported file, before the node's first start.
 */
import { resolve } from "node:path"
import * as SnapshotRestore from "@effectmq/metadata/SnapshotRestore"
import { membersOf } from "@effectmq/schemas/config/ClusterNodes"
import type { Resolved } from "@effectmq/schemas/config/Settings"
import * as DirectoryLock from "@effectmq/storage/DirectoryLock"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { raftStore } from "./Cluster.js"
import { StartError, startErrorOf } from "./StartError.js"

export interface RestoredMetadata extends SnapshotRestore.Restored {
  readonly dataDir: string
  /** Who takes part in what begins with it. */
  readonly memberIds: ReadonlyArray<number>
}

export const restoreMetadata = (
  { settings }: Resolved,
  file: string
): Effect.Effect<RestoredMetadata, StartError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    if (settings["cluster.join"] || settings["cluster.observer"]) {
      const message = "a node with cluster.join or cluster.observer gets the metadata from the others: nothing is to be restored"
      return yield* Effect.fail(new StartError({ message }))
    }
    const files = yield* FileSystem.FileSystem
    const bytes = yield* Effect.mapError(
      files.readFile(file),
      (cause) => new StartError({ message: `${file} cannot be read: ${cause.message}`, cause })
    )
    const listed = membersOf(settings["cluster.nodes"])
    const members = listed.length === 0 ? [{ nodeId: settings["node.id"], address: "" }] : listed
    const restored = yield* Effect.mapError(SnapshotRestore.restore([bytes], members), startErrorOf)
    return { ...restored, dataDir: resolve(settings["data.dir"]), memberIds: members.map(({ nodeId }) => nodeId) }
  }).pipe(
    Effect.provide(
      Layer.mapError(Layer.provide(raftStore(settings), DirectoryLock.layer(resolve(settings["data.dir"]))), startErrorOf)
    )
  )
