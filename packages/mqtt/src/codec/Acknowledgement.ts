/**
 * PUBACK, PUBREC, PUBREL, PUBCOMP [MQTT5 3.4 to 3.7, MQTT3 3.4 to 3.7]: packet id, then in 5.0 [reason code, [properties]].
 *
 * On the hot path: four bytes where the reason is success.
 */
import { BodyReader } from "./BodyReader.js"
import { MalformedPacket } from "./MalformedPacket.js"
import type { Diagnostics, Output, ProtocolVersion } from "./Packets.js"
import { packetSizeLimit } from "./Packets.js"
import { allowed, readProperties } from "./Properties.js"
import { PropertyWriter, writeReasonPacket } from "./PropertyWriter.js"
import type { ReasonPacket } from "./ReasonCode.js"
import { mayCarry } from "./ReasonCode.js"

/** The packet id in `buffer[body, end)`. Throws `MalformedPacket`. */
export const readAcknowledgedId = (buffer: Buffer, body: number, end: number): number => {
  if (end - body < 2) throw new MalformedPacket(0x81, "an acknowledgement without a packet identifier")
  const packetId = ((buffer[body] as number) << 8) | (buffer[body + 1] as number)
  if (packetId === 0) throw new MalformedPacket(0x82, "packet identifier 0", "MQTT-2.2.1-3")
  return packetId
}

/** The reason code behind the packet id. The client's reason string and user properties are checked and dropped. */
export const readAcknowledgedReason = (
  buffer: Buffer,
  body: number,
  end: number,
  version: ProtocolVersion,
  packet: ReasonPacket,
  userPropertiesMax: number
): number => {
  if (end - body === 2) return 0
  if (version < 5) throw new MalformedPacket(0x81, "bytes behind the packet identifier of an acknowledgement")
  const reasonCode = buffer[body + 2] as number
  if (!mayCarry(packet, reasonCode)) {
    throw new MalformedPacket(0x82, `${packet} with 0x${reasonCode.toString(16)}`, clauseByPacket[packet] ?? "")
  }
  if (end - body > 3) {
    const reader = new BodyReader(buffer, body + 3, end, userPropertiesMax)
    readProperties(reader, allowed.acknowledgement)
    reader.expectEnd()
  }
  return reasonCode
}

const clauseByPacket: Partial<Record<ReasonPacket, string>> = {
  puback: "MQTT-3.4.2-1",
  pubrec: "MQTT-3.5.2-1",
  pubrel: "MQTT-3.6.2-1",
  pubcomp: "MQTT-3.7.2-1"
}

const encode = (
  out: Output,
  first: number,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
  diagnostics: Diagnostics | undefined,
  packetSizeMax: number
): void => {
  if (version === 5 && diagnostics !== undefined) {
    const head = [packetId >> 8, packetId & 0xff]
    writeReasonPacket(out, first, reasonCode, new PropertyWriter(), diagnostics, packetSizeMax, head)
    return
  }
  const short = reasonCode === 0 || version < 5
  out.reserve(5)
  const { buffer } = out
  const at = out.length
  buffer[at] = first
  buffer[at + 1] = short ? 2 : 3
  buffer[at + 2] = packetId >> 8
  buffer[at + 3] = packetId
  if (!short) buffer[at + 4] = reasonCode
  out.length = at + (short ? 4 : 5)
}

/** In 3.1 and 3.1.1 the reason cannot be told: a refused PUBLISH is acknowledged all the same, or the connection closed. */
export const encodePuback = (
  out: Output,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
  diagnostics?: Diagnostics,
  packetSizeMax = packetSizeLimit
): void => encode(out, 0x40, version, packetId, reasonCode, diagnostics, packetSizeMax)

export const encodePubrec = (
  out: Output,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
  diagnostics?: Diagnostics,
  packetSizeMax = packetSizeLimit
): void => encode(out, 0x50, version, packetId, reasonCode, diagnostics, packetSizeMax)

/** The fixed header of PUBREL has the flags 0010 [MQTT-3.6.1-1]. */
export const encodePubrel = (
  out: Output,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
  diagnostics?: Diagnostics,
  packetSizeMax = packetSizeLimit
): void => encode(out, 0x62, version, packetId, reasonCode, diagnostics, packetSizeMax)

export const encodePubcomp = (
  out: Output,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
  diagnostics?: Diagnostics,
  packetSizeMax = packetSizeLimit
): void => encode(out, 0x70, version, packetId, reasonCode, diagnostics, packetSizeMax)
