/**
 * The chain that ties every batch to all before it, and the check of a whole store by it.
 *
 *     hash of a batch    = SHA-256(hash before (32) | first sequence (u64 BE) | number of events (u32 BE) | UTF-8 lines)
 *     hash of a snapshot = SHA-256("snapshot" | chain hash at its sequence (32) | sequence (u64 BE) | number (u32 BE) | lines)
 *
 * Lines are joined by one line feed. The chain begins with 32 zero bytes.
 */
import { createHash } from "node:crypto"

/** A point of the chain: everything up to `sequence` has this hash. */
export interface ChainPoint {
  readonly sequence: number
  readonly hash: Uint8Array
}

export interface StoredBatch {
  readonly firstSequence: number
  readonly lastSequence: number
  /** Joined lines. */
  readonly text: string
  readonly hash: Uint8Array
}

export interface StoredSnapshot {
  readonly sequence: number
  readonly count: number
  /** Joined lines. */
  readonly text: string
  readonly hash: Uint8Array
}

export const chainStart: ChainPoint = { sequence: 0, hash: new Uint8Array(32) }

/** Throws on a line break within a line: that is a bug of the codec. */
export const joinLines = (lines: ReadonlyArray<string>): string => {
  for (const line of lines) {
    if (line.includes("\n")) throw new Error("an event must be one line of text")
  }
  return lines.join("\n")
}

export const splitLines = (text: string, count: number): ReadonlyArray<string> => (count === 0 ? [] : text.split("\n"))

const digest = (start: Uint8Array, prefix: string, sequence: number, count: number, text: string): Uint8Array => {
  const numbers = Buffer.alloc(12)
  numbers.writeBigUInt64BE(BigInt(sequence), 0)
  numbers.writeUInt32BE(count, 8)
  return createHash("sha256").update(prefix).update(start).update(numbers).update(text, "utf8").digest()
}

/** The batch that follows `previous`. */
export const chainBatch = (previous: ChainPoint, lines: ReadonlyArray<string>): StoredBatch => {
  const firstSequence = previous.sequence + 1
  const text = joinLines(lines)
  const hash = digest(previous.hash, "", firstSequence, lines.length, text)
  return { firstSequence, lastSequence: previous.sequence + lines.length, text, hash }
}

export const chainSnapshot = (point: ChainPoint, lines: ReadonlyArray<string>): StoredSnapshot => {
  const text = joinLines(lines)
  const hash = digest(point.hash, "snapshot", point.sequence, lines.length, text)
  return { sequence: point.sequence, count: lines.length, text, hash }
}

const equal = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0

/** Walks a store from its beginning. Every method answers undefined, or what is wrong in words. */
export class ChainWalk {
  private point: ChainPoint
  private snapshotPoint: ChainPoint | undefined

  constructor(
    /** Where the first batch still held goes on from. */
    private readonly anchor: ChainPoint,
    private readonly snapshot: StoredSnapshot | undefined
  ) {
    this.point = anchor
    this.snapshotPoint = undefined
    this.meetSnapshot()
  }

  batch(batch: StoredBatch): string | undefined {
    const name = `batch ${batch.firstSequence} to ${batch.lastSequence}`
    if (batch.firstSequence !== this.point.sequence + 1) return `${name} does not follow event ${this.point.sequence}`
    const lines = batch.text.split("\n")
    if (batch.lastSequence !== this.point.sequence + lines.length) return `${name} holds ${lines.length} events`
    if (!equal(chainBatch(this.point, lines).hash, batch.hash)) return `${name} does not match its hash`
    this.point = { sequence: batch.lastSequence, hash: batch.hash }
    this.meetSnapshot()
    return undefined
  }

  end(head: ChainPoint): string | undefined {
    if (head.sequence !== this.point.sequence) return `events ${this.point.sequence + 1} to ${head.sequence} are missing`
    if (!equal(head.hash, this.point.hash)) return `the hash of the last event, ${head.sequence}, is another`
    if (this.snapshot === undefined) return this.anchor.sequence > 0 ? "the snapshot is missing" : undefined
    if (this.snapshotPoint === undefined) return `the snapshot at ${this.snapshot.sequence} belongs to no batch`
    const lines = splitLines(this.snapshot.text, this.snapshot.count)
    const matches =
      lines.length === this.snapshot.count && equal(chainSnapshot(this.snapshotPoint, lines).hash, this.snapshot.hash)
    return matches ? undefined : `the snapshot at ${this.snapshot.sequence} does not match its hash`
  }

  private meetSnapshot(): void {
    if (this.snapshot?.sequence === this.point.sequence) this.snapshotPoint = this.point
  }
}
