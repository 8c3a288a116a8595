/**
 * The index of a segment: one block for every run of batches that was written behind together (a chunk, a few MiB). Integers are
 * big-endian, `u` is an unsigned varint and `z` a zigzag varlong.
 *
 * | at | field          | type   | meaning                                                                |
 * | -- | -------------- | ------ | ---------------------------------------------------------------------- |
 * |  0 | crc            | uint32 | CRC-32C from here to the end of the marks                              |
 * |  4 | size           | uint32 | bytes of the block                                                     |
 * |  8 | firstOffset    | int64  | base offset of the first batch                                         |
 * | 16 | endOffset      | int64  | one past the last record                                               |
 * | 24 | start          | int64  | position of the first batch in the segment                             |
 * | 32 | end            | int64  | position after the last batch                                          |
 * | 40 | maxTimestampMs | int64  | of all                                                                 |
 * | 48 | marksBytes     | uint32 | bytes of the marks                                                     |
 * | 52 | detailsCrc     | uint32 | CRC-32C of the details                                                 |
 * | 56 | marks          |        | see below                                                              |
 * |    | details        |        | see below                                                              |
 *
 * Marks: a count u, then for every 64 KiB or so the base offset z and position u of a batch, each less those of the mark before, and the
 * max timestamp z up to the next mark. Details: the batches (count u, then of each its size u, the gap z between its base offset and the
 * end of the batch before, and its count of offsets u); the ordinals of batches whose keys cannot be read; the keys (count u, then of
 * each its length u, bytes and ordinals). Ordinals are a count u and then each less the one before, u.
 *
 * Marks are kept in memory while the segment is in use; details (which batch has which key) are read when a reader filters by key. An
 * index can always be made anew from the segment, so it is synced only when the segment is sealed.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { crc32c } from "@effectmq/bytes/Crc32c"
import { batchBaseOffset, batchCompression, batchEndOffset, batchMaxTimestampMs } from "@effectmq/schemas/record/RecordBatch"
import { RecordCursor } from "@effectmq/schemas/record/RecordCursor"

const blockHeaderSizeBytes = 56
const markBytes = 65536

/** Marks of a chunk: the batch at `positions[i]` has base offset `offsets[i]`; `maxTimestampsMs[i]` is of all up to the next mark. */
export interface Chunk {
  readonly firstOffset: number
  readonly endOffset: number
  readonly start: number
  readonly end: number
  readonly maxTimestampMs: number
  readonly offsets: ReadonlyArray<number>
  readonly positions: ReadonlyArray<number>
  readonly maxTimestampsMs: ReadonlyArray<number>
  /** Where the details lie in the index file; undefined where the index was lost. */
  readonly details: { readonly position: number; readonly sizeBytes: number; readonly crc: number } | undefined
}

export interface ChunkBatch {
  readonly position: number
  readonly sizeBytes: number
  readonly baseOffset: number
  readonly endOffset: number
}

export interface ChunkDetails {
  readonly batches: ReadonlyArray<ChunkBatch>
  /** Ordinals of batches whose keys cannot be read. */
  readonly unreadable: ReadonlyArray<number>
  readonly keys: ReadonlyArray<{ readonly key: Buffer; readonly ordinals: ReadonlyArray<number> }>
}

/** Whether two ranges hold the same bytes. */
const isSame = (bytes: Uint8Array, start: number, end: number, otherStart: number, otherEnd: number): boolean => {
  if (end - start !== otherEnd - otherStart) return false
  for (let at = start, other = otherStart; at < end; at++, other++) if (bytes[at] !== bytes[other]) return false
  return true
}

/** Gathers the batches of one chunk and encodes its block. */
export class ChunkBuilder {
  readonly #cursor = new RecordCursor()
  readonly #writer = new ByteWriter({ sizeBytes: 4096 })
  #batches: Array<number> = []
  #unreadable: Array<number> = []
  #ordinalsByKey = new Map<string, Array<number>>()
  #count = 0
  #start = 0
  #end = 0
  #firstOffset = 0
  #endOffset = 0
  #maxTimestampMs = 0
  #offsets: Array<number> = []
  #positions: Array<number> = []
  #maxTimestampsMs: Array<number> = []

  begin(position: number): void {
    this.#batches = []
    this.#unreadable = []
    this.#ordinalsByKey = new Map()
    this.#count = 0
    this.#start = position
    this.#end = position
    this.#maxTimestampMs = 0
    this.#offsets = []
    this.#positions = []
    this.#maxTimestampsMs = []
  }

