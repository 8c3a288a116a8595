/**
 * The metadata as one member has it: the image, and where in the log it stands.
 *
 * Invariants
 * - Entries are applied in log order, each once; an entry is applied whole or the replica stands still for good.
 * - An event that cannot be read is never skipped.
 */
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import * as Either from "effect/Either"
import { apply } from "./apply.js"
import { type ChainPoint, chainAfter, chainStart, entryLines } from "./EntryChain.js"
import { emptyImage, type Image } from "./Image.js"
import { RecentEntries, type RecentEntriesLimits } from "./RecentEntries.js"
import type { SnapshotContent } from "./SnapshotFormat.js"

/** What an entry makes of an image. */
export interface Step {
  readonly before: Image
  readonly after: Image
  readonly events: ReadonlyArray<MetadataEvent>
}

/** Left is in words why the entry cannot be applied. */
export const stepOf = (before: Image, data: Uint8Array): Either.Either<Step, string> => {
  let after = before
  const events: Array<MetadataEvent> = []
  for (const line of entryLines(data)) {
    const decoded = metadataEventCodec.decode(line)
    if (Either.isLeft(decoded)) return Either.left(decoded.left.message)
    try {
      after = apply(after, decoded.right, after.version + 1)
    } catch (defect) {
      return Either.left(String(defect))
    }
    events.push(decoded.right)
  }
  return Either.right({ before, after, events })
}

export class Replica {
  private imageNow: Image = emptyImage
  private pointNow: ChainPoint = chainStart
  private recentNow: RecentEntries

  constructor(private readonly limits?: RecentEntriesLimits) {
    this.recentNow = new RecentEntries(chainStart, limits)
  }

  get image(): Image {
    return this.imageNow
  }

  /** The last entry applied. */
  get point(): ChainPoint {
    return this.pointNow
  }

  get recent(): RecentEntries {
    return this.recentNow
  }

  get content(): SnapshotContent {
    return { image: this.imageNow, point: this.pointNow }
  }

  /** `known`: the step as whoever decided it took it; it is taken again only where it was made on another image. */
  apply(index: number, data: Uint8Array, known?: Step | undefined): Either.Either<Step, string> {
    if (index <= this.pointNow.index) return Either.left(`entry ${index} comes after entry ${this.pointNow.index}`)
    const step = known?.before === this.imageNow ? Either.right(known) : stepOf(this.imageNow, data)
    if (Either.isLeft(step)) return step
    const hash = chainAfter(this.pointNow.hash, index, data)
    this.imageNow = step.right.after
    this.pointNow = { index, hash }
    this.recentNow.push({ index, data, hash })
    return step
  }

  replace(content: SnapshotContent): void {
    this.imageNow = content.image
    this.pointNow = content.point
    this.recentNow = new RecentEntries(content.point, this.limits)
  }
}
