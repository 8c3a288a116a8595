/**
 * Splits what a client sends into packets, under any chunking, and hands each to a `PacketHandler`.
 *
 *     first byte     type (high four bits) and flags (low four bits)
 *     length         variable byte integer: the size of what follows
 *     body
 *
 * A packet that lies in one chunk is parsed where it is, without a copy. One that is cut is gathered in a buffer of its own,
 * which grows with what has come, not with what the length promises; all such buffers together are bounded. PUBLISH and its acknowledgements take a short way
 * without objects; everything else becomes a `ControlPacket`.
 *
 * CONNECT comes first and once [MQTT-3.1.0-1, -2]; packets that only a server sends are refused.
 */
import { readAcknowledgedId, readAcknowledgedReason } from "./Acknowledgement.js"
import { decodeAuth } from "./Auth.js"
import { BodyReader } from "./BodyReader.js"
import { decodeConnect, readProtocol } from "./Connect.js"
import { decodeDisconnect } from "./Disconnect.js"
import { MalformedPacket } from "./MalformedPacket.js"
import { type PacketLimits, uncountedMax } from "./PacketLimits.js"
import type { ControlPacket, ProtocolVersion } from "./Packets.js"
import { ParsedPublish } from "./ParsedPublish.js"
import { ReasonCode, type ReasonPacket } from "./ReasonCode.js"
import { decodeSubscribe } from "./Subscribe.js"
import { TopicCache } from "./TopicName.js"
import { decodeUnsubscribe } from "./Unsubscribe.js"

export type { ParsedPublish } from "./ParsedPublish.js"

/**
 * Called inside `push` and `resume`, in the order of the packets. May call `stop` or `close` of the parser. A
 * `MalformedPacket` that it throws is treated as if the parser had found it.
 */
export interface PacketHandler {
  onPublish(publish: ParsedPublish): void
  onPuback(packetId: number, reasonCode: number): void
  onPubrec(packetId: number, reasonCode: number): void
  onPubrel(packetId: number, reasonCode: number): void
  onPubcomp(packetId: number, reasonCode: number): void
  onPingreq(): void
  /** CONNECT (always first and once), SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH. */
  onPacket(packet: ControlPacket): void
  /** The last call: the parser is closed. */
  onMalformed(error: MalformedPacket): void
}

/** Shared by all parsers of the process: topics recur across clients. */
const sharedTopics = new TopicCache(16_384)

const nothing = Buffer.alloc(0)

export class PacketParser {
  /**
   * 0 until a CONNECT names it. Set as soon as the protocol level is read, so also when the CONNECT is refused: it is then
   * the version in whose form to answer; 0: no answer.
   */
  version: ProtocolVersion | 0 = 0
  stopped = false
  closed = false

  private readonly publish: ParsedPublish
  /** A packet that came in pieces so far: its bytes, how many there are, and its size (0: not known yet). */
  private partial: Buffer = nothing
  private partialLength = 0
  private partialSize = 0
  /** What of its buffer is counted among all unfinished packets. */
  private partialCounted = 0
  /** What is counted of bytes that others hold for this parser. */
  private outsideCounted = 0
  /** What came while the parser was stopped. */
  private held: Array<Buffer> = []
  private running = false

  /** @param packetSizeMax bytes; a larger packet is refused with 0x95 as soon as its length is known. May be changed. */
  constructor(
    private readonly handler: PacketHandler,
    public packetSizeMax: number,
    private readonly limits: PacketLimits,
    topics: TopicCache = sharedTopics
  ) {
    this.publish = new ParsedPublish(topics, limits)
  }

  /** Bytes received and not yet handed over: an incomplete packet, and what `stop` holds back. */
  get heldBytes(): number {
    let bytes = this.partialLength
    for (const chunk of this.held) bytes += chunk.length
    return bytes
  }

  /** Takes a chunk; the parser and its handler own it from now on. */
  push(chunk: Buffer): void {
    if (this.closed) return
    if (this.stopped || this.running) this.held.push(chunk)
    else this.run(chunk)
  }

  /** Hands nothing over until `resume`: also in the middle of a chunk, when called by the handler. */
  stop(): void {
    this.stopped = true
  }

  /** Goes on with what was held back. */
  resume(): void {
    if (!this.stopped) return
    this.stopped = false
    if (this.running || this.closed) return
    const chunk = this.held.shift()
    if (chunk !== undefined) this.run(chunk)
  }

  /** Drops everything; later chunks are ignored. */
  close(): void {
    this.closed = true
    this.forgetPartial()
    this.countOutside(0)
    this.held = []
  }

  private run(first: Buffer): void {
    this.running = true
    try {
      let chunk: Buffer | undefined = first
      while (chunk !== undefined) {
        let start = 0
        if (this.partialLength > 0) start = this.fillPartial(chunk)
        const rest = this.consume(chunk, start)
        if (this.closed) return
        if (this.stopped) {
          if (rest < chunk.length) this.held.unshift(rest === 0 ? chunk : chunk.subarray(rest))
          return
        }
        chunk = this.held.shift()
      }
    } catch (error) {
      if (!(error instanceof MalformedPacket)) throw error
      const wasClosed = this.closed
      this.close()
      if (!wasClosed) this.handler.onMalformed(error)
    } finally {
      this.running = false
    }
  }

