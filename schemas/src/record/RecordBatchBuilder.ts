/**
 * Gathers records into one v2 batch, encoding each straight into a growing slab. Reusable; one batch at a time.
 *
 * Invariant: what `finish` returned is never written to again by the builder.
 */
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { BytesError } from "@effectmq/bytes/BytesError"
import { varintSizeBytes, varlongSizeBytes } from "@effectmq/bytes/Varint"
import { batchHeaderSizeBytes, batchMagic, sealBatch } from "./RecordBatch.js"

/** A header's value: bytes, text (stored as UTF-8), or null. */
export interface RecordHeader {
  readonly name: string
  readonly value: Uint8Array | string | undefined
}

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

const noHeaders: ReadonlyArray<RecordHeader> = []

const utf8SizeBytes = (text: string): number => {
  const length = text.length
  if (length > 48) return Buffer.byteLength(text)
  for (let index = 0; index < length; index++) if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text)
  return length
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
    headers: ReadonlyArray<RecordHeader> = noHeaders
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
    headers: ReadonlyArray<RecordHeader> = noHeaders
  ): number {
    return this.#append(timestampMs, key, bytes, start, end, headers)
  }

  #append(
    timestampMs: number,
    key: Uint8Array | string | undefined,
    value: Uint8Array | undefined,
    start: number,
    end: number,
    headers: ReadonlyArray<RecordHeader>
  ): number {
    const offsetDelta = this.count
    const timestampDelta = offsetDelta === 0 ? 0 : timestampMs - this.#baseTimestampMs
    const keySize = dataSizeBytes(key)
    const valueSize = end - start
    let bodySize =
      1 +
      varlongSizeBytes(timestampDelta) +
      varintSizeBytes(offsetDelta) +
      varintSizeBytes(keySize) +
      Math.max(keySize, 0) +
      varintSizeBytes(valueSize) +
      Math.max(valueSize, 0) +
      varintSizeBytes(headers.length)
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index]
      const nameSize = utf8SizeBytes(header.name)
      const size = dataSizeBytes(header.value)
      bodySize += varintSizeBytes(nameSize) + nameSize + varintSizeBytes(size) + Math.max(size, 0)
    }
    const writer = this.#writer
    const recordSize = varintSizeBytes(bodySize) + bodySize
    if (writer.position + recordSize > this.#sizeBytesMax) {
      throw new BytesError(`record of ${recordSize} bytes does not fit a batch of at most ${this.#sizeBytesMax}`)
    }
    writer.ensure(recordSize)
    writer.varint(bodySize)
    writer.uint8(0)
    writer.varlong(timestampDelta)
    writer.varint(offsetDelta)
    this.#data(key, keySize)
    writer.varint(valueSize)
    if (value !== undefined) writer.bytes(value, start, end)
    writer.varint(headers.length)
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index]
      writer.varint(utf8SizeBytes(header.name))
      writer.utf8(header.name)
      this.#data(header.value, dataSizeBytes(header.value))
    }
    if (offsetDelta === 0) {
      this.#baseTimestampMs = timestampMs
      this.#maxTimestampMs = timestampMs
    } else if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
    this.count = offsetDelta + 1
    return offsetDelta
  }

  #data(data: Uint8Array | string | undefined, size: number): void {
    this.#writer.varint(size)
    if (typeof data === "string") this.#writer.utf8(data)
    else if (data !== undefined) this.#writer.bytes(data)
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
    // A slab that is nearly full is handed over, one that is nearly empty copied from.
    if (end > slab.length * 0.75) {
      const batch = slab.subarray(0, end)
      this.#writer = new ByteWriter({ sizeBytes: this.#slabSizeBytes })
      this.#writer.position = batchHeaderSizeBytes
      return batch
    }
    const batch = Buffer.allocUnsafe(end)
    slab.copy(batch, 0, 0, end)
    this.clear()
    return batch
  }

  /** Drops what was gathered. A slab that grew far over its first size is let go. */
  clear(): void {
    this.count = 0
    this.#writer.reset(this.#slabSizeBytes * 4)
    this.#writer.position = batchHeaderSizeBytes
  }
}
