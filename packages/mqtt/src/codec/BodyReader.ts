/**
 * A cursor over one packet's bytes for the control packets. Reading past the end throws `MalformedPacket`.
 *
 *     byte, uint16, uint32 (big endian), variable byte integer, string (uint16 length, UTF-8), binary (uint16 length)
 */
import { MalformedPacket } from "./MalformedPacket.js"
import { decodeUtf8 } from "./Utf8.js"

export class BodyReader {
  constructor(
    readonly buffer: Buffer,
    public position: number,
    readonly end: number,
    readonly userPropertiesMax: number
  ) {}

  get remaining(): number {
    return this.end - this.position
  }

  private take(size: number): number {
    const start = this.position
    if (start + size > this.end) throw new MalformedPacket(0x81, "the packet ends inside a field")
    this.position = start + size
    return start
  }

  byte(): number {
    return this.buffer[this.take(1)] as number
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.take(2))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  /** At most four bytes, and no more than needed [MQTT-1.5.5-1]. */
  variableByteInteger(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw new MalformedPacket(0x81, "overlong variable byte integer", "MQTT-1.5.5-1")
        return value
      }
    }
    throw new MalformedPacket(0x81, "variable byte integer of more than four bytes", "MQTT-1.5.5-1")
  }

  string(): string {
    const size = this.uint16()
    const start = this.take(size)
    return decodeUtf8(this.buffer, start, start + size)
  }

  /** A copy: it outlives the chunk. */
  binary(): Buffer {
    const size = this.uint16()
    const start = this.take(size)
    return Buffer.from(this.buffer.subarray(start, start + size))
  }

  /** [MQTT-2.2.1-2], [MQTT-2.2.1-3] */
  packetId(): number {
    const id = this.uint16()
    if (id === 0) throw new MalformedPacket(0x82, "packet identifier 0", "MQTT-2.2.1-3")
    return id
  }

  expectEnd(): void {
    if (this.position !== this.end) throw new MalformedPacket(0x81, "bytes behind the end of the packet's fields")
  }
}