  /** Hands over the packets in `chunk` from `start` on; gives the position of the first byte that is left for later. */
  private consume(chunk: Buffer, start: number): number {
    const end = chunk.length
    let position = start
    while (position < end && !this.stopped && !this.closed) {
      let body = position + 2
      if (body > end) break
      let size = chunk[position + 1] as number
      if (size > 127) {
        size &= 127
        let shift = 7
        let byte = 0x80
        while (byte > 127 && body < end) {
          if (shift === 28) this.refuseLength(chunk[position] as number, "more than four bytes")
          byte = chunk[body++] as number
          size |= (byte & 127) << shift
          shift += 7
        }
        if (byte > 127) {
          if (shift === 28) this.refuseLength(chunk[position] as number, "more than four bytes")
          break
        }
        if (byte === 0 && this.version === 5) this.refuseLength(chunk[position] as number, "more bytes than needed")
      }
      const next = body + size
      if (next - position > this.packetSizeMax) this.refuseSize(chunk[position] as number, next - position)
      if (next > end) break
      this.dispatch(chunk, position, body, next)
      position = next
    }
    if (this.stopped || this.closed || position >= end) return position
    this.keepPartial(chunk, position)
    return end
  }

  private refuseLength(first: number, what: string): never {
    checkFirstByte(first, this.version)
    throw new MalformedPacket(0x81, `a remaining length of ${what}`, "MQTT-1.5.5-1")
  }

  private refuseSize(first: number, size: number): never {
    checkFirstByte(first, this.version)
    throw new MalformedPacket(0x95, `a packet of ${size} bytes; ${this.packetSizeMax} are allowed`, "MQTT-3.2.2-15")
  }

  /** Copies the incomplete packet at the end of a chunk. */
  private keepPartial(chunk: Buffer, position: number): void {
    checkFirstByte(chunk[position] as number, this.version)
    const length = chunk.length - position
    this.partialSize = packetSizeAt(chunk, position)
    // Where the size is not known, five bytes will tell it.
    const size = this.partialSize === 0 ? 5 : this.partialSize
    this.partial = this.partialBuffer(Math.min(size, Math.max(uncountedMax, 2 * length)))
    chunk.copy(this.partial, 0, position)
    this.partialLength = length
  }

  /** Adds from the chunk's beginning what the incomplete packet lacks; hands it over when it is whole. Gives what it took. */
  private fillPartial(chunk: Buffer): number {
    let taken = 0
    while (this.partialSize === 0) {
      // The length is not complete: at most three more bytes, one by one.
      if (taken === chunk.length) return taken
      this.partial[this.partialLength++] = chunk[taken++] as number
      const { partial, partialLength } = this
      const first = partial[0] as number
      this.partialSize = packetSizeAt(partial.subarray(0, partialLength), 0)
      if (this.partialSize === 0) {
        if (partialLength === 5) this.refuseLength(first, "more than four bytes")
      } else if (this.version === 5 && partialLength > 2 && partial[partialLength - 1] === 0) {
        this.refuseLength(first, "more bytes than needed")
      } else if (this.partialSize > this.packetSizeMax) this.refuseSize(first, this.partialSize)
    }
    const size = this.partialSize
    const wanted = Math.min(size - this.partialLength, chunk.length - taken)
    const length = this.partialLength + wanted
    if (length > this.partial.length) {
      const grown = this.partialBuffer(Math.min(size, Math.max(uncountedMax, 2 * length)))
      this.partial.copy(grown, 0, 0, this.partialLength)
      this.partial = grown
    }
    chunk.copy(this.partial, this.partialLength, taken, taken + wanted)
    this.partialLength = length
    taken += wanted
    if (length === size) {
      const whole = this.partial
      this.forgetPartial()
      this.consume(whole.length === size ? whole : whole.subarray(0, size), 0)
    }
    return taken
  }

  /** Room for an unfinished packet, in place of what it had. */
  private partialBuffer(size: number): Buffer {
    const more = size > uncountedMax ? size - this.partialCounted : 0
    if (more > 0) {
      if (!this.limits.take(more)) throw shortage()
      this.partialCounted = size
    }
    return Buffer.allocUnsafe(size)
  }

  /** So many bytes that are to come to this parser are held elsewhere: they count as the parser's own do. */
  holdsOutside(bytes: number): void {
    if (this.closed || this.countOutside(bytes > uncountedMax ? bytes : 0)) return
    this.close()
    this.handler.onMalformed(shortage())
  }

  private countOutside(bytes: number): boolean {
    const more = bytes - this.outsideCounted
    if (more > 0 && !this.limits.take(more)) return false
    if (more < 0) this.limits.give(-more)
    this.outsideCounted = bytes
    return true
  }

