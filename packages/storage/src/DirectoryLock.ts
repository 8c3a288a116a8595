/**
 * Holds a directory for this process, before anything in it is opened: a second process is told at once who has it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { Disk } from "./Disk.js"
import { toStorageError } from "./internal/file/StorageFailure.js"
import * as NodeDisk from "./NodeDisk.js"
import type { StorageError } from "./StorageError.js"

/** Makes the directory where it is not, and holds it until the scope ends; fails with `locked` where another process does. */
export const hold = (directory: string): Effect.Effect<void, StorageError, Disk | Scope> =>
  Effect.flatMap(Disk, (disk) =>
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          disk.makeDirectory(directory)
          return disk.lock(directory)
        },
        catch: (cause) => toStorageError(`locking ${directory}`, cause)
      }),
      (unlock) => Effect.sync(unlock)
    )
  )

/** A directory of this machine, held while the layer lives. */
export const layer = (directory: string): Layer.Layer<never, StorageError> =>
  Layer.scopedDiscard(hold(directory)).pipe(Layer.provide(NodeDisk.layer))
