/**
 * What a shard stores: Kafka's record batch, layout version 2. This file knows the batch; `RecordBatchBuilder` writes one,
 * `RecordCursor` reads its records.
 *
 * | at | field                | type   | meaning                                                        |
 * | -- | -------------------- | ------ | -------------------------------------------------------------- |
 * |  0 | baseOffset           | int64  | offset of the first record; given by the shard                 |
 * |  8 | batchLength          | int32  | bytes that follow this field                                   |
 * | 12 | partitionLeaderEpoch | int32  | epoch of the owner that appended it; -1 unknown                |
 * | 16 | magic                | int8   | 2                                                              |
 * | 17 | crc                  | uint32 | CRC-32C of everything from attributes on                       |
 * | 21 | attributes           | int16  | bits 0-2 compression, 3 log-append time, 4 transactional, 5 control |
 * | 23 | lastOffsetDelta      | int32  | offset of the last record, less baseOffset                     |
 * | 27 | baseTimestamp        | int64  | ms since 1970 of the first record                              |
 * | 35 | maxTimestamp         | int64  | ms, the greatest of the batch                                  |
 * | 43 | producerId           | int64  | -1 none                                                        |
 * | 51 | producerEpoch        | int16  | -1 none                                                        |
 * | 53 | baseSequence         | int32  | -1 none                                                        |
 * | 57 | recordCount          | int32  | records that follow; after compaction fewer than offsets       |
 * | 61 | records              |        | one after another, compressed as a whole where attributes say  |
 *
 * A record: length varint, attributes int8 (0), timestampDelta varlong, offsetDelta varint, key, value, headerCount varint,
 * headers. A key or value is a varint length (-1: null) and its bytes; a header is a name (varint length, UTF-8) and a value.
 *
 * Invariant: baseOffset and partitionLeaderEpoch lie outside the checksum, so a shard sets them in place.
 */
import { crc32c } from "@effectmq/bytes/Crc32c"

export const batchHeaderSizeBytes = 61
/** Bytes before the part that `batchLength` counts. */
export const batchLengthEnd = 12
export const batchMagic = 2

export const batchLayout = {
  baseOffset: 0,
  batchLength: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57
} as const

/** How the records of a batch are compressed; only `none` is written today. */
export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd" | "unknown"
const compressions: ReadonlyArray<Compression> = ["none", "gzip", "snappy", "lz4", "zstd", "unknown", "unknown", "unknown"]

export interface BatchHeader {
  readonly baseOffset: number
  /** Of the whole batch, header and all. */
  readonly sizeBytes: number
  readonly partitionLeaderEpoch: number
  readonly magic: number
  readonly crc: number
  readonly compression: Compression
  readonly transactional: boolean
  readonly control: boolean
  readonly lastOffsetDelta: number
  readonly baseTimestampMs: number
  readonly maxTimestampMs: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

const int16 = (bytes: Uint8Array, at: number): number => (((bytes[at] << 8) | bytes[at + 1]) << 16) >> 16

const int32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]

const int64 = (bytes: Uint8Array, at: number): number => int32(bytes, at) * 0x100000000 + (int32(bytes, at + 4) >>> 0)

const putInt32 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

const putInt64 = (bytes: Uint8Array, at: number, value: number): void => {
  putInt32(bytes, at, Math.floor(value / 0x100000000))
  putInt32(bytes, at + 4, value % 0x100000000)
}

/** Size in bytes of the batch that begins at `at`; at least its first 12 bytes must be there. */
export const batchSizeBytes = (bytes: Uint8Array, at = 0): number => int32(bytes, at + batchLayout.batchLength) + batchLengthEnd

export const batchBaseOffset = (bytes: Uint8Array, at = 0): number => int64(bytes, at + batchLayout.baseOffset)

/** One past the last offset of the batch. */
export const batchEndOffset = (bytes: Uint8Array, at = 0): number =>
  int64(bytes, at + batchLayout.baseOffset) + int32(bytes, at + batchLayout.lastOffsetDelta) + 1

