/**
 * The acknowledgements a connection owes, so that they leave in the order in which the PUBLISH packets came [MQTT-4.6.0-2],
 * [MQTT-4.6.0-3], although the log answers in an order of its own.
 *
 * Invariants
 * - `capacity` is a power of two and at least `size`; a token is the number of the entry since the beginning, modulo 2^30.
 * - The entry at the head is not ready.
 */
export type AckKind = "puback" | "pubrec"

const ready = 1
const isPubrec = 2
const tokenMask = 0x3fffffff

export class AckQueue {
  private packetIds = new Uint16Array(16)
  private flags = new Uint8Array(16)
  private reasons = new Uint8Array(16)
  private head = 0
  private count = 0
  /** Those for QoS 1. */
  pubacks = 0

  get size(): number {
    return this.count
  }

  /** A PUBLISH to be acknowledged; gives its token. */
  begin(packetId: number, kind: AckKind): number {
    if (this.count === this.packetIds.length) this.grow()
    const token = (this.head + this.count) & tokenMask
    const at = token & (this.packetIds.length - 1)
    this.packetIds[at] = packetId
    this.flags[at] = kind === "pubrec" ? isPubrec : 0
    if (kind === "puback") this.pubacks++
    this.count++
    return token
  }

  packetId(token: number): number {
    return this.packetIds[token & (this.packetIds.length - 1)] as number
  }

  kind(token: number): AckKind {
    return ((this.flags[token & (this.flags.length - 1)] as number) & isPubrec) === 0 ? "puback" : "pubrec"
  }

  /** The acknowledgement may go: `send` is called for it and for those behind it, as far as all before them are gone. */
  finish(token: number, reasonCode: number, send: AckSender): void {
    const at = token & (this.flags.length - 1)
    this.flags[at] = (this.flags[at] as number) | ready
    this.reasons[at] = reasonCode
    while (this.count > 0) {
      const index = this.head & (this.flags.length - 1)
      const flags = this.flags[index] as number
      if ((flags & ready) === 0) return
      this.head = (this.head + 1) & tokenMask
      this.count--
      const packetId = this.packetIds[index] as number
      const reason = this.reasons[index] as number
      if ((flags & isPubrec) === 0) {
        this.pubacks--
        send.sendPuback(packetId, reason)
      } else send.sendPubrec(packetId, reason)
    }
  }

  private grow(): void {
    const length = this.packetIds.length
    const packetIds = new Uint16Array(length * 2)
    const flags = new Uint8Array(length * 2)
    const reasons = new Uint8Array(length * 2)
    for (let index = 0; index < this.count; index++) {
      const token = (this.head + index) & tokenMask
      const from = token & (length - 1)
      const to = token & (length * 2 - 1)
      packetIds[to] = this.packetIds[from] as number
      flags[to] = this.flags[from] as number
      reasons[to] = this.reasons[from] as number
    }
    this.packetIds = packetIds
    this.flags = flags
    this.reasons = reasons
  }
}

export interface AckSender {
  sendPuback(packetId: number, reasonCode: number): void
  sendPubrec(packetId: number, reasonCode: number): void
}