  get sizeBytes(): number {
    return this.#end - this.#start
  }

  get count(): number {
    return this.#count
  }

  /** Adds the batch that begins at `at` of `bytes` and follows what was added before. */
  add(bytes: Uint8Array, at: number, sizeBytes: number, keys: "keys" | "none" = "keys"): void {
    const baseOffset = batchBaseOffset(bytes, at)
    const timestampMs = batchMaxTimestampMs(bytes, at)
    const ordinal = this.#count++
    if (ordinal === 0) {
      this.#firstOffset = baseOffset
      this.#endOffset = baseOffset
    }
    const last = this.#positions.length - 1
    if (last < 0 || this.#end - this.#positions[last] >= markBytes) {
      this.#offsets.push(baseOffset)
      this.#positions.push(this.#end)
      this.#maxTimestampsMs.push(timestampMs)
    } else this.#maxTimestampsMs[last] = Math.max(this.#maxTimestampsMs[last], timestampMs)
    this.#maxTimestampMs = Math.max(this.#maxTimestampMs, timestampMs)
    const endOffset = batchEndOffset(bytes, at)
    this.#batches.push(sizeBytes, baseOffset - this.#endOffset, endOffset - baseOffset)
    this.#endOffset = endOffset
    this.#end += sizeBytes
    if (keys === "keys") this.#addKeys(bytes, at, ordinal)
  }

