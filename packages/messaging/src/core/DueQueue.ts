/**
 * A binary heap of things by the time they are due. Cancelling is the owner's: it leaves the entry and ignores it when it comes.
 */
export class DueQueue<V> {
  private readonly times: Array<number> = []
  private readonly values: Array<V> = []

  get size(): number {
    return this.times.length
  }

  /** When the first is due; undefined where there is none. */
  nextMs(): number | undefined {
    return this.times[0]
  }

  push(dueMs: number, value: V): void {
    const { times, values } = this
    let index = times.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      if ((times[parent] as number) <= dueMs) break
      times[index] = times[parent] as number
      values[index] = values[parent] as V
      index = parent
    }
    times[index] = dueMs
    values[index] = value
  }

  /** Takes out the first that is due at `nowMs`. */
  pop(nowMs: number): V | undefined {
    const { times, values } = this
    if (times.length === 0 || (times[0] as number) > nowMs) return undefined
    const first = values[0] as V
    const dueMs = times.pop() as number
    const value = values.pop() as V
    const length = times.length
    if (length > 0) {
      let index = 0
      for (;;) {
        let child = 2 * index + 1
        if (child >= length) break
        if (child + 1 < length && (times[child + 1] as number) < (times[child] as number)) child++
        if ((times[child] as number) >= dueMs) break
        times[index] = times[child] as number
        values[index] = values[child] as V
        index = child
      }
      times[index] = dueMs
      values[index] = value
    }
    return first
  }
}
