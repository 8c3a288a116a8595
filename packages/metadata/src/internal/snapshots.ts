/**
 * Writing and reading the image as chunks in slices, so that everything else goes on meanwhile.
 */
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import { type SnapshotContent, SnapshotReader, writeSnapshot } from "../core/SnapshotFormat.js"

/** The event loop turns once. */
export const breathe: Effect.Effect<void> = Effect.async((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/** Of the image as it is when this is called. */
export const writeContent = (content: SnapshotContent, bytesMax: number): Effect.Effect<ReadonlyArray<Uint8Array>> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    for (const chunk of writeSnapshot(content, bytesMax)) {
      if (chunk === undefined) yield* breathe
      else chunks.push(chunk)
    }
    return chunks
  })

export const readContent = (chunks: ReadonlyArray<Uint8Array>): Effect.Effect<Either.Either<SnapshotContent, string>> =>
  Effect.gen(function* () {
    const reader = new SnapshotReader()
    for (const chunk of chunks) {
      for (const _ of reader.read(chunk)) yield* breathe
    }
    return reader.end()
  })
