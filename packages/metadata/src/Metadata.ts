/**
 * The port through which a node reads the cluster's metadata. The image is in memory: reading it never waits and never fails.
 * Adapters: those of `MetadataStore` and `ObserverMetadata`.
 */
import type { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Delta } from "./core/Delta.js"
import type { Image } from "./core/Image.js"

export interface MetadataService {
  /** The newest image of this node: committed, and so never taken back. Other nodes may have a newer one. */
  image(): Image
  /**
   * The image once it shows every change that was answered anywhere before the call: a linearizable read. Bounded in time; fails
   * where no majority of the cluster can be asked.
   */
  readonly sync: Effect.Effect<Image, MetadataUnavailable>
  /** True while this node hears from nobody who knows better: what `image()` shows may be old by any time. */
  isStale(): boolean
  /**
   * What keeps this node from its part in the metadata, as the rest of a sentence about the node: damage, which ends with a new start of a
   * mended node, or a full disk, which ends with space. undefined while all is well.
   */
  fault(): string | undefined
  /**
   * Begins with the difference from the empty image to the current one and goes on from there, so that a fold over it is
   * enough. A reader that is slow gets fewer, larger deltas: none is lost and nothing piles up.
   */
  readonly changes: Stream.Stream<Delta>
  /** Called inside the change, after `image()` shows it; must be quick and not throw. Returns how to stop that. */
  onChange(listener: (delta: Delta) => void): () => void
}

export class Metadata extends Context.Tag("@effectmq/metadata/Metadata")<Metadata, MetadataService>() {}
