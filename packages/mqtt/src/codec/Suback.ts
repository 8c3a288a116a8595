/**
 * SUBACK and UNSUBACK [MQTT5 3.9 and 3.11, MQTT3 3.9 and 3.11]: packet id, [properties], one code for each filter, in order.
 * UNSUBACK has no codes before 5.0.
 */
import type { Diagnostics, Output, ProtocolVersion } from "./Packets.js"
import { packetSizeLimit } from "./Packets.js"
import { PropertyWriter, variableByteIntegerSize, writePropertiesPacket, writeVariableByteInteger } from "./PropertyWriter.js"
import { subackReturnCode } from "./ReasonCode.js"

const none: Diagnostics = {}

/** False, with nothing written, where it is larger than `packetSizeMax`. Codes are those of MQTT 5, whatever the version. */
export const encodeSuback = (
  out: Output,
  version: ProtocolVersion,
  packetId: number,
  reasonCodes: ReadonlyArray<number>,
  diagnostics: Diagnostics = none,
  packetSizeMax = packetSizeLimit
): boolean => {
  const head = [packetId >> 8, packetId & 0xff]
  if (version === 5) return writePropertiesPacket(out, 0x90, head, new PropertyWriter(), reasonCodes, diagnostics, packetSizeMax)
  writeOld(out, 0x90, head, reasonCodes.map(subackReturnCode))
  return true
}

/** False, with nothing written, where it is larger than `packetSizeMax`. */
export const encodeUnsuback = (
  out: Output,
  version: ProtocolVersion,
  packetId: number,
  reasonCodes: ReadonlyArray<number>,
  diagnostics: Diagnostics = none,
  packetSizeMax = packetSizeLimit
): boolean => {
  const head = [packetId >> 8, packetId & 0xff]
  if (version === 5) return writePropertiesPacket(out, 0xb0, head, new PropertyWriter(), reasonCodes, diagnostics, packetSizeMax)
  writeOld(out, 0xb0, head, [])
  return true
}

const writeOld = (out: Output, first: number, head: ReadonlyArray<number>, codes: ReadonlyArray<number>): void => {
  const body = head.length + codes.length
  out.reserve(1 + variableByteIntegerSize(body) + body)
  const { buffer } = out
  let at = out.length
  buffer[at++] = first
  at = writeVariableByteInteger(buffer, at, body)
  for (const byte of head) buffer[at++] = byte
  for (const code of codes) buffer[at++] = code
  out.length = at
}
