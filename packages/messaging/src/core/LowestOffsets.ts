/**
 * The entries with the lowest offsets of many, at most so many, given out lowest first: a heap while they are gathered, then sorted
 * in place a step at a time, so that neither holds anybody up.
 *
 * Invariant: while gathering, the highest is at the root; while sorting, what is behind `heaped` is sorted and higher.
 */
export class LowestOffsets<E> {
  private readonly offsets: Array<number> = []
  private readonly entries: Array<E> = []
  private heaped = 0
  private given = 0
  /** Some were left out because they were higher than so many. */
  isFull = false

  constructor(private readonly countMax: number) {}

  get size(): number {
    return this.offsets.length - this.given
  }

  add(offset: number, entry: E): void {
    if (this.offsets.length < this.countMax) {
      this.offsets.push(offset)
      this.entries.push(entry)
      this.heaped++
      this.rise(this.heaped - 1)
      return
    }
    this.isFull = true
    if (offset >= (this.offsets[0] as number)) return
    this.offsets[0] = offset
    this.entries[0] = entry
    this.sink(0)
  }

  /** Sorts a little; answers whether it is done. */
  sort(steps: number): boolean {
    for (let left = steps; left > 0 && this.heaped > 1; left--) {
      this.heaped--
      this.swap(0, this.heaped)
      this.sink(0)
    }
    return this.heaped <= 1
  }

  /** The lowest that is left, once it is sorted. */
  take(): { readonly offset: number; readonly entry: E } | undefined {
    const at = this.given
    if (at >= this.offsets.length) return undefined
    this.given++
    return { offset: this.offsets[at] as number, entry: this.entries[at] as E }
  }

  private rise(from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((this.offsets[parent] as number) >= (this.offsets[at] as number)) return
      this.swap(at, parent)
      at = parent
    }
  }

  private sink(from: number): void {
    let at = from
    for (;;) {
      const left = at * 2 + 1
      if (left >= this.heaped) return
      const right = left + 1
      const higher = right < this.heaped && (this.offsets[right] as number) > (this.offsets[left] as number) ? right : left
      if ((this.offsets[at] as number) >= (this.offsets[higher] as number)) return
      this.swap(at, higher)
      at = higher
    }
  }

  private swap(a: number, b: number): void {
    const offset = this.offsets[a] as number
    const entry = this.entries[a] as E
    this.offsets[a] = this.offsets[b] as number
    this.entries[a] = this.entries[b] as E
    this.offsets[b] = offset
    this.entries[b] = entry
  }
}