export const batchLastOffsetDelta = (bytes: Uint8Array, at = 0): number => int32(bytes, at + batchLayout.lastOffsetDelta)

export const batchRecordCount = (bytes: Uint8Array, at = 0): number => int32(bytes, at + batchLayout.recordCount)

export const batchBaseTimestampMs = (bytes: Uint8Array, at = 0): number => int64(bytes, at + batchLayout.baseTimestamp)

export const batchMaxTimestampMs = (bytes: Uint8Array, at = 0): number => int64(bytes, at + batchLayout.maxTimestamp)

export const batchCompression = (bytes: Uint8Array, at = 0): Compression =>
  compressions[bytes[at + batchLayout.attributes + 1] & 7]

/** The header of the batch that begins at `at`; its 61 bytes must be there, nothing is checked. */
export const readBatchHeader = (bytes: Uint8Array, at = 0): BatchHeader => {
  const attributes = int16(bytes, at + batchLayout.attributes)
  return {
    baseOffset: batchBaseOffset(bytes, at),
    sizeBytes: batchSizeBytes(bytes, at),
    partitionLeaderEpoch: int32(bytes, at + batchLayout.partitionLeaderEpoch),
    magic: bytes[at + batchLayout.magic],
    crc: int32(bytes, at + batchLayout.crc) >>> 0,
    compression: compressions[attributes & 7],
    transactional: (attributes & 0x10) !== 0,
    control: (attributes & 0x20) !== 0,
    lastOffsetDelta: batchLastOffsetDelta(bytes, at),
    baseTimestampMs: batchBaseTimestampMs(bytes, at),
    maxTimestampMs: batchMaxTimestampMs(bytes, at),
    producerId: int64(bytes, at + batchLayout.producerId),
    producerEpoch: int16(bytes, at + batchLayout.producerEpoch),
    baseSequence: int32(bytes, at + batchLayout.baseSequence),
    recordCount: batchRecordCount(bytes, at)
  }
}

export const setBaseOffset = (batch: Uint8Array, offset: number, at = 0): void =>
  putInt64(batch, at + batchLayout.baseOffset, offset)

export const setPartitionLeaderEpoch = (batch: Uint8Array, epoch: number, at = 0): void =>
  putInt32(batch, at + batchLayout.partitionLeaderEpoch, epoch)

/** Why a batch is not accepted. `short`: bytes are missing or left over. `count`: offsets and records do not agree. */
export type BatchProblem = "short" | "magic" | "crc" | "count"

/**
 * What is wrong with the batch in `bytes[start, end)`, which must fill that range exactly; undefined: nothing.
 *
 * `stored` also accepts what compaction left: fewer records than offsets.
 */
export const validateBatch = (
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
  kind: "fresh" | "stored" = "fresh"
): BatchProblem | undefined => {
  if (end - start < batchHeaderSizeBytes || batchSizeBytes(bytes, start) !== end - start) return "short"
  if (bytes[start + batchLayout.magic] !== batchMagic) return "magic"
  const crc = int32(bytes, start + batchLayout.crc) >>> 0
  if (crc !== crc32c(bytes, start + batchLayout.attributes, end)) return "crc"
  const offsets = batchLastOffsetDelta(bytes, start) + 1
  const records = batchRecordCount(bytes, start)
  if (records < 1 || (kind === "fresh" ? offsets !== records : offsets < records)) return "count"
  return undefined
}

/** Computes and sets length, record count and checksum of a batch whose other fields and records are in place. */
export const sealBatch = (batch: Uint8Array, start: number, end: number, recordCount: number): void => {
  putInt32(batch, start + batchLayout.batchLength, end - start - batchLengthEnd)
  putInt32(batch, start + batchLayout.recordCount, recordCount)
  putInt32(batch, start + batchLayout.crc, crc32c(batch, start + batchLayout.attributes, end))
}
