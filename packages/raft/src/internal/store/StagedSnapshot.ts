/**
 * The snapshot that is being written chunk by chunk.
 */
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { encodeSnapshotMeta } from "./SnapshotRecord.js"

export class StagedSnapshot {
  private readonly bytesByChunk = new Map<number, number>()
  private readonly encoded: Buffer

  constructor(
    readonly id: number,
    readonly snapshot: SnapshotMeta
  ) {
    this.encoded = encodeSnapshotMeta(0, snapshot)
  }

  isOf(snapshot: SnapshotMeta): boolean {
    return this.encoded.equals(encodeSnapshotMeta(0, snapshot))
  }

  chunkWritten(chunk: number, bytes: number): void {
    this.bytesByChunk.set(chunk, bytes)
  }

  /** What keeps it from being whole, in words. */
  missing(): string | undefined {
    const { chunks, bytes } = this.snapshot
    let found = 0
    for (let chunk = 0; chunk < chunks; chunk++) {
      const size = this.bytesByChunk.get(chunk)
      if (size === undefined) return `chunk ${chunk} of ${chunks} was never written`
      found += size
    }
    return found === bytes ? undefined : `it has ${found} bytes instead of ${bytes}`
  }
}
