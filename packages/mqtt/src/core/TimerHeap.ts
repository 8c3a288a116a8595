/**
 * Deadlines of connections and sessions in one binary heap: one host timer serves them all.
 *
 * Invariant: `heap[entry.heapIndex] === entry` for every entry in it; an entry outside has `heapIndex` -1.
 */
export interface Timed {
  /** Wall-clock or monotonic ms, as the owner of the heap decides; read by the heap only. */
  deadlineMs: number
  /** Written by the heap only. -1: not in it. */
  heapIndex: number
  /** The deadline has come; the entry is out of the heap and may be set again. */
  onDeadline(nowMs: number): void
}

export class TimerHeap {
  private readonly heap: Array<Timed> = []

  get size(): number {
    return this.heap.length
  }

  /** The earliest deadline; Infinity where there is none. */
  get nextMs(): number {
    return this.heap.length === 0 ? Infinity : (this.heap[0] as Timed).deadlineMs
  }

  set(entry: Timed, deadlineMs: number): void {
    if (entry.heapIndex === -1) {
      entry.deadlineMs = deadlineMs
      entry.heapIndex = this.heap.length
      this.heap.push(entry)
      this.up(entry.heapIndex)
    } else {
      const earlier = deadlineMs < entry.deadlineMs
      entry.deadlineMs = deadlineMs
      if (earlier) this.up(entry.heapIndex)
      else this.down(entry.heapIndex)
    }
  }

  clear(entry: Timed): void {
    const index = entry.heapIndex
    if (index === -1) return
    entry.heapIndex = -1
    const last = this.heap.pop() as Timed
    if (last === entry) return
    this.put(last, index)
    this.up(index)
    this.down(last.heapIndex)
  }

  /** Calls every entry whose deadline is not after `nowMs`, earliest first. */
  advance(nowMs: number): void {
    while (this.heap.length > 0 && (this.heap[0] as Timed).deadlineMs <= nowMs) {
      const entry = this.heap[0] as Timed
      this.clear(entry)
      entry.onDeadline(nowMs)
    }
  }

  private put(entry: Timed, index: number): void {
    this.heap[index] = entry
    entry.heapIndex = index
  }

  private up(from: number): void {
    let index = from
    const entry = this.heap[index] as Timed
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = this.heap[parentIndex] as Timed
      if (parent.deadlineMs <= entry.deadlineMs) break
      this.put(parent, index)
      index = parentIndex
    }
    this.put(entry, index)
  }

  private down(from: number): void {
    let index = from
    const entry = this.heap[index] as Timed
    for (;;) {
      let childIndex = index * 2 + 1
      if (childIndex >= this.heap.length) break
      const right = this.heap[childIndex + 1]
      if (right !== undefined && right.deadlineMs < (this.heap[childIndex] as Timed).deadlineMs) childIndex++
      const child = this.heap[childIndex] as Timed
      if (child.deadlineMs >= entry.deadlineMs) break
      this.put(child, index)
      index = childIndex
    }
    this.put(entry, index)
  }
}
