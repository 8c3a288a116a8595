/**
 * Reads numbers, varints, strings and ranges out of a byte array, big-endian.
 *
 * Every read checks the end first and throws `BytesError`; nothing is ever read past `end`. Reuse one reader by `reset`.
 */
import { BytesError } from "./BytesError.js"

const empty = Buffer.alloc(0)

export class ByteReader {
  buffer: Buffer = empty
  position = 0
  end = 0

  constructor(bytes?: Uint8Array, start = 0, end?: number) {
    if (bytes !== undefined) this.reset(bytes, start, end)
  }

  reset(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (start < 0 || end > bytes.length || start > end) throw new BytesError(`range ${start} to ${end} of ${bytes.length} bytes`)
    this.position = start
    this.end = end
    return this
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Moves over `count` bytes and returns where they began. */
  skip(count: number): number {
    const at = this.position
    if (count < 0 || count > this.end - at) throw new BytesError(`${count} bytes wanted at ${at}, ${this.end - at} left`)
    this.position = at + count
    return at
  }

  uint8(): number {
    return this.buffer[this.skip(1)]
  }

  int8(): number {
    return (this.uint8() << 24) >> 24
  }

  uint16(): number {
    const at = this.skip(2)
    return (this.buffer[at] << 8) | this.buffer[at + 1]
  }

  int16(): number {
    return (this.uint16() << 16) >> 16
  }

  int32(): number {
    const at = this.skip(4)
    const buffer = this.buffer
    return (buffer[at] << 24) | (buffer[at + 1] << 16) | (buffer[at + 2] << 8) | buffer[at + 3]
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /** A signed 64-bit integer; throws where it is no safe number. */
  int64(): number {
    const at = this.skip(8)
    const value = this.buffer.readInt32BE(at) * 0x100000000 + this.buffer.readUInt32BE(at + 4)
    if (!Number.isSafeInteger(value)) throw new BytesError(`64-bit integer at ${at} is over 2^53`)
    return value
  }

  /** An unsigned 64-bit integer; throws where it is no safe number. */
  uint64(): number {
    const at = this.skip(8)
    const value = this.buffer.readUInt32BE(at) * 0x100000000 + this.buffer.readUInt32BE(at + 4)
    if (!Number.isSafeInteger(value)) throw new BytesError(`64-bit integer at ${at} is over 2^53`)
    return value
  }

  bigint64(): bigint {
    return this.buffer.readBigInt64BE(this.skip(8))
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.skip(8))
  }

  unsignedVarint(): number {
    const first = this.uint8()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.uint8()
      if (shift === 28 && byte > 0x0f) break
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new BytesError(`varint before ${this.position} is over 32 bits`)
  }

  /** Zigzag, 32 bits. */
  varint(): number {
    const raw = this.unsignedVarint()
    return (raw >>> 1) ^ -(raw & 1)
  }

  /** Zigzag, 64 bits; throws where the value is no safe number. */
  varlong(): number {
    const first = this.uint8()
    const negative = (first & 1) === 1
    let magnitude = (first & 0x7f) >>> 1
    let byte = first
    for (let unit = 64, count = 1; byte >= 0x80; unit *= 128, count++) {
      if (count === 10) throw new BytesError(`varlong before ${this.position} is over 64 bits`)
      byte = this.uint8()
      magnitude += (byte & 0x7f) * unit
    }
    const value = negative ? -magnitude - 1 : magnitude
    if (!Number.isSafeInteger(value)) throw new BytesError(`varlong before ${this.position} is over 2^53`)
    return value
  }

  /** The next `count` bytes, without copying. */
  bytes(count: number): Buffer {
    const at = this.skip(count)
    return this.buffer.subarray(at, at + count)
  }

  /** The next `count` bytes as text; what is no UTF-8 becomes U+FFFD. */
  utf8(count: number): string {
    const at = this.skip(count)
    if (count > 24) return this.buffer.toString("utf8", at, at + count)
    let text = ""
    for (let index = at; index < at + count; index++) {
      const byte = this.buffer[index]
      if (byte > 0x7f) return this.buffer.toString("utf8", at, at + count)
      text += String.fromCharCode(byte)
    }
    return text
  }
}
