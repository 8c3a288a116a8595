/**
 * The marks of segments in use, loaded from their index files when first read and forgotten when long unused.
 *
 * A table that its index file cannot give, because the machine lost power before the index was written out, is made from the segment.
 */
import {
  batchBaseOffset,
  batchEndOffset,
  batchHeaderSizeBytes,
  batchSizeBytes,
  validateBatch
} from "@effectmq/schemas/record/RecordBatch"
import { type DiskService, readFully } from "../../Disk.js"
import type { FileHandles } from "./FileHandles.js"
import type { Segment } from "./Segment.js"
import { type Chunk, ChunkBuilder, decodeChunk } from "./SegmentIndex.js"
import { corrupt } from "./StorageFailure.js"

const pieceBytes = 1024 * 1024
const rebuiltChunkBytes = 4 * 1024 * 1024

export interface SegmentTable {
  readonly chunks: Array<Chunk>
}

/** Index of the first chunk that ends past `offset`; the count of chunks where there is none. */
export const chunkIndexOf = (table: SegmentTable, offset: number): number => {
  let low = 0
  let high = table.chunks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (table.chunks[middle].endOffset > offset) high = middle
    else low = middle + 1
  }
  return low
}

/** Index of the last mark whose offset is not past `offset`, at least 0. */
export const markIndexOf = (chunk: Chunk, offset: number): number => {
  let low = 0
  let high = chunk.offsets.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (chunk.offsets[middle] <= offset) low = middle
    else high = middle - 1
  }
  return low
}

export class SegmentTables {
  readonly #tableBySegment = new Map<Segment, Promise<SegmentTable>>()

  constructor(
    readonly disk: DiskService,
    readonly handles: FileHandles,
    readonly directory: string,
    readonly tablesMax: number
  ) {}

  get(segment: Segment): Promise<SegmentTable> {
    let table = this.#tableBySegment.get(segment)
    if (table === undefined) {
      table = this.#load(segment, segment.sizeBytes, segment.indexBytes)
      table.catch(() => this.#tableBySegment.delete(segment))
    } else this.#tableBySegment.delete(segment)
    this.#tableBySegment.set(segment, table)
    if (this.#tableBySegment.size > this.tablesMax) {
      for (const oldest of this.#tableBySegment.keys()) {
        this.#tableBySegment.delete(oldest)
        break
      }
    }
    return table
  }

  /** Adds chunks that the segment has just grown by. */
  grown(segment: Segment, chunks: ReadonlyArray<Chunk>): void {
    this.#tableBySegment.get(segment)?.then(
      (table) => table.chunks.push(...chunks),
      () => undefined
    )
  }

  drop(segment: Segment): void {
    this.#tableBySegment.delete(segment)
  }

  async #load(segment: Segment, sizeBytes: number, indexBytes: number): Promise<SegmentTable> {
    const bytes = Buffer.allocUnsafe(indexBytes)
    const count = await this.handles
      .use(segment.indexPath(this.directory), "read", (file) => readFully(this.disk, file, bytes, 0))
      .catch(() => 0)
    const chunks: Array<Chunk> = []
    let at = 0
    let end = 0
    while (end < sizeBytes) {
      const decoded = decodeChunk(bytes.subarray(0, count), at)
      if (decoded === undefined || decoded.chunk.start !== end || decoded.chunk.end > sizeBytes) break
      chunks.push(decoded.chunk)
      at = decoded.next
      end = decoded.chunk.end
    }
    if (end < sizeBytes) await this.#rebuild(segment, end, sizeBytes, chunks)
    return { chunks }
  }

  async #rebuild(segment: Segment, start: number, end: number, chunks: Array<Chunk>): Promise<void> {
    const builder = new ChunkBuilder()
    let position = start
    let endOffset = -1
    builder.begin(start)
    await this.scan(segment, start, end, (bytes, at, sizeBytes) => {
      // What was written behind together has no gap, unless by compaction: a gap is where the shard was trimmed in between.
      const isGap = segment.generation === 0 && batchBaseOffset(bytes, at) !== endOffset
      if (builder.count > 0 && (isGap || builder.sizeBytes >= rebuiltChunkBytes)) {
        chunks.push(builder.chunk(undefined, undefined))
        builder.begin(position)
      }
      builder.add(bytes, at, sizeBytes, "none")
      endOffset = batchEndOffset(bytes, at)
      position += sizeBytes
    })
    if (builder.count > 0) chunks.push(builder.chunk(undefined, undefined))
  }

  /**
   * Reads `count` bytes of a segment's file. Rejects with `corrupt` where the file is shorter: what a segment says it has was synced.
   */
  async readLog(segment: Segment, position: number, count: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(count)
    const path = segment.logPath(this.directory)
    const got = await this.handles.use(path, "read", (file) => readFully(this.disk, file, bytes, position))
    if (got < count) throw corrupt(`${path} ends at ${position + got}, before the ${segment.sizeBytes} bytes it had`)
    return bytes
  }

  /** Visits the batches between two positions in order, each checked against its checksum. The bytes are lent to the visit. */
  async scan(
    segment: Segment,
    start: number,
    end: number,
    visit: (bytes: Buffer, at: number, sizeBytes: number) => void
  ): Promise<void> {
    let position = start
    let wantedBytes = pieceBytes
    let offset = segment.baseOffset
    while (position < end) {
      const bytes = await this.readLog(segment, position, Math.min(wantedBytes, end - position))
      wantedBytes = pieceBytes
      let at = 0
      while (at + batchHeaderSizeBytes <= bytes.length) {
        const sizeBytes = this.checkedSize(segment, bytes, at, position + at, end)
        if (at + sizeBytes > bytes.length) {
          wantedBytes = Math.max(pieceBytes, sizeBytes)
          break
        }
        if (validateBatch(bytes, at, at + sizeBytes, "stored") !== undefined || batchBaseOffset(bytes, at) < offset) {
          throw this.damage(segment, position + at)
        }
        offset = batchEndOffset(bytes, at)
        visit(bytes, at, sizeBytes)
        at += sizeBytes
      }
      if (at === 0 && bytes.length === end - position) throw this.damage(segment, position)
      position += at
    }
  }

  /** Size of the batch at `at`; throws `corrupt` where it cannot be one. */
  checkedSize(segment: Segment, bytes: Buffer, at: number, position: number, end: number): number {
    const sizeBytes = batchSizeBytes(bytes, at)
    if (sizeBytes < batchHeaderSizeBytes || position + sizeBytes > end) throw this.damage(segment, position)
    return sizeBytes
  }

  damage(segment: Segment, position: number): Error {
    return corrupt(`the batch at ${position} of ${segment.logPath(this.directory)} is damaged`)
  }
}
