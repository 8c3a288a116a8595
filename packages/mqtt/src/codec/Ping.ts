/**
 * PINGRESP [MQTT5 3.13]: two bytes, always the same.
 */
import type { Output } from "./Packets.js"

export const encodePingresp = (out: Output): void => {
  out.reserve(2)
  out.buffer[out.length] = 0xd0
  out.buffer[out.length + 1] = 0
  out.length += 2
}
