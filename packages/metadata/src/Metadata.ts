/**
 * The port through which a node reads the cluster's metadata. The image is in memory: reading never waits and never fails.
 * Adapters: `MetadataStore.layer`, `MetadataStore.layerMemory`.
 */
import * as Context from "effect/Context"
import type * as Stream from "effect/Stream"
import type { Delta } from "./core/Delta.js"
import type { Image } from "./core/Image.js"

export interface MetadataService {
  /** The newest image: durable, and so never taken back. */
  image(): Image
  /**
   * Begins with the difference from the empty image to the current one and goes on from there, so that a fold over it is
   * enough. A reader that is slow gets fewer, larger deltas: none is lost and nothing piles up.
   */
  readonly changes: Stream.Stream<Delta>
  /** Called inside the change, after `image()` shows it; must be quick and not throw. Returns how to stop that. */
  onChange(listener: (delta: Delta) => void): () => void
}

export class Metadata extends Context.Tag("@effectmq/metadata/Metadata")<Metadata, MetadataService>() {}
