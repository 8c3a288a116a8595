/**
 * SHA-256 over the event lines of an image's snapshot, as 64 hex digits: equal for equal images. Made when asked for, in slices,
 * and kept for the image it was made of last.
 */
import { createHash } from "node:crypto"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import * as Effect from "effect/Effect"
import type { Image } from "../core/Image.js"
import { imageEvents } from "../core/imageToEvents.js"
import { breathe } from "./snapshots.js"

const eventsPerSlice = 256

const hashOf = (image: Image): Effect.Effect<string> =>
  Effect.gen(function* () {
    const digest = createHash("sha256")
    let events = 0
    for (const event of imageEvents(image)) {
      digest.update(metadataEventCodec.encode(event)).update("\n")
      if (++events % eventsPerSlice === 0) yield* breathe
    }
    return digest.digest("hex")
  })

export const makeImageHash = (): ((image: Image) => Effect.Effect<string>) => {
  let last: { readonly image: Image; readonly hash: string } | undefined
  return (image) =>
    Effect.suspend(() =>
      last?.image === image
        ? Effect.succeed(last.hash)
        : Effect.tap(hashOf(image), (hash) => Effect.sync(() => (last = { image, hash })))
    )
}
