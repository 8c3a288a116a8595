/**
 * Counts deliveries of one size. QoS 1 reads each packet identifier and acknowledges a whole chunk with one write.
 */
import * as packets from "./packets.mjs"

export class Consumer {
  bytes = 0
  received = 0

  constructor(client, group, { topic, size, qos }) {
    this.group = group
    this.size = size
    this.client = client
    this.idOffset = packets.packetIdOffset(size, topic)
    this.acks = Buffer.alloc(4 * 65536)
    // The high byte of a packet identifier whose low byte is in the next chunk.
    this.high = 0
    client.onBytes = qos === 0 ? (bytes, length) => this.count(bytes, length) : (bytes, length) => this.acknowledge(bytes, length)
  }

  check(bytes, length) {
    const start = (this.size - (this.bytes % this.size)) % this.size
    if (start < length && bytes[start] >> 4 !== 3) {
      throw new Error(`expected a PUBLISH of ${this.size} bytes, got ${bytes.subarray(start, start + 8).toString("hex")}`)
    }
  }

  count(bytes, length) {
    this.check(bytes, length)
    this.bytes += length
    this.arrived()
  }

  acknowledge(bytes, length) {
    this.check(bytes, length)
    const { size, idOffset, acks } = this
    const within = this.bytes % size
    let at = 0
    const put = (high, low) => {
      acks[at] = 0x40
      acks[at + 1] = 2
      acks[at + 2] = high
      acks[at + 3] = low
      at += 4
    }
    // Position of the next identifier; -1 when only its low byte is still to come.
    let position = idOffset - within
    if (position === -1) put(this.high, bytes[0])
    if (position < 0) position += size
    for (; position + 1 < length; position += size) put(bytes[position], bytes[position + 1])
    if (position === length - 1) this.high = bytes[position]
    this.bytes += length
    if (at > 0) this.client.write(Buffer.from(acks.subarray(0, at)))
    this.arrived()
  }

  arrived() {
    const received = Math.floor(this.bytes / this.size)
    this.group.received += received - this.received
    this.received = received
    this.group.pump()
  }
}
