/**
 * Topic names as they come off the wire: checked once, then kept as strings.
 *
 * A `TopicCache` maps bytes to the string made of them, so that a topic that is published again and again costs a hash and a
 * comparison, no decoding, and is the same string object each time (with its hash already computed for maps). Direct mapped
 * and bounded: a colliding topic takes the slot over. What is in the cache has passed every check.
 */
import { MalformedPacket } from "./MalformedPacket.js"
import { decodeUtf8 } from "./Utf8.js"

const plus = 0x2b
const hash = 0x23

/** Longer topics are decoded each time. */
const cachedBytesMax = 256

/** The topic name in `buffer[start, end)`, checked. Throws `MalformedPacket`. */
export const decodeTopicName = (buffer: Buffer, start: number, end: number): string => {
  if (start === end) throw new MalformedPacket(0x82, "a topic name of no length", "MQTT-4.7.3-1")
  for (let i = start; i < end; i++) {
    const byte = buffer[i]
    if (byte === plus || byte === hash) throw new MalformedPacket(0x90, "a wildcard in a topic name", "MQTT-3.3.2-2")
  }
  return decodeUtf8(buffer, start, end)
}

/** Whether `text`, which is ASCII, is what stands at `buffer[start, start + text.length)`. */
export const sameAscii = (text: string, buffer: Buffer, start: number): boolean => {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== buffer[start + i]) return false
  }
  return true
}

export class TopicCache {
  private readonly texts: Array<string>
  /** The encoded form where it is not ASCII, as the string cannot be compared then. */
  private readonly encoded: Array<Buffer | undefined>
  private readonly mask: number

  /** @param slots a power of two. */
  constructor(slots: number) {
    if (slots < 1 || (slots & (slots - 1)) !== 0) throw new Error(`slots is ${slots} and not a power of two`)
    this.texts = new Array<string>(slots).fill("")
    this.encoded = new Array<Buffer | undefined>(slots).fill(undefined)
    this.mask = slots - 1
  }

  /** The topic name in `buffer[start, end)`. Throws `MalformedPacket` where it is none. */
  get(buffer: Buffer, start: number, end: number): string {
    const size = end - start
    if (size > cachedBytesMax) return decodeTopicName(buffer, start, end)
    // FNV-1a
    let sum = 0x811c9dc5
    for (let i = start; i < end; i++) sum = Math.imul(sum ^ (buffer[i] as number), 0x01000193)
    const slot = (sum ^ (sum >>> 15)) & this.mask
    const text = this.texts[slot] as string
    const encoded = this.encoded[slot]
    if (encoded === undefined) {
      if (text.length === size && size > 0 && sameAscii(text, buffer, start)) return text
    } else if (encoded.length === size && encoded.compare(buffer, start, end) === 0) {
      return text
    }
    return this.fill(slot, buffer, start, end)
  }

  private fill(slot: number, buffer: Buffer, start: number, end: number): string {
    const text = decodeTopicName(buffer, start, end)
    this.texts[slot] = text
    this.encoded[slot] = text.length === end - start ? undefined : Buffer.from(buffer.subarray(start, end))
    return text
  }
}
