/**
 * The UTF-8 encoded string of MQTT: well formed, without surrogates [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2].
 *
 * A byte order mark in it is a character like any other [MQTT-1.5.4-3].
 */
import { isUtf8 } from "node:buffer"
import { MalformedPacket } from "./MalformedPacket.js"

/** Whether the bytes are well-formed UTF-8, as a payload with format indicator 1 must be [MQTT5 3.3.2.3.2]. */
export const isUtf8Range = (buffer: Buffer, start: number, end: number): boolean => isUtf8(buffer.subarray(start, end))

/** The text in `buffer[start, end)`. Throws `MalformedPacket` where it is no MQTT string. */
export const decodeUtf8 = (buffer: Buffer, start: number, end: number): string => {
  let ascii = true
  for (let i = start; i < end; i++) {
    const byte = buffer[i] as number
    if (byte === 0) throw new MalformedPacket(0x81, "U+0000 in a string", "MQTT-1.5.4-2")
    if (byte > 127) ascii = false
  }
  if (ascii) return buffer.toString("latin1", start, end)
  if (!isUtf8(buffer.subarray(start, end))) throw new MalformedPacket(0x81, "ill-formed UTF-8 in a string", "MQTT-1.5.4-1")
  return buffer.toString("utf8", start, end)
}
