/**
 * Reads all that a shard has committed, from `fromOffset` on, in order: what was folded into a state before is folded again.
 *
 * `visit` gets whole batches, and where the read began: a batch may begin before that, and of its records only those from there on are meant.
 */
import * as Effect from "effect/Effect"
import type { ReadOptions, Shard } from "./Shard.js"
import type { OffsetOutOfRange, StorageError } from "./StorageError.js"

const options: ReadOptions = { bytesMax: 1024 * 1024 }

export const replayShard = (
  shard: Shard,
  fromOffset: number,
  visit: (batch: Uint8Array, fromOffset: number) => void
): Effect.Effect<void, StorageError | OffsetOutOfRange> =>
  Effect.gen(function* () {
    let position = fromOffset
    while (position < shard.committedOffset()) {
      const { batches, nextOffset } = yield* shard.read(position, options)
      for (const batch of batches) visit(batch, position)
      position = nextOffset
    }
  })
