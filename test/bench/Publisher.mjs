/**
 * Sends one kind of PUBLISH as fast as its limits allow.
 *
 * QoS 0: whole chunks of encoded packets; the group's window, counted in messages, keeps what is under way bounded, so that
 * no broker is measured while it drops. QoS 1: a ring of packets with rising packet identifiers, at most `window`
 * unacknowledged.
 */
import * as packets from "./packets.mjs"

const chunkBytesMax = 64 * 1024
const ringPackets = 32768

export class Publisher {
  sent = 0
  acknowledged = 0

  constructor(client, group, { topic, payload, qos, window, chunkMessagesMax }) {
    this.client = client
    this.group = group
    this.qos = qos
    this.window = window
    this.size = packets.publish(topic, payload, qos).length
    if (qos === 0) {
      this.chunkMessages = Math.max(1, Math.min(Math.floor(chunkBytesMax / this.size), chunkMessagesMax))
      this.chunk = Buffer.concat(new Array(this.chunkMessages).fill(packets.publish(topic, payload, 0)))
    } else {
      this.ring = Publisher.ringOf(topic, payload, qos, this.size)
    }
    this.ackBytes = 0
    client.onDrain = () => this.pump()
    client.onBytes = (_bytes, length) => {
      // Acknowledgements of 4 bytes each are all that a publisher receives.
      this.ackBytes += length
      this.acknowledged = this.ackBytes >> 2
      this.pump()
    }
  }

  static ringOf(topic, payload, qos, size) {
    const count = Math.min(ringPackets, Math.max(1024, Math.floor((8 * 1024 * 1024) / size)))
    const one = packets.publish(topic, payload, qos)
    const at = packets.packetIdOffset(size, topic)
    const ring = Buffer.allocUnsafe(count * size)
    for (let i = 0; i < count; i++) {
      one.copy(ring, i * size)
      ring.writeUInt16BE(i + 1, i * size + at)
    }
    return { bytes: ring, count }
  }

  pump() {
    if (this.group.stopped) return
    if (this.qos === 0) this.pumpChunks()
    else this.pumpRing()
  }

  pumpChunks() {
    while (!this.client.blocked && this.group.room() >= this.chunkMessages) {
      this.client.write(this.chunk)
      this.sent += this.chunkMessages
      this.group.sent += this.chunkMessages
    }
  }

  pumpRing() {
    if (this.client.blocked) return
    let count = Math.min(this.window - (this.sent - this.acknowledged), this.group.room())
    while (count > 0) {
      const from = this.sent % this.ring.count
      const now = Math.min(count, this.ring.count - from)
      this.client.write(this.ring.bytes.subarray(from * this.size, (from + now) * this.size))
      this.sent += now
      this.group.sent += now
      count -= now
    }
  }
}

/** Publishers and subscribers that belong together, and how much may be under way between them. */
export class Group {
  sent = 0
  received = 0
  lost = 0
  stopped = false
  publishers = []
  next = 0
  lastReceived = -1

  constructor(window, copies) {
    this.window = window
    this.copies = copies
  }

  room() {
    return this.window - (this.sent - this.lost - this.received / this.copies)
  }

  /** After deliveries: lets the publishers go on, a different one first each time. */
  pump() {
    this.next = (this.next + 1) % this.publishers.length
    for (let i = 0; i < this.publishers.length; i++) this.publishers[(this.next + i) % this.publishers.length].pump()
  }

  /** What did not arrive for a whole interval is taken as lost, so that a broker that drops does not stall the case. */
  checkStalled() {
    if (this.received === this.lastReceived && this.room() < this.window / 2) {
      this.lost = this.sent - this.received / this.copies
      this.pump()
    }
    this.lastReceived = this.received
  }
}
