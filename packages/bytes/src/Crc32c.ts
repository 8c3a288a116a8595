/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), the checksum of record batches and log frames.
 *
 * Short ranges are done here eight bytes at a time; longer ones by the native code, whose call costs more than it saves below
 * about 256 bytes.
 */
import { crc32c as crc32cNative } from "@node-rs/crc32"

const nativeBytesMin = 256

/** Eight tables of 256 entries: `tables[256 * k + b]` is the checksum of byte b followed by k zero bytes. */
const tables = new Int32Array(8 * 256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  tables[byte] = crc
}
for (let index = 256; index < tables.length; index++) {
  const previous = tables[index - 256]
  tables[index] = (previous >>> 8) ^ tables[previous & 0xff]
}

/**
 * The checksum of `bytes[start, end)` as an unsigned 32-bit number.
 *
 * `previous` is the checksum of what comes before the range, so that a text can be summed in pieces.
 */
export const crc32c = (bytes: Uint8Array, start = 0, end = bytes.length, previous = 0): number =>
  end - start > nativeBytesMin
    ? crc32cNative(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), previous)
    : crc32cSliced(bytes, start, end, previous)

/** The same without native code. */
export const crc32cSliced = (bytes: Uint8Array, start = 0, end = bytes.length, previous = 0): number => {
  let crc = ~previous
  let at = start
  for (const last = end - 8; at <= last; at += 8) {
    const low = crc ^ (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24))
    crc =
      tables[1792 + (low & 0xff)] ^
      tables[1536 + ((low >>> 8) & 0xff)] ^
      tables[1280 + ((low >>> 16) & 0xff)] ^
      tables[1024 + (low >>> 24)] ^
      tables[768 + bytes[at + 4]] ^
      tables[512 + bytes[at + 5]] ^
      tables[256 + bytes[at + 6]] ^
      tables[bytes[at + 7]]
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]) & 0xff]
  return ~crc >>> 0
}
