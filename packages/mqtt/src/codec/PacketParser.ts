/**
 * Splits what a client sends into packets, under any chunking, and hands each to a `PacketHandler`.
 */
import type { MessageProperties, QoS } from "@effectmq/messaging/Message"
import type { MalformedPacket } from "./MalformedPacket.js"
import type { ControlPacket, ProtocolVersion } from "./Packets.js"

/**
 * A PUBLISH as parsed. One object per parser, overwritten by the next PUBLISH: take what you need out of it before you
 * return. `buffer` itself and `properties` may be kept: they are not reused.
 */
export interface ParsedPublish {
  /** The received chunk, or a buffer of its own where the packet came in pieces. */
  readonly buffer: Buffer
  /** The whole packet: from its first byte, and behind its last. */
  readonly frameStart: number
  readonly frameEnd: number
  /** The bytes of the topic name, without their length. */
  readonly topicStart: number
  readonly topicEnd: number
  readonly payloadStart: number
  readonly payloadEnd: number
  readonly qos: QoS
  readonly dup: boolean
  readonly retain: boolean
  /** 0 for QoS 0. */
  readonly packetId: number
  /** "" only where `topicAlias` stands for it. */
  readonly topic: string
  /** 0: none. That it is no more than the maximum the broker announced is for the caller to see. */
  readonly topicAlias: number
  readonly messageExpirySeconds: number | undefined
  /** True where the packet has any property (alias and expiry included): such a frame cannot be sent on byte for byte. */
  readonly hasProperties: boolean
  readonly properties: MessageProperties | undefined
}

/** Called inside `push` and `resume`, in the order of the packets. May call `stop` or `close` of the parser. */
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

export declare class PacketParser {
  constructor(handler: PacketHandler, packetSizeMax: number)
  /**
   * 0 until a CONNECT names it. Set as soon as the protocol level is read, so also when the CONNECT is refused: it is then
   * the version in whose form to answer; 0: no answer.
   */
  readonly version: ProtocolVersion | 0
  /** Bytes; a larger packet is refused with 0x95 as soon as its length is known. May be changed at any time. */
  packetSizeMax: number
  readonly stopped: boolean
  readonly closed: boolean
  /** Bytes received and not yet handed over: an incomplete packet, and what `stop` holds back. */
  readonly heldBytes: number
  /** Takes a chunk; the parser and its handler own it from now on. */
  push(chunk: Buffer): void
  /** Hands nothing over until `resume`: also in the middle of a chunk, when called by the handler. */
  stop(): void
  /** Goes on with what was held back. */
  resume(): void
  /** Drops everything; later chunks are ignored. */
  close(): void
}
