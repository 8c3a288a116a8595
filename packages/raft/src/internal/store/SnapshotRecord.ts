/**
 * The rows of a snapshot. Frozen: `schemas/golden/raft-snapshot-record-1.bin`, `raft-snapshot-chunk-1.bin`.
 *
 *     meta  = format (u8, 1) | SnapshotMetaBytes | checksum (u32)
 *     chunk = data | checksum (u32)
 *
 * Both checksums are CRC-32C and go on from the one of the store's id; a chunk's begins with the snapshot's id and its own number
 * (u32 each), so that no chunk passes for another.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { BytesError } from "@effectmq/bytes/BytesError"
import { crc32c } from "@effectmq/bytes/Crc32c"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { readSnapshotMeta, writeSnapshotMeta } from "@effectmq/schemas/raft/SnapshotMetaBytes"

const format = 1

export const encodeSnapshotMeta = (start: number, snapshot: SnapshotMeta): Buffer => {
  const writer = new ByteWriter()
  writer.uint8(format)
  writeSnapshotMeta(writer, snapshot)
  writer.uint32(crc32c(writer.buffer, 0, writer.position, start))
  return writer.copy()
}

/** Or in words what is wrong with it. */
export const decodeSnapshotMeta = (content: Uint8Array, start: number): SnapshotMeta | string => {
  const end = content.length - 4
  if (end < 1) return "is too short"
  if (crc32c(content, 0, end, start) !== new ByteReader(content, end).uint32()) return "does not match its checksum"
  try {
    const reader = new ByteReader(content, 0, end)
    const found = reader.uint8()
    if (found !== format) return `has the unknown form ${found}`
    const snapshot = readSnapshotMeta(reader)
    return reader.remaining > 0 ? "goes on behind its end" : snapshot
  } catch (error) {
    if (error instanceof BytesError) return error.message
    throw error
  }
}

const chunkChecksum = (data: Uint8Array, end: number, start: number, snapshotId: number, chunk: number): number => {
  const place = Buffer.allocUnsafe(8)
  place.writeUInt32BE(snapshotId >>> 0, 0)
  place.writeUInt32BE(chunk, 4)
  return crc32c(data, 0, end, crc32c(place, 0, 8, start))
}

export const encodeChunk = (start: number, snapshotId: number, chunk: number, data: Uint8Array): Buffer => {
  const content = Buffer.allocUnsafe(data.length + 4)
  content.set(data)
  content.writeUInt32BE(chunkChecksum(content, data.length, start, snapshotId, chunk), data.length)
  return content
}

/** The data, not copied; undefined where it does not match its checksum. */
export const decodeChunk = (content: Uint8Array, start: number, snapshotId: number, chunk: number): Uint8Array | undefined => {
  const end = content.length - 4
  if (end < 0) return undefined
  const matches = chunkChecksum(content, end, start, snapshotId, chunk) === new ByteReader(content, end).uint32()
  return matches ? content.subarray(0, end) : undefined
}
