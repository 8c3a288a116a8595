/**
 * The upgrade of a data directory of release 0.1, whose metadata is in an event store of its own (`metadata.sqlite`): its image
 * becomes the first snapshot of the Raft store, once, with its sequence and its recent commands. The old file is renamed and stays.
 *
 * A crash at any point is safe: the old file is renamed after the snapshot is complete, and while it has its name it is either
 * imported again into a store that is still empty, or only renamed.
 */
import { dirname, basename } from "node:path"
import * as Coordinator from "@effectmq/eventsource/Coordinator"
import { EventStore } from "@effectmq/eventsource/EventStore"
import type { EventStoreError, ReplayFailed } from "@effectmq/eventsource/EventStoreError"
import * as SqliteEventStore from "@effectmq/eventsource/SqliteEventStore"
import { RaftStore, RaftStoreError } from "@effectmq/raft/RaftStore"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { Member } from "@effectmq/schemas/raft/Membership"
import { Disk, type DiskError, type DiskService } from "@effectmq/storage/Disk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { metadataDecider } from "./core/metadataDecider.js"
import { isSeedable, seed } from "./internal/seed.js"

export interface EventStoreImportOptions {
  /** Of the old event store; nothing is done where it is not there. */
  readonly filename: string
  /** This node: it is the only member then. */
  readonly member: Member
  /** The node is to begin a cluster with others or to join one: what it held alone would be another beginning than theirs. */
  readonly isAlone: boolean
}

/** There is something to be imported on a node that must not begin alone. */
export class ImportRefused extends Data.TaggedError("ImportRefused")<{ readonly message: string }> {}

export type EventStoreImportError = EventStoreError | ReplayFailed | RaftStoreError | ImportRefused

/** Added to the old file's name. */
export const importedSuffix = ".imported"

/** SQLite keeps these beside its file after a crash. */
const companions = ["", "-wal", "-shm"]

const onDisk = <A>(filename: string, call: () => A | Promise<A>): Effect.Effect<A, RaftStoreError> =>
  Effect.tryPromise({
    try: async () => call(),
    catch: (cause) => {
      const reason = (cause as DiskError).code === "ENOSPC" ? "full" : "io"
      return new RaftStoreError({ reason, message: `renaming ${filename}: ${(cause as Error).message}`, cause })
    }
  })

const isThere = (disk: DiskService, filename: string): boolean => {
  try {
    return disk.list(dirname(filename)).includes(basename(filename))
  } catch {
    return false
  }
}

const readOld = (filename: string) =>
  Effect.gen(function* () {
    const coordinator = yield* Coordinator.make(metadataDecider, metadataEventCodec)
    const store = yield* EventStore
    return { image: coordinator.state(), hash: Buffer.from(store.chainHash(), "hex") }
  }).pipe(Effect.provide(SqliteEventStore.layer({ filename })), Effect.scoped)

const rename = (disk: DiskService, filename: string) =>
  onDisk(filename, async () => {
    for (const companion of companions) {
      const from = `${filename}${companion}`
      if (isThere(disk, from)) disk.rename(from, `${filename}${importedSuffix}${companion}`)
    }
    await disk.syncDirectory(dirname(filename))
  })

/** Brings what the old event store holds into the Raft store; answers whether it did. */
export const importOnce = ({
  filename,
  member,
  isAlone
}: EventStoreImportOptions): Effect.Effect<boolean, EventStoreImportError, RaftStore | Disk> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const store = yield* RaftStore
    const imports = isSeedable(store.stored)
    if (imports && !isAlone) {
      const message =
        `${filename} is of a release before there were clusters, and only a node alone can go on with it: start this node once with ` +
        "itself alone in cluster.nodes and without cluster.join, and then add the others to it with effectmq cluster add. To begin " +
        "without what it holds, use an empty data directory"
      return yield* Effect.fail(new ImportRefused({ message }))
    }
    if (imports) {
      const { image, hash } = yield* readOld(filename)
      yield* seed(store, image, hash, [member])
      yield* Effect.logInfo(`the metadata of ${filename}, up to event ${image.version}, goes on in the raft store`)
    }
    yield* rename(disk, filename)
    return imports
  })

/** The Raft store with what an older release left, if it did: it is opened for the import, and then anew for the node. */
export const layer = <E, R>(
  options: EventStoreImportOptions,
  store: Layer.Layer<RaftStore, E, R>
): Layer.Layer<RaftStore, E | EventStoreImportError, R | Disk> =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const disk = yield* Disk
      if (isThere(disk, options.filename)) yield* Effect.provide(importOnce(options), store)
      return store
    })
  )
