/**
 * Walks the records of a v2 batch without making an object for each: the cursor's fields are the record it stands on.
 *
 * The batch's checksum is the business of whoever took it in (`validateBatch`). What lies inside is checked on the way: a batch that
 * does not hold what its header says throws `BytesError`, and so does a compressed one.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { BytesError } from "@effectmq/bytes/BytesError"
import {
  batchBaseOffset,
  batchBaseTimestampMs,
  batchCompression,
  batchHeaderSizeBytes,
  batchRecordCount,
  batchSizeBytes
} from "./RecordBatch.js"

export interface ReadHeader {
  readonly name: string
  /** Lent: a range of the batch. */
  readonly value: Buffer | undefined
}

export class RecordCursor {
  offset = 0
  timestampMs = 0
  /** Where the record begins in `bytes`, its length field included. */
  start = 0
  /** Where the record ends. */
  end = 0
  keyStart = 0
  /** Below `keyStart` where the key is null. */
  keyEnd = -1
  valueStart = 0
  /** Below `valueStart` where the value is null. */
  valueEnd = -1
  headerCount = 0
  #headersStart = 0
  #reader = new ByteReader()
  #end = 0
  #left = 0
  #baseOffset = 0
  #baseTimestampMs = 0

  constructor(bytes?: Uint8Array, start = 0) {
    if (bytes !== undefined) this.reset(bytes, start)
  }

  get bytes(): Buffer {
    return this.#reader.buffer
  }

  /** Stands before the first record of the batch that begins at `start`. */
  reset(bytes: Uint8Array, start = 0): this {
    if (bytes.length - start < batchHeaderSizeBytes) throw new BytesError("a batch has at least 61 bytes")
    const compression = batchCompression(bytes, start)
    if (compression !== "none") throw new BytesError(`records of a batch with compression ${compression} cannot be read here`)
    this.#end = start + batchSizeBytes(bytes, start)
    this.#reader.reset(bytes, start + batchHeaderSizeBytes, this.#end)
    this.#left = batchRecordCount(bytes, start)
    this.#baseOffset = batchBaseOffset(bytes, start)
    this.#baseTimestampMs = batchBaseTimestampMs(bytes, start)
    return this
  }

  /** Moves to the next record; false where there is none. */
  next(): boolean {
    const reader = this.#reader
    if (this.#left === 0) {
      if (reader.end !== this.#end || reader.position !== this.#end)
        throw new BytesError("bytes after the last record of a batch")
      return false
    }
    this.#left--
    this.start = reader.position
    const size = reader.varint()
    const bodyStart = reader.skip(size)
    this.end = bodyStart + size
    reader.position = bodyStart
    reader.end = this.end
    try {
      reader.skip(1)
      this.timestampMs = this.#baseTimestampMs + reader.varlong()
      this.offset = this.#baseOffset + reader.varint()
      const keySize = reader.varint()
      this.keyStart = keySize < 0 ? reader.position : reader.skip(keySize)
      this.keyEnd = keySize < 0 ? -1 : reader.position
      const valueSize = reader.varint()
      this.valueStart = valueSize < 0 ? reader.position : reader.skip(valueSize)
      this.valueEnd = valueSize < 0 ? -1 : reader.position
      this.headerCount = reader.varint()
      this.#headersStart = reader.position
      if (this.headerCount < 0 || this.headerCount * 2 > reader.remaining)
        throw new BytesError(`${this.headerCount} headers in a record`)
      if (this.headerCount === 0 && reader.remaining !== 0) throw new BytesError("bytes after the last header of a record")
    } finally {
      reader.end = this.#end
    }
    reader.position = this.end
    return true
  }

  /** The key, lent: a range of the batch; undefined where it is null. */
  get key(): Buffer | undefined {
    return this.keyEnd < this.keyStart ? undefined : this.bytes.subarray(this.keyStart, this.keyEnd)
  }

  /** The value, lent: a range of the batch; undefined where it is null. */
  get value(): Buffer | undefined {
    return this.valueEnd < this.valueStart ? undefined : this.bytes.subarray(this.valueStart, this.valueEnd)
  }

  /** Decodes the headers of the record the cursor stands on. */
  headers(): ReadonlyArray<ReadHeader> {
    const headers: Array<ReadHeader> = []
    if (this.headerCount === 0) return headers
    const reader = new ByteReader(this.bytes, this.#headersStart, this.end)
    for (let index = 0; index < this.headerCount; index++) {
      const name = reader.utf8(reader.varint())
      const size = reader.varint()
      headers.push({ name, value: size < 0 ? undefined : reader.bytes(size) })
    }
    if (reader.remaining !== 0) throw new BytesError("bytes after the last header of a record")
    return headers
  }
}

/**
 * Visits the records of the batch that begins at `start`. The cursor given to `visit` is the same each time; returning false ends
 * the walk. Throws `BytesError` for a compressed batch and for one that does not hold what its header says.
 */
export const forEachRecord = (batch: Uint8Array, visit: (record: RecordCursor) => boolean | void, start = 0): void => {
  const cursor = new RecordCursor(batch, start)
  while (cursor.next()) if (visit(cursor) === false) return
}
