/**
 * The port of a shard: an append-only sequence of v2 record batches with dense offsets.
 *
 * Invariants
 * - One owner appends. Offsets are given at the call, in call order; `done` callbacks of one shard fire in offset order.
 * - `done` without an error means: durable to the shard's promise, and readable. Nothing that was so answered is lost
 *   by a crash. Readers never see past `committedOffset`.
 * - Offsets are plain numbers below 2^53.
 */
import type * as Effect from "effect/Effect"
import type { ShardId } from "@effectmq/schemas/ShardId"
import type { OffsetOutOfRange, StorageError } from "./StorageError.js"

/** When an append counts as durable. `fsync`: after fdatasync. `interval`: within `syncIntervalMs`. `os`: once written. */
export type Durability = "fsync" | "interval" | "os"

/** `delete` cuts old segments by age and size; `compact` keeps the last record of every key (a null value removes the key). */
export type Cleanup = "delete" | "compact"

export interface ShardOptions {
  readonly durability: Durability
  readonly cleanup: Cleanup
  /** Oldest age kept, ms; undefined keeps all. */
  readonly retentionMs?: number | undefined
  /** Bytes kept; undefined keeps all. */
  readonly retentionBytes?: number | undefined
}

export type AppendCallback = (error: StorageError | undefined, baseOffset: number) => void

export interface ReadOptions {
  /** Stop after this many bytes of batches; at least one batch is returned when there is one. */
  readonly bytesMax: number
  /**
   * A hint: batches in which no record's key passes may be left out (`nextOffset` moves past them). An engine with a key
   * index answers a quiet reader without scanning others' traffic. Records of returned batches may still not pass.
   */
  readonly keyFilter?: ((key: Uint8Array) => boolean) | undefined
}

export interface ReadResult {
  /** Whole v2 batches in offset order. The first may begin before the asked offset. They must not be written to. */
  readonly batches: ReadonlyArray<Uint8Array>
  /** Where the next read goes on. */
  readonly nextOffset: number
}

export interface Shard {
  readonly id: ShardId
  /** First offset that can be read. */
  startOffset(): number
  /** One past the last durable record. */
  committedOffset(): number
  /** One past the last record given an offset. */
  endOffset(): number
  /** Bytes kept, about. */
  sizeBytes(): number
  /**
   * Gives the batch its offsets and begins to store it; `batch` is the shard's from then on and must not be written to. Returns
   * the base offset, or -1 where the batch was refused (`done` then carries the error). `done` is never called before `append`
   * returns.
   */
  append(batch: Uint8Array, done: AppendCallback): number
  read(fromOffset: number, options: ReadOptions): Effect.Effect<ReadResult, StorageError | OffsetOutOfRange>
  /** Calls back whenever the committed offset has moved; returns how to stop that. */
  onCommitted(listener: (committedOffset: number) => void): () => void
  /** Forgets what lies before `offset` (whole segments; `startOffset` moves at once). */
  trim(offset: number): Effect.Effect<void, StorageError>
  /** First offset whose record is not older than `timestampMs`; the end offset where there is none. */
  offsetForTimestamp(timestampMs: number): Effect.Effect<number, StorageError>
}
