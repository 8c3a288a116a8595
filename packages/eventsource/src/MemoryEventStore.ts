/**
 * An event store in memory: gone with the process, otherwise as strict as the durable one.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { chainBatch, type ChainPoint, chainSnapshot, chainStart, ChainWalk, splitLines } from "./core/HashChain.js"
import type { StoredBatch, StoredSnapshot } from "./core/HashChain.js"
import { EventStore, type EventStoreService } from "./EventStore.js"
import { EventsCut, EventStoreError, SequenceConflict } from "./EventStoreError.js"

/** What a store holds. Opening a store over the same contents again is a restart. */
export interface MemoryContents {
  anchor: ChainPoint
  head: ChainPoint
  batches: Array<StoredBatch>
  snapshot: StoredSnapshot | undefined
}

export const emptyContents = (): MemoryContents => ({ anchor: chainStart, head: chainStart, batches: [], snapshot: undefined })

const verify = (contents: MemoryContents): string | undefined => {
  const walk = new ChainWalk(contents.anchor, contents.snapshot)
  for (const batch of contents.batches) {
    const problem = walk.batch(batch)
    if (problem !== undefined) return problem
  }
  return walk.end(contents.head)
}

const pointAt = (contents: MemoryContents, sequence: number): ChainPoint | undefined => {
  if (contents.anchor.sequence === sequence) return contents.anchor
  const batch = contents.batches.find((candidate) => candidate.lastSequence === sequence)
  return batch === undefined ? undefined : { sequence, hash: batch.hash }
}

export const make = (contents: MemoryContents): Effect.Effect<EventStoreService, EventStoreError> =>
  Effect.suspend(() => {
    const problem = verify(contents)
    if (problem !== undefined) {
      return Effect.fail(new EventStoreError({ reason: "damaged", message: `the event store in memory is damaged: ${problem}` }))
    }
    return Effect.succeed<EventStoreService>({
      lastSequence: () => contents.head.sequence,
      firstSequence: () => contents.anchor.sequence + 1,
      chainHash: () => Buffer.from(contents.head.hash).toString("hex"),
      append: (expectedSequence, events) =>
        Effect.suspend(() => {
          const lastSequence = contents.head.sequence
          if (expectedSequence !== lastSequence) return Effect.fail(new SequenceConflict({ expectedSequence, lastSequence }))
          if (events.length === 0) return Effect.succeed(lastSequence)
          const batch = chainBatch(contents.head, events)
          contents.batches.push(batch)
          contents.head = { sequence: batch.lastSequence, hash: batch.hash }
          return Effect.succeed(batch.lastSequence)
        }),
      read: (fromSequence, eventsMax) =>
        Effect.suspend(() => {
          const firstSequence = contents.anchor.sequence + 1
          if (fromSequence < firstSequence) return Effect.fail(new EventsCut({ fromSequence, firstSequence }))
          const events: Array<string> = []
          for (const batch of contents.batches) {
            if (batch.lastSequence < fromSequence) continue
            if (events.length >= eventsMax) break
            events.push(...batch.text.split("\n").slice(Math.max(0, fromSequence - batch.firstSequence)))
          }
          return Effect.succeed(events.slice(0, eventsMax))
        }),
      latestSnapshot: Effect.sync(() => {
        const snapshot = contents.snapshot
        return snapshot === undefined
          ? undefined
          : { sequence: snapshot.sequence, events: splitLines(snapshot.text, snapshot.count) }
      }),
      saveSnapshot: (snapshot) =>
        Effect.sync(() => {
          const point = pointAt(contents, snapshot.sequence)
          if (point === undefined || snapshot.sequence < (contents.snapshot?.sequence ?? 0)) {
            throw new Error(`no batch ends at ${snapshot.sequence}, or a newer snapshot is there`)
          }
          contents.snapshot = chainSnapshot(point, snapshot.events)
        }),
      cutBefore: (sequence) =>
        Effect.sync(() => {
          const lastCut = Math.min(sequence - 1, contents.snapshot?.sequence ?? 0)
          const kept = contents.batches.findIndex((batch) => batch.lastSequence > lastCut)
          const cut = contents.batches.splice(0, kept === -1 ? contents.batches.length : kept).at(-1)
          if (cut !== undefined) contents.anchor = { sequence: cut.lastSequence, hash: cut.hash }
        })
    })
  })

export const layerOver = (contents: MemoryContents): Layer.Layer<EventStore, EventStoreError> =>
  Layer.effect(EventStore, make(contents))

/** An empty store of its own for everyone who builds it. */
export const layer: Layer.Layer<EventStore> = Layer.effect(EventStore, Effect.orDie(Effect.suspend(() => make(emptyContents()))))
