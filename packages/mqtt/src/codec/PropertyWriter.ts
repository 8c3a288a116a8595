/**
 * Writes the control packets a server sends: first byte, remaining length, head, properties, tail.
 *
 * Their size is known before anything is written. Diagnostics (reason string, then user properties) are added only while the
 * packet stays within the client's Maximum Packet Size; where the rest alone is larger, nothing is written [MQTT-3.1.2-24].
 */
import type { Diagnostics, Output } from "./Packets.js"

/** How many bytes the variable byte integer `value` takes. */
export const variableByteIntegerSize = (value: number): 1 | 2 | 3 | 4 =>
  value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4

/** Writes `value` at `position`; gives the position behind it. */
export const writeVariableByteInteger = (buffer: Buffer, position: number, value: number): number => {
  let rest = value
  let at = position
  while (rest > 127) {
    buffer[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[at++] = rest
  return at
}

/** Encoded properties, without their length in front. Values that are undefined are left out. */
export class PropertyWriter {
  private readonly parts: Array<Uint8Array> = []
  size = 0

  private add(part: Uint8Array): void {
    this.parts.push(part)
    this.size += part.length
  }

  bit(identifier: number, value: boolean | undefined): void {
    if (value !== undefined) this.add(Uint8Array.of(identifier, value ? 1 : 0))
  }

  byte(identifier: number, value: number | undefined): void {
    if (value !== undefined) this.add(Uint8Array.of(identifier, value))
  }

  uint16(identifier: number, value: number | undefined): void {
    if (value !== undefined) this.add(Uint8Array.of(identifier, value >> 8, value))
  }

  uint32(identifier: number, value: number | undefined): void {
    if (value !== undefined) this.add(Uint8Array.of(identifier, value >>> 24, value >>> 16, value >>> 8, value))
  }

  integer(identifier: number, value: number): void {
    const part = Buffer.alloc(1 + variableByteIntegerSize(value))
    part[0] = identifier
    writeVariableByteInteger(part, 1, value)
    this.add(part)
  }

  string(identifier: number, value: string | undefined): void {
    if (value === undefined) return
    this.add(Uint8Array.of(identifier))
    this.field(Buffer.from(value, "utf8"))
  }

  binary(identifier: number, value: Uint8Array | undefined): void {
    if (value === undefined) return
    this.add(Uint8Array.of(identifier))
    this.field(value)
  }

  pair(identifier: number, name: string, value: string): void {
    this.add(Uint8Array.of(identifier))
    this.field(Buffer.from(name, "utf8"))
    this.field(Buffer.from(value, "utf8"))
  }

  private field(bytes: Uint8Array): void {
    if (bytes.length > 65_535) throw new Error(`a property of ${bytes.length} bytes; 65535 is the most there can be`)
    this.add(Uint8Array.of(bytes.length >> 8, bytes.length))
    this.add(bytes)
  }

  /** Takes all of `other`. */
  append(other: PropertyWriter): void {
    for (const part of other.parts) this.add(part)
  }

  /** Writes the properties' bytes at `position`; gives the position behind them. */
  writeTo(buffer: Buffer, position: number): number {
    let at = position
    for (const part of this.parts) {
      buffer.set(part, at)
      at += part.length
    }
    return at
  }
}

/** Adds what of the diagnostics fits: `sizeWith(n)` is the packet's size with n more bytes of properties. */
const addDiagnostics = (
  properties: PropertyWriter,
  diagnostics: Diagnostics,
  sizeWith: (propertiesSize: number) => number,
  packetSizeMax: number
): void => {
  const addIfItFits = (part: PropertyWriter): void => {
    if (part.size > 0 && sizeWith(properties.size + part.size) <= packetSizeMax) properties.append(part)
  }
  const reason = new PropertyWriter()
  reason.string(0x1f, diagnostics.reasonString)
  addIfItFits(reason)
  const user = new PropertyWriter()
  for (const [name, value] of diagnostics.userProperties ?? []) user.pair(0x26, name, value)
  addIfItFits(user)
}

const packetSize = (body: number): number => 1 + variableByteIntegerSize(body) + body

/** `head`, properties with their length, `tail`. False, with nothing written, where it is too large without diagnostics. */
export const writePropertiesPacket = (
  out: Output,
  first: number,
  head: ReadonlyArray<number>,
  properties: PropertyWriter,
  tail: ReadonlyArray<number>,
  diagnostics: Diagnostics,
  packetSizeMax: number
): boolean => {
  const bodySize = (propertiesSize: number): number =>
    head.length + variableByteIntegerSize(propertiesSize) + propertiesSize + tail.length
  addDiagnostics(properties, diagnostics, (size) => packetSize(bodySize(size)), packetSizeMax)
  const body = bodySize(properties.size)
  if (packetSize(body) > packetSizeMax) return false
  out.reserve(packetSize(body))
  const { buffer } = out
  let at = out.length
  buffer[at++] = first
  at = writeVariableByteInteger(buffer, at, body)
  for (const byte of head) buffer[at++] = byte
  at = writeVariableByteInteger(buffer, at, properties.size)
  at = properties.writeTo(buffer, at)
  for (const byte of tail) buffer[at++] = byte
  out.length = at
  return true
}

/**
 * `head`, reason code, properties; the reason code left out where it is 0 and there are no properties, the properties where
 * there are none. False, with nothing written, where it is too large without diagnostics.
 */
export const writeReasonPacket = (
  out: Output,
  first: number,
  reasonCode: number,
  properties: PropertyWriter,
  diagnostics: Diagnostics,
  packetSizeMax: number,
  head: ReadonlyArray<number> = []
): boolean => {
  const bodySize = (size: number): number => {
    if (size > 0) return head.length + 1 + variableByteIntegerSize(size) + size
    return head.length + (reasonCode === 0 ? 0 : 1)
  }
  addDiagnostics(properties, diagnostics, (size) => packetSize(bodySize(size)), packetSizeMax)
  const body = bodySize(properties.size)
  if (packetSize(body) > packetSizeMax) return false
  out.reserve(packetSize(body))
  const { buffer } = out
  let at = out.length
  buffer[at++] = first
  at = writeVariableByteInteger(buffer, at, body)
  for (const byte of head) buffer[at++] = byte
  if (body > head.length) buffer[at++] = reasonCode
  if (properties.size > 0) {
    at = writeVariableByteInteger(buffer, at, properties.size)
    at = properties.writeTo(buffer, at)
  }
  out.length = at
  return true
}
