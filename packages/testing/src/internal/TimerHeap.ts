/**
 * Timers by the moment they are due, and among equals by the order they were made in.
 */
export class VirtualTimer {
  cancelled = false

  constructor(
    public dueMs: number,
    public sequence: number,
    readonly task: () => void,
    /** 0: once. */
    readonly intervalMs: number
  ) {}

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return true
  }
}

const isBefore = (a: VirtualTimer, b: VirtualTimer): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence)

export class TimerHeap {
  private heap: Array<VirtualTimer> = []

  /** The next one that was not cancelled. */
  first(): VirtualTimer | undefined {
    for (;;) {
      const first = this.heap[0]
      if (first === undefined || !first.cancelled) return first
      this.pop()
    }
  }

  clear(): void {
    this.heap = []
  }

  push(timer: VirtualTimer): void {
    const { heap } = this
    let index = heap.push(timer) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (isBefore(heap[parent] as VirtualTimer, timer)) break
      heap[index] = heap[parent] as VirtualTimer
      index = parent
    }
    heap[index] = timer
  }

  /** Takes the first one away. */
  pop(): void {
    const { heap } = this
    const last = heap.pop() as VirtualTimer
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      const right = heap[child + 1]
      if (right !== undefined && isBefore(right, heap[child] as VirtualTimer)) child++
      if (isBefore(last, heap[child] as VirtualTimer)) break
      heap[index] = heap[child] as VirtualTimer
      index = child
    }
    heap[index] = last
  }
}