  #addKeys(bytes: Uint8Array, at: number, ordinal: number): void {
    if (batchCompression(bytes, at) !== "none") {
      this.#unreadable.push(ordinal)
      return
    }
    const cursor = this.#cursor
    // Messages of one topic come in runs: a key that follows itself has been seen to.
    let lastStart = 0
    let lastEnd = -1
    try {
      cursor.reset(bytes, at)
      while (cursor.next()) {
        const { keyStart, keyEnd } = cursor
        if (keyEnd < keyStart || isSame(bytes, keyStart, keyEnd, lastStart, lastEnd)) continue
        lastStart = keyStart
        lastEnd = keyEnd
        const key = cursor.bytes.toString("latin1", keyStart, keyEnd)
        const ordinals = this.#ordinalsByKey.get(key)
        if (ordinals === undefined) this.#ordinalsByKey.set(key, [ordinal])
        else if (ordinals[ordinals.length - 1] !== ordinal) ordinals.push(ordinal)
      }
    } catch {
      this.#unreadable.push(ordinal)
    }
  }

  /** What is in memory of the chunk; its block begins at `position` of the index file (undefined: there is none). */
  chunk(position: number | undefined, block: Buffer | undefined): Chunk {
    const marksBytes = block?.readUInt32BE(48) ?? 0
    const detailsAt = blockHeaderSizeBytes + marksBytes
    return {
      firstOffset: this.#firstOffset,
      endOffset: this.#endOffset,
      start: this.#start,
      end: this.#end,
      maxTimestampMs: this.#maxTimestampMs,
      offsets: this.#offsets,
      positions: this.#positions,
      maxTimestampsMs: this.#maxTimestampsMs,
      details:
        block === undefined || position === undefined
          ? undefined
          : { position: position + detailsAt, sizeBytes: block.length - detailsAt, crc: block.readUInt32BE(52) }
    }
  }

  /** The block for the index file. */
  encode(): Buffer {
    const writer = this.#writer
    writer.reset(1 << 20)
    writer.zeros(8)
    writer.int64(this.#firstOffset)
    writer.int64(this.#endOffset)
    writer.int64(this.#start)
    writer.int64(this.#end)
    writer.int64(this.#maxTimestampMs)
    writer.zeros(8)
    writer.unsignedVarint(this.#offsets.length)
    let offset = this.#firstOffset
    let position = this.#start
    for (let index = 0; index < this.#offsets.length; index++) {
      writer.varlong(this.#offsets[index] - offset)
      writer.unsignedVarint(this.#positions[index] - position)
      writer.varlong(this.#maxTimestampsMs[index])
      offset = this.#offsets[index]
      position = this.#positions[index]
    }
    const detailsAt = writer.position
    this.#encodeDetails()
    const sizeBytes = writer.position
    writer.setUint32(4, sizeBytes)
    writer.setUint32(48, detailsAt - blockHeaderSizeBytes)
    writer.setUint32(52, crc32c(writer.buffer, detailsAt, sizeBytes))
    writer.setUint32(0, crc32c(writer.buffer, 4, detailsAt))
    return writer.copy()
  }

  #encodeDetails(): void {
    const writer = this.#writer
    writer.unsignedVarint(this.#count)
    for (let index = 0; index < this.#batches.length; index += 3) {
      writer.unsignedVarint(this.#batches[index])
      writer.varlong(this.#batches[index + 1])
      writer.unsignedVarint(this.#batches[index + 2])
    }
    this.#encodeOrdinals(this.#unreadable)
    writer.unsignedVarint(this.#ordinalsByKey.size)
    for (const [key, ordinals] of this.#ordinalsByKey) {
      writer.unsignedVarint(key.length)
      const at = writer.ensure(key.length)
      writer.position = at + writer.buffer.write(key, at, "latin1")
      this.#encodeOrdinals(ordinals)
    }
  }

  #encodeOrdinals(ordinals: ReadonlyArray<number>): void {
    this.#writer.unsignedVarint(ordinals.length)
    let previous = 0
    for (const ordinal of ordinals) {
      this.#writer.unsignedVarint(ordinal - previous)
      previous = ordinal
    }
  }
}

/**
 * The chunk whose block begins at `at` of an index file's bytes, and where the next begins; undefined where there is no whole block.
 */
export const decodeChunk = (bytes: Buffer, at: number): { readonly chunk: Chunk; readonly next: number } | undefined => {
  if (at + blockHeaderSizeBytes > bytes.length) return undefined
  const sizeBytes = bytes.readUInt32BE(at + 4)
  const marksEnd = at + blockHeaderSizeBytes + bytes.readUInt32BE(at + 48)
  if (at + sizeBytes > bytes.length || marksEnd > at + sizeBytes) return undefined
  if (bytes.readUInt32BE(at) !== crc32c(bytes, at + 4, marksEnd)) return undefined
  const reader = new ByteReader(bytes, at + 8, marksEnd)
  const [firstOffset, endOffset, start, end, maxTimestampMs] = [
    reader.int64(),
    reader.int64(),
    reader.int64(),
    reader.int64(),
    reader.int64()
  ]
  reader.skip(8)
  const offsets: Array<number> = []
  const positions: Array<number> = []
  const maxTimestampsMs: Array<number> = []
  let offset = firstOffset
  let position = start
  for (let count = reader.unsignedVarint(); count > 0; count--) {
    offset += reader.varlong()
    position += reader.unsignedVarint()
    offsets.push(offset)
    positions.push(position)
    maxTimestampsMs.push(reader.varlong())
  }
  const details = { position: marksEnd, sizeBytes: at + sizeBytes - marksEnd, crc: bytes.readUInt32BE(at + 52) }
  return {
    chunk: { firstOffset, endOffset, start, end, maxTimestampMs, offsets, positions, maxTimestampsMs, details },
    next: at + sizeBytes
  }
}

/** The details of a chunk out of their bytes; undefined where they are damaged. */
export const decodeDetails = (chunk: Chunk, bytes: Buffer): ChunkDetails | undefined => {
  if (chunk.details === undefined || bytes.length !== chunk.details.sizeBytes || crc32c(bytes) !== chunk.details.crc)
    return undefined
  const reader = new ByteReader(bytes)
  const batches: Array<ChunkBatch> = []
  let position = chunk.start
  let offset = chunk.firstOffset
  for (let count = reader.unsignedVarint(); count > 0; count--) {
    const sizeBytes = reader.unsignedVarint()
    const baseOffset = offset + reader.varlong()
    offset = baseOffset + reader.unsignedVarint()
    batches.push({ position, sizeBytes, baseOffset, endOffset: offset })
    position += sizeBytes
  }
  const ordinals = (): Array<number> => {
    const list: Array<number> = []
    let previous = 0
    for (let count = reader.unsignedVarint(); count > 0; count--) list.push((previous += reader.unsignedVarint()))
    return list
  }
  const unreadable = ordinals()
  const keys: Array<{ key: Buffer; ordinals: Array<number> }> = []
  for (let count = reader.unsignedVarint(); count > 0; count--)
    keys.push({ key: reader.bytes(reader.unsignedVarint()), ordinals: ordinals() })
  return { batches, unreadable, keys }
}
