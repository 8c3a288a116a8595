/**
 * A first-in first-out queue over an array ring: no allocation per item once it has grown, and nothing while it is empty.
 */
export class Fifo<V> {
  private ring: Array<V | undefined> = []
  private head = 0
  private count = 0

  get size(): number {
    return this.count
  }

  push(value: V): void {
    if (this.count === this.ring.length) this.grow()
    this.ring[(this.head + this.count) & (this.ring.length - 1)] = value
    this.count++
  }

  /** Puts a value before all others. */
  unshift(value: V): void {
    if (this.count === this.ring.length) this.grow()
    this.head = (this.head - 1) & (this.ring.length - 1)
    this.ring[this.head] = value
    this.count++
  }

  peek(): V | undefined {
    return this.count === 0 ? undefined : this.ring[this.head]
  }

  shift(): V | undefined {
    if (this.count === 0) return undefined
    const value = this.ring[this.head]
    this.ring[this.head] = undefined
    this.head = (this.head + 1) & (this.ring.length - 1)
    this.count--
    // A queue that was long once and is empty now gives its memory back.
    if (this.count === 0 && this.ring.length > 1024) this.clear()
    return value
  }

  clear(): void {
    this.ring = []
    this.head = 0
    this.count = 0
  }

  *values(): IterableIterator<V> {
    for (let index = 0; index < this.count; index++) yield this.ring[(this.head + index) & (this.ring.length - 1)] as V
  }

  private grow(): void {
    const ring = new Array<V | undefined>(Math.max(8, this.ring.length * 2)).fill(undefined)
    for (let index = 0; index < this.count; index++) ring[index] = this.ring[(this.head + index) & (this.ring.length - 1)]
    this.ring = ring
    this.head = 0
  }
}