  private forgetPartial(): void {
    this.partial = nothing
    this.partialLength = 0
    this.partialSize = 0
    if (this.partialCounted === 0) return
    this.limits.give(this.partialCounted)
    this.partialCounted = 0
  }

  private dispatch(chunk: Buffer, start: number, body: number, end: number): void {
    const first = chunk[start] as number
    const { version, handler } = this
    if (version === 0) {
      checkFirstByte(first, 0)
      this.connect(chunk, body, end, body - start)
      return
    }
    const type = first >> 4
    if (type === 3) {
      this.publish.decode(chunk, start, body, end, version)
      handler.onPublish(this.publish)
      return
    }
    checkFirstByte(first, version)
    const { filtersMax, userPropertiesMax } = this.limits
    switch (type) {
      case 4:
        handler.onPuback(readAcknowledgedId(chunk, body, end), this.reasonOf("puback", chunk, body, end))
        return
      case 5:
        handler.onPubrec(readAcknowledgedId(chunk, body, end), this.reasonOf("pubrec", chunk, body, end))
        return
      case 6:
        handler.onPubrel(readAcknowledgedId(chunk, body, end), this.reasonOf("pubrel", chunk, body, end))
        return
      case 7:
        handler.onPubcomp(readAcknowledgedId(chunk, body, end), this.reasonOf("pubcomp", chunk, body, end))
        return
      case 8:
        handler.onPacket(decodeSubscribe(new BodyReader(chunk, body, end, userPropertiesMax), version, filtersMax))
        return
      case 10:
        handler.onPacket(decodeUnsubscribe(new BodyReader(chunk, body, end, userPropertiesMax), version, filtersMax))
        return
      case 12:
        if (end !== body) throw new MalformedPacket(0x81, "PINGREQ with a body")
        handler.onPingreq()
        return
      case 14:
        handler.onPacket(decodeDisconnect(new BodyReader(chunk, body, end, userPropertiesMax), version))
        return
      default:
        handler.onPacket(decodeAuth(new BodyReader(chunk, body, end, userPropertiesMax)))
    }
  }

  private reasonOf(packet: ReasonPacket, chunk: Buffer, body: number, end: number): number {
    return readAcknowledgedReason(chunk, body, end, this.version as ProtocolVersion, packet, this.limits.userPropertiesMax)
  }

  private connect(chunk: Buffer, body: number, end: number, headerSize: number): void {
    const reader = new BodyReader(chunk, body, end, this.limits.userPropertiesMax)
    const { version, supported } = readProtocol(reader)
    this.version = version
    if (!supported) throw new MalformedPacket(0x84, "a protocol level that is not known", "MQTT-3.1.2-2")
    if (version === 5 && headerSize > 2 && chunk[body - 1] === 0) {
      throw new MalformedPacket(0x81, "a remaining length of more bytes than needed", "MQTT-1.5.5-1")
    }
    this.handler.onPacket(decodeConnect(reader, version))
  }
}

const shortage = () =>
  new MalformedPacket(ReasonCode.quotaExceeded, "unfinished packets take all memory there is for them", "", true)

/** The size of the packet at `position`, or 0 where its length is not complete. */
const packetSizeAt = (chunk: Buffer, position: number): number => {
  let size = 0
  for (let i = 1; i <= 4 && position + i < chunk.length; i++) {
    const byte = chunk[position + i] as number
    size |= (byte & 127) << (7 * (i - 1))
    if (byte < 128) return 1 + i + size
  }
  return 0
}

/** By packet type; -1: not from a client, or (PUBLISH) judged elsewhere. */
const requiredFlags = [-1, 0, -1, -1, 0, 0, 2, 0, 2, -1, 2, -1, 0, -1, 0, 0]

/** Refuses what a client may not send now, and wrong flags [MQTT-2.2.2-1, -2 of 3.1.1; MQTT-2.1.3-1 of 5.0]. */
const checkFirstByte = (first: number, version: ProtocolVersion | 0): void => {
  const type = first >> 4
  if (version === 0) {
    if (type !== 1) throw new MalformedPacket(0x82, "the first packet is not CONNECT", "MQTT-3.1.0-1")
  } else if (type === 1) {
    throw new MalformedPacket(0x82, "a second CONNECT", "MQTT-3.1.0-2")
  }
  if (type === 3) return
  const required = requiredFlags[type] as number
  if (required === -1) throw new MalformedPacket(type === 0 ? 0x81 : 0x82, `packet type ${type} from a client`)
  if (type === 15 && version < 5) throw new MalformedPacket(0x82, "AUTH before MQTT 5")
  let flags = first & 15
  // In 3.1 a repeated PUBREL, SUBSCRIBE or UNSUBSCRIBE has DUP set.
  if (version === 3 && required === 2) flags &= 7
  if (flags !== required) {
    throw new MalformedPacket(0x81, `flags ${flags} of packet type ${type}`, version === 5 ? "MQTT-2.1.3-1" : "MQTT-2.2.2-2")
  }
}
