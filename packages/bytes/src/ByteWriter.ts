/**
 * Writes numbers, varints, strings and ranges into one growing buffer, big-endian.
 *
 * The buffer doubles when it is full, never past `sizeBytesMax` (then `BytesError`). `view` lends what is written and stays valid
 * until the next write or `reset`; `copy` gives it away.
 */
import { BytesError } from "./BytesError.js"
import { copyBytes } from "./CopyBytes.js"
import { varintBytesMax, varlongBytesMax, writeUnsignedVarint, writeVarint, writeVarlong } from "./Varint.js"

export interface ByteWriterOptions {
  readonly sizeBytes?: number
  readonly sizeBytesMax?: number
}

export class ByteWriter {
  buffer: Buffer
  /** How many bytes are written. */
  position = 0
  readonly sizeBytesMax: number

  constructor(options: ByteWriterOptions = {}) {
    this.sizeBytesMax = options.sizeBytesMax ?? 0x7fffffff
    this.buffer = Buffer.allocUnsafeSlow(Math.min(options.sizeBytes ?? 256, this.sizeBytesMax))
  }

  /** Makes room for `count` more bytes and returns the position they begin at. Look at `buffer` only afterwards: growing replaces it. */
  ensure(count: number): number {
    const at = this.position
    if (at + count > this.buffer.length) this.grow(at + count)
    return at
  }

  private grow(sizeBytes: number): void {
    if (sizeBytes > this.sizeBytesMax) throw new BytesError(`${sizeBytes} bytes are over the bound of ${this.sizeBytesMax}`)
    const grown = Buffer.allocUnsafeSlow(Math.min(this.sizeBytesMax, Math.max(sizeBytes, this.buffer.length * 2)))
    this.buffer.copy(grown, 0, 0, this.position)
    this.buffer = grown
  }

  uint8(value: number): void {
    const at = this.ensure(1)
    this.buffer[at] = value
    this.position = at + 1
  }

  /** Two bytes, signed or unsigned. */
  uint16(value: number): void {
    const at = this.ensure(2)
    this.buffer[at] = value >>> 8
    this.buffer[at + 1] = value
    this.position = at + 2
  }

  /** Four bytes, signed or unsigned. */
  uint32(value: number): void {
    this.setUint32(this.ensure(4), value)
    this.position += 4
  }

  /** A safe integer as eight bytes, two's complement. */
  int64(value: number): void {
    const at = this.ensure(8)
    this.setUint32(at, Math.floor(value / 0x100000000))
    this.setUint32(at + 4, value % 0x100000000)
    this.position = at + 8
  }

  bigint64(value: bigint): void {
    const at = this.ensure(8)
    this.position = this.buffer.writeBigInt64BE(value, at)
  }

  float64(value: number): void {
    const at = this.ensure(8)
    this.position = this.buffer.writeDoubleBE(value, at)
  }

  unsignedVarint(value: number): void {
    const at = this.ensure(varintBytesMax)
    this.position = writeUnsignedVarint(this.buffer, at, value)
  }

  varint(value: number): void {
    const at = this.ensure(varintBytesMax)
    this.position = writeVarint(this.buffer, at, value)
  }

  varlong(value: number): void {
    const at = this.ensure(varlongBytesMax)
    this.position = writeVarlong(this.buffer, at, value)
  }

  bytes(source: Uint8Array, start = 0, end = source.length): void {
    const at = this.ensure(end - start)
    this.position = copyBytes(this.buffer, at, source, start, end)
  }

  /** The text alone, no length before it; returns how many bytes it took. */
  utf8(text: string): number {
    const length = text.length
    const at = this.ensure(length * 3)
    const target = this.buffer
    if (length <= 32) {
      let index = 0
      for (; index < length; index++) {
        const code = text.charCodeAt(index)
        if (code > 0x7f) break
        target[at + index] = code
      }
      if (index === length) {
        this.position = at + length
        return length
      }
    }
    const count = target.write(text, at)
    this.position = at + count
    return count
  }

  /** `count` zero bytes. */
  zeros(count: number): void {
    const at = this.ensure(count)
    this.buffer.fill(0, at, at + count)
    this.position = at + count
  }

  setUint8(at: number, value: number): void {
    this.buffer[at] = value
  }

  setUint16(at: number, value: number): void {
    this.buffer[at] = value >>> 8
    this.buffer[at + 1] = value
  }

  /** Overwrites four bytes that were written or reserved before. */
  setUint32(at: number, value: number): void {
    const target = this.buffer
    target[at] = value >>> 24
    target[at + 1] = value >>> 16
    target[at + 2] = value >>> 8
    target[at + 3] = value
  }

  /** What is written, lent until the next write or reset. */
  view(): Buffer {
    return this.buffer.subarray(0, this.position)
  }

  /** What is written, as a buffer of its own. */
  copy(): Buffer {
    return Buffer.from(this.view())
  }

  /** Forgets what is written and keeps the buffer, unless it grew over `keepBytesMax`. */
  reset(keepBytesMax = Number.POSITIVE_INFINITY): void {
    this.position = 0
    if (this.buffer.length > keepBytesMax) this.buffer = Buffer.allocUnsafeSlow(keepBytesMax)
  }
}
