/**
 * Adds runs of batches to a segment's files, and makes them count only once they are synced.
 */
import { batchEndOffset, batchMaxTimestampMs } from "@effectmq/schemas/record/RecordBatch"
import { type DiskService, writeFully } from "../../Disk.js"
import type { FileHandles } from "./FileHandles.js"
import type { Segment } from "./Segment.js"
import { type Chunk, ChunkBuilder } from "./SegmentIndex.js"
import type { SegmentTables } from "./SegmentTables.js"

/** What was written behind the end of a segment and does not count yet. */
export class SegmentGrowth {
  sizeBytes: number
  indexBytes: number
  endOffset: number
  maxTimestampMs: number
  readonly chunks: Array<Chunk> = []

  constructor(readonly segment: Segment) {
    this.sizeBytes = segment.sizeBytes
    this.indexBytes = segment.indexBytes
    this.endOffset = segment.endOffset
    this.maxTimestampMs = segment.maxTimestampMs
  }
}

export class SegmentWriter {
  readonly #builder = new ChunkBuilder()
  #slab = Buffer.alloc(0)
  #busy = false
  /** True when files were made since the directory was synced. */
  madeFiles = false

  constructor(
    readonly disk: DiskService,
    readonly handles: FileHandles,
    readonly directory: string,
    readonly tables: SegmentTables
  ) {}

  /** Writes one chunk. One call at a time. */
  async write(growth: SegmentGrowth, batches: ReadonlyArray<Uint8Array>): Promise<void> {
    if (this.#busy) throw new Error("a segment writer writes one chunk at a time")
    this.#busy = true
    try {
      let bytes = 0
      for (const batch of batches) bytes += batch.length
      if (this.#slab.length < bytes) this.#slab = Buffer.allocUnsafeSlow(Math.max(bytes, this.#slab.length * 2))
      const slab = this.#slab.subarray(0, bytes)
      this.#builder.begin(growth.sizeBytes)
      let at = 0
      let maxTimestampMs = growth.maxTimestampMs
      for (const batch of batches) {
        slab.set(batch, at)
        this.#builder.add(batch, 0, batch.length)
        maxTimestampMs = Math.max(maxTimestampMs, batchMaxTimestampMs(batch))
        at += batch.length
      }
      const block = this.#builder.encode()
      if (growth.sizeBytes === 0) this.madeFiles = true
      const segment = growth.segment
      await this.handles.use(segment.logPath(this.directory), "write", (file) =>
        writeFully(this.disk, file, slab, growth.sizeBytes)
      )
      await this.handles.use(segment.indexPath(this.directory), "write", (file) =>
        writeFully(this.disk, file, block, growth.indexBytes)
      )
      growth.chunks.push(this.#builder.chunk(growth.indexBytes, block))
      growth.sizeBytes += bytes
      growth.indexBytes += block.length
      growth.endOffset = batchEndOffset(batches[batches.length - 1])
      growth.maxTimestampMs = maxTimestampMs
    } finally {
      this.#busy = false
    }
  }

  /** Makes what was written durable; `both` also the index. */
  async sync(growth: SegmentGrowth, files: "log" | "both"): Promise<void> {
    const segment = growth.segment
    await this.handles.use(segment.logPath(this.directory), "write", (file) => this.disk.sync(file))
    if (files === "both") await this.syncIndex(segment)
  }

  async syncIndex(segment: Segment): Promise<void> {
    await this.handles.use(segment.indexPath(this.directory), "write", (file) => this.disk.sync(file))
  }

  /** Makes the growth part of the segment. */
  publish(growth: SegmentGrowth): void {
    const segment = growth.segment
    segment.sizeBytes = growth.sizeBytes
    segment.indexBytes = growth.indexBytes
    segment.endOffset = growth.endOffset
    segment.maxTimestampMs = growth.maxTimestampMs
    this.tables.grown(segment, growth.chunks)
  }

  /** Makes the names of new files durable. */
  async syncDirectory(): Promise<void> {
    if (!this.madeFiles) return
    this.madeFiles = false
    try {
      await this.disk.syncDirectory(this.directory)
    } catch (error) {
      this.madeFiles = true
      throw error
    }
  }
}
