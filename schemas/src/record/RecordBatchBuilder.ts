/**
 * Gathers records into one v2 batch, encoding each straight into a growing slab. Reusable; one batch at a time.
 *
 * Invariant: what `finish` returned is never written to again by the builder.
 */
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { BytesError } from "@effectmq/bytes/BytesError"
import { copyBytes } from "@effectmq/bytes/CopyBytes"
import { utf8SizeBytes, writeUtf8 } from "@effectmq/bytes/Utf8"
import { varintSizeBytes, varlongSizeBytes, writeVarint, writeVarlong } from "@effectmq/bytes/Varint"
import { batchHeaderSizeBytes, batchMagic, sealBatch } from "./RecordBatch.js"
import { type EncodedHeaders, encodeHeaders, noHeaders, type RecordHeader } from "./RecordHeaders.js"

export interface RecordBatchBuilderOptions {
  /** First size of the slab. */
  readonly sizeBytes?: number
  /** Most bytes a batch may have; a record that would pass it throws `BytesError` and leaves the batch as it was. */
  readonly sizeBytesMax?: number
}

export interface FinishOptions {
  readonly baseOffset?: number
  readonly partitionLeaderEpoch?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
}

const dataSizeBytes = (data: Uint8Array | string | undefined): number =>
  data === undefined ? -1 : typeof data === "string" ? utf8SizeBytes(data) : data.length

export class RecordBatchBuilder {
  /** Records gathered. */
  count = 0
  #writer: ByteWriter
  #slabSizeBytes: number
  #sizeBytesMax: number
  #baseTimestampMs = 0
  #maxTimestampMs = 0
  /** The key before, and its size. */
  #key: Uint8Array | string | undefined = undefined
  #keySizeBytes = -1

  constructor(options: RecordBatchBuilderOptions = {}) {
    this.#slabSizeBytes = Math.max(options.sizeBytes ?? 16384, 256)
    this.#sizeBytesMax = options.sizeBytesMax ?? 0x7fffffff
    this.#writer = new ByteWriter({ sizeBytes: this.#slabSizeBytes })
    this.#writer.position = batchHeaderSizeBytes
  }

  /** Of the batch as it is, header and all. */
  get sizeBytes(): number {
    return this.#writer.position
  }

  /** Adds a record and returns its offset within the batch. A text key is stored as UTF-8; undefined is null. */
  append(
    timestampMs: number,
    key: Uint8Array | string | undefined,
    value: Uint8Array | undefined,
    headers: ReadonlyArray<RecordHeader> | EncodedHeaders = noHeaders
  ): number {
    return value === undefined
      ? this.#append(timestampMs, key, undefined, 0, -1, headers)
      : this.#append(timestampMs, key, value, 0, value.length, headers)
  }

  /** The same with the value in `bytes[start, end)`, which need not be cut out first. */
  appendRange(
    timestampMs: number,
    key: Uint8Array | string | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    headers: ReadonlyArray<RecordHeader> | EncodedHeaders = noHeaders
  ): number {
    return this.#append(timestampMs, key, bytes, start, end, headers)
  }

  #append(
    timestampMs: number,
    key: Uint8Array | string | undefined,
    value: Uint8Array | undefined,
    start: number,
    end: number,
    headers: ReadonlyArray<RecordHeader> | EncodedHeaders
  ): number {
    const headerBytes = headers instanceof Uint8Array ? headers : encodeHeaders(headers)
    const offsetDelta = this.count
    const timestampDelta = offsetDelta === 0 ? 0 : timestampMs - this.#baseTimestampMs
    // Keys recur, one after the other.
    if (key !== this.#key) {
      this.#key = key
      this.#keySizeBytes = dataSizeBytes(key)
    }
    const keySize = this.#keySizeBytes
    const valueSize = end - start
    const bodySize =
      1 +
      varlongSizeBytes(timestampDelta) +
      varintSizeBytes(offsetDelta) +
      varintSizeBytes(keySize) +
      Math.max(keySize, 0) +
      varintSizeBytes(valueSize) +
      Math.max(valueSize, 0) +
      headerBytes.length
    const writer = this.#writer
    const recordSize = varintSizeBytes(bodySize) + bodySize
    if (writer.position + recordSize > this.#sizeBytesMax) {
      throw new BytesError(`record of ${recordSize} bytes does not fit a batch of at most ${this.#sizeBytesMax}`)
    }
    let at = writer.ensure(recordSize)
    const target = writer.buffer
    at = writeVarint(target, at, bodySize)
    target[at++] = 0
    at = writeVarlong(target, at, timestampDelta)
    at = writeVarint(target, at, offsetDelta)
    at = writeVarint(target, at, keySize)
    if (typeof key === "string") at = writeUtf8(target, at, key, keySize)
    else if (key !== undefined) at = copyBytes(target, at, key, 0, keySize)
    at = writeVarint(target, at, valueSize)
    if (value !== undefined) at = copyBytes(target, at, value, start, end)
    writer.position = copyBytes(target, at, headerBytes, 0, headerBytes.length)
    if (offsetDelta === 0) {
      this.#baseTimestampMs = timestampMs
      this.#maxTimestampMs = timestampMs
    } else if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
    this.count = offsetDelta + 1
    return offsetDelta
  }

  /** The batch, given away; the builder is empty again. There must be at least one record. */
  finish(options: FinishOptions = {}): Buffer {
    if (this.count === 0) throw new Error("a batch needs a record")
    const writer = this.#writer
    const end = writer.position
    writer.position = 0
    writer.int64(options.baseOffset ?? 0)
    writer.uint32(0)
    writer.uint32(options.partitionLeaderEpoch ?? -1)
    writer.uint8(batchMagic)
    writer.uint32(0)
    writer.uint16(0)
    writer.uint32(this.count - 1)
    writer.int64(this.#baseTimestampMs)
    writer.int64(this.#maxTimestampMs)
    writer.int64(options.producerId ?? -1)
    writer.uint16(options.producerEpoch ?? -1)
    writer.uint32(options.baseSequence ?? -1)
    writer.uint32(this.count)
    const slab = writer.buffer
    sealBatch(slab, 0, end, this.count)
    this.count = 0
    // A slab that is nearly full is handed over, one that is nearly empty copied from. The next batch may be as large as this one.
    if (end > slab.length * 0.75) {
      const batch = slab.subarray(0, end)
      this.#writer = new ByteWriter({ sizeBytes: Math.max(this.#slabSizeBytes, Math.ceil(end * 1.25)) })
      this.#writer.position = batchHeaderSizeBytes
      return batch
    }
    const batch = Buffer.allocUnsafe(end)
    slab.copy(batch, 0, 0, end)
    this.#reset(end * 2)
    return batch
  }

  /** Drops what was gathered. A slab that grew far over its first size is let go. */
  clear(): void {
    this.count = 0
    this.#reset(0)
  }

  #reset(keepBytesMax: number): void {
    this.#key = undefined
    this.#keySizeBytes = -1
    this.#writer.reset(Math.max(this.#slabSizeBytes * 4, keepBytesMax))
    this.#writer.position = batchHeaderSizeBytes
  }
}
