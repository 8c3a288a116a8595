/**
 * How the write-ahead log lies in its files. Integers are big-endian; frames begin at multiples of eight bytes.
 *
 * A file begins with 64 bytes:
 *
 * | at | field       | type   | meaning                                                                       |
 * | -- | ----------- | ------ | ----------------------------------------------------------------------------- |
 * |  0 | magic       | 8      | `EMQWAL01`                                                                    |
 * |  8 | sequence    | int64  | which part of the log this is; 0: none, the file is spare                     |
 * | 16 | salt        | uint32 | random; frames of another life of the file carry another                      |
 * | 20 | previousEnd | uint32 | where the frames of the file before end                                       |
 * | 24 | crc         | uint32 | CRC-32C of the 24 bytes before                                                |
 * | 32 |             | 28     | the same once more, in case the first is damaged                              |
 *
 * A frame:
 *
 * | at | field    | type   | meaning                                                                          |
 * | -- | -------- | ------ | -------------------------------------------------------------------------------- |
 * |  0 | crc      | uint32 | CRC-32C of bytes 4 to 24 and of the payload, of a batch only its first 21 bytes   |
 * |  4 | size     | uint32 | bytes of the payload                                                             |
 * |  8 | salt     | uint32 | the file's                                                                       |
 * | 12 | shard    | uint32 | number of the shard                                                              |
 * | 16 | durable  | uint32 | the position up to which this file was synced when the frame was written         |
 * | 20 | kind     | uint8  | see `frameKind`; three zero bytes follow                                         |
 * | 24 | payload  |        | padded with zeros to a multiple of eight                                         |
 *
 * The rest of a batch is covered by the batch's own checksum. Files are reused without wiping them; what an earlier life left carries
 * another salt. `durable` tells a torn tail from damage: a bad frame before the `durable` of a later good one was once whole.
 */
import { crc32c } from "@effectmq/bytes/Crc32c"
import { batchLayout, validateBatch } from "@effectmq/schemas/record/RecordBatch"

export const walHeaderSizeBytes = 64
export const frameHeaderSizeBytes = 24
const walMagic = "EMQWAL01"
const secondHeaderAt = 32

/**
 * `batch`: a record batch. `created`: the shard's name in UTF-8. `removed`: nothing. `trimmed`: the new start offset, int64.
 * `mark`: nothing; written when the log falls silent, so that the last batches too are known to have been synced.
 */
export const frameKind = { batch: 1, created: 2, removed: 3, trimmed: 4, mark: 5 } as const
export type FrameKind = (typeof frameKind)[keyof typeof frameKind]

export interface WalHeader {
  readonly sequence: number
  readonly salt: number
  readonly previousEnd: number
}

export const alignFrame = (sizeBytes: number): number => (sizeBytes + 7) & ~7

/** Bytes a frame takes in the file. */
export const frameSizeBytes = (payloadBytes: number): number => alignFrame(frameHeaderSizeBytes + payloadBytes)

export const encodeWalHeader = (header: WalHeader): Buffer => {
  const bytes = Buffer.alloc(walHeaderSizeBytes)
  bytes.write(walMagic, "latin1")
  bytes.writeBigInt64BE(BigInt(header.sequence), 8)
  bytes.writeUInt32BE(header.salt, 16)
  bytes.writeUInt32BE(header.previousEnd, 20)
  bytes.writeUInt32BE(crc32c(bytes, 0, 24), 24)
  bytes.copy(bytes, secondHeaderAt, 0, 28)
  return bytes
}

/** The header of a file; undefined where there is none, or a damaged one. */
export const decodeWalHeader = (bytes: Buffer): WalHeader | undefined => {
  if (bytes.length < walHeaderSizeBytes) return undefined
  for (const at of [0, secondHeaderAt]) {
    if (bytes.toString("latin1", at, at + 8) !== walMagic || bytes.readUInt32BE(at + 24) !== crc32c(bytes, at, at + 24)) continue
    return {
      sequence: Number(bytes.readBigInt64BE(at + 8)),
      salt: bytes.readUInt32BE(at + 16),
      previousEnd: bytes.readUInt32BE(at + 20)
    }
  }
  return undefined
}

const coveredBytes = (kind: number, payloadBytes: number): number =>
  kind === frameKind.batch ? Math.min(payloadBytes, batchLayout.attributes) : payloadBytes

const putUint32 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

export interface FrameFields {
  readonly kind: FrameKind
  readonly shardNumber: number
  readonly payload: Uint8Array
}

/** Writes the 24 bytes before a payload. */
export const writeFrameHeader = (target: Uint8Array, at: number, frame: FrameFields, salt: number, durable: number): void => {
  const payload = frame.payload
  putUint32(target, at + 4, payload.length)
  putUint32(target, at + 8, salt)
  putUint32(target, at + 12, frame.shardNumber)
  putUint32(target, at + 16, durable)
  putUint32(target, at + 20, frame.kind << 24)
  const crc = crc32c(target, at + 4, at + frameHeaderSizeBytes)
  putUint32(target, at, crc32c(payload, 0, coveredBytes(frame.kind, payload.length), crc))
}

/** Size of the payload of the frame at `at`; -1 where its header or what its checksum covers is not whole. */
const checkFrame = (bytes: Buffer, at: number, salt: number): number => {
  if (at + frameHeaderSizeBytes > bytes.length || bytes.readUInt32BE(at + 8) !== salt) return -1
  const size = bytes.readUInt32BE(at + 4)
  const start = at + frameHeaderSizeBytes
  if (start + size > bytes.length) return -1
  const crc = crc32c(bytes, at + 4, start)
  return bytes.readUInt32BE(at) === crc32c(bytes, start, start + coveredBytes(bytes[at + 20], size), crc) ? size : -1
}

export interface WalScan {
  /** Where the good frames end. */
  readonly end: number
  /** Where a frame is damaged that was once synced; undefined where all that is missing was never synced. */
  readonly damagedAt: number | undefined
}

/**
 * Visits the frames of a file in order, up to the first bad one.
 *
 * `end` is where they must end when the next file says so; undefined for the last file.
 */
export const scanWal = (
  bytes: Buffer,
  header: WalHeader,
  end: number | undefined,
  visit: (kind: number, shardNumber: number, payloadStart: number, payloadEnd: number) => void
): WalScan => {
  const limit = end ?? bytes.length
  let at = walHeaderSizeBytes
  while (at < limit) {
    const size = checkFrame(bytes, at, header.salt)
    if (size < 0) break
    const start = at + frameHeaderSizeBytes
    const kind = bytes[at + 20]
    if (kind === frameKind.batch && validateBatch(bytes, start, start + size, "stored") !== undefined) break
    visit(kind, bytes.readUInt32BE(at + 12), start, start + size)
    at += frameSizeBytes(size)
  }
  if (end !== undefined) return { end: at, damagedAt: at === end ? undefined : at }
  for (let later = at + 8; later + frameHeaderSizeBytes <= bytes.length; later += 8) {
    if (bytes.readUInt32BE(later + 8) !== header.salt || bytes.readUInt32BE(later + 16) <= at) continue
    if (checkFrame(bytes, later, header.salt) >= 0) return { end: at, damagedAt: at }
  }
  return { end: at, damagedAt: undefined }
}
