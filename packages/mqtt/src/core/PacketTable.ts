/**
 * Values by packet identifier, and the allocation of identifiers 1 to 65,535 [MQTT-2.2.1-3].
 *
 * Identifiers are handed out one after the other, so a small array indexed by the low bits of the identifier is a map
 * without hashing. Only identifiers that this table handed out (or once did, before a restart) may be put into it: those
 * a client chooses could force the array to its full size.
 *
 * Invariants
 * - `slots.length` is a power of two, at most 65,536, and more than `size`.
 * - Every value is in the slot of its identifier's low bits; no two share a slot.
 */
export const packetIdMax = 65_535

const slotsMin = 8
const slotsMax = 65_536

export class PacketTable<V extends { packetId: number }> {
  private slots: Array<V | undefined> = []
  private last = 0
  private count = 0

  get size(): number {
    return this.count
  }

  get(packetId: number): V | undefined {
    const value = this.slots[packetId & (this.slots.length - 1)]
    return value !== undefined && value.packetId === packetId ? value : undefined
  }

  /** Gives the value the next free identifier, sets its `packetId` to it and keeps it. The caller bounds `size`. */
  allocate(value: V): number {
    if (this.count >= packetIdMax) throw new Error("every packet identifier is in use")
    if (this.count * 2 >= this.slots.length && this.slots.length < slotsMax) this.grow()
    const mask = this.slots.length - 1
    let packetId = this.last
    do {
      packetId = packetId === packetIdMax ? 1 : packetId + 1
    } while (this.slots[packetId & mask] !== undefined)
    this.last = packetId
    value.packetId = packetId
    this.slots[packetId & mask] = value
    this.count++
    return packetId
  }

  /** Puts back a value under the identifier it had before a restart. */
  restore(value: V): void {
    const { packetId } = value
    if (packetId < 1 || packetId > packetIdMax || this.get(packetId) !== undefined) {
      throw new Error(`packet identifier ${packetId} cannot be restored`)
    }
    while (this.slots.length === 0 || this.slots[packetId & (this.slots.length - 1)] !== undefined) this.grow()
    this.slots[packetId & (this.slots.length - 1)] = value
    this.count++
    if (packetId > this.last) this.last = packetId
  }

  delete(packetId: number): boolean {
    if (this.get(packetId) === undefined) return false
    this.slots[packetId & (this.slots.length - 1)] = undefined
    this.count--
    return true
  }

  /** Every value, in no particular order. */
  values(): Array<V> {
    return this.slots.filter((value): value is V => value !== undefined)
  }

  private grow(): void {
    const before = this.slots
    let length = before.length === 0 ? slotsMin : before.length * 2
    for (;;) {
      if (length > slotsMax) throw new Error("two packet identifiers are the same")
      const slots = new Array<V | undefined>(length).fill(undefined)
      let clash = false
      for (const value of before) {
        if (value === undefined) continue
        const at = value.packetId & (length - 1)
        clash ||= slots[at] !== undefined
        slots[at] = value
      }
      if (!clash) {
        this.slots = slots
        return
      }
      length *= 2
    }
  }
}
