/**
 * The clock, the timers and the randomness of one simulated process: while installed it stands in for those of the host, so that
 * a whole node runs under a seed, as fast as it can, and can be killed between any two of its tasks.
 *
 * Invariants
 * - One task at a time; what it left to microtasks is done before the next. Immediates run first in, first out, timers by the
 *   time they are due; time moves only when nothing is due at the present.
 * - Nothing runs but within `run` and `advance`. After `kill` nothing that was scheduled ever runs.
 * - One is installed at a time.
 */

const real = {
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  now: Date.now,
  performanceNow: performance.now,
  random: Math.random
}

/** Real turns of the event loop asked for at once: the microtasks of each task are done before the next one's turn. */
const turnsAtOnce = 16
/** More tasks than this without time passing is a bug of what runs: it waits for itself. */
const tasksWithoutTimeMax = 200_000

class VirtualTimer {
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

export interface VirtualHostOptions {
  /** Wall clock at the beginning, ms since 1970. */
  readonly startMs: number
  /** What `Math.random` gives. */
  readonly random: () => number
}

export class VirtualHost {
  /** Tasks run so far. */
  tasksRun = 0
  /** Asked before every task: true stops running, with what is scheduled left as it is. */
  halted: () => boolean = () => false
  private now: number
  private immediates: Array<VirtualTimer> = []
  private heap: Array<VirtualTimer> = []
  private sequence = 0
  private withoutTime = 0

  constructor(private readonly options: VirtualHostOptions) {
    this.now = options.startMs
  }

  /** Wall clock, ms since 1970, with fractions. */
  get nowMs(): number {
    return this.now
  }

  /** Takes the host's place; gives how to give it back. */
  install(): () => void {
    if (globalThis.setImmediate !== real.setImmediate) throw new Error("a virtual host is installed already")
    const immediate = (task: (...values: ReadonlyArray<unknown>) => void, ...values: ReadonlyArray<unknown>) => {
      const timer = new VirtualTimer(this.now, this.sequence++, () => task(...values), 0)
      this.immediates.push(timer)
      return timer
    }
    const timeout =
      (repeats: boolean) =>
      (task: (...values: ReadonlyArray<unknown>) => void, delayMs = 0, ...values: ReadonlyArray<unknown>) => {
        const waitMs = delayMs > 1 ? delayMs : 1
        return this.push(this.now + waitMs, () => task(...values), repeats ? waitMs : 0)
      }
    const cancel = (timer: unknown) => {
      if (timer instanceof VirtualTimer) timer.cancelled = true
    }
    Object.assign(globalThis, {
      setImmediate: immediate,
      clearImmediate: cancel,
      setTimeout: timeout(false),
      clearTimeout: cancel,
      setInterval: timeout(true),
      clearInterval: cancel
    })
    Date.now = () => Math.floor(this.now)
    performance.now = () => this.now - this.options.startMs
    Math.random = this.options.random
    return () => {
      const { now, performanceNow, random, ...timers } = real
      Object.assign(globalThis, timers)
      Date.now = now
      performance.now = performanceNow
      Math.random = random
    }
  }

  /** Runs at most so many tasks that are due at the present; answers how many there were. */
  async run(tasksMax: number): Promise<number> {
    const before = this.tasksRun
    await this.drive(() => (this.tasksRun - before < tasksMax ? this.due(this.now) : undefined))
    return this.tasksRun - before
  }

  /** Lets time pass and does all that becomes due; less where `halted` says so. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.now + ms
    await this.drive(() => this.due(untilMs))
    if (!this.halted()) this.moveTo(untilMs)
  }

  /** Resolves after that much simulated time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.push(this.now + ms, resolve, 0))
  }

  /** The process is gone: forgets whatever it had scheduled. */
  kill(): void {
    this.immediates = []
    this.heap = []
    this.withoutTime = 0
  }

  /** Moves the clock while nothing runs: the machine is off. */
  skip(ms: number): void {
    this.moveTo(this.now + ms)
  }

  private moveTo(ms: number): void {
    if (ms > this.now) {
      this.now = ms
      this.withoutTime = 0
    }
  }

  /** The next task that is due at `untilMs` or before. */
  private due(untilMs: number): (() => void) | undefined {
    for (;;) {
      const immediate = this.immediates.shift()
      if (immediate === undefined) break
      if (!immediate.cancelled) return immediate.task
    }
    for (;;) {
      const first = this.heap[0]
      if (first === undefined || first.dueMs > untilMs) return undefined
      this.pop()
      if (first.cancelled) continue
      this.moveTo(first.dueMs)
      if (first.intervalMs > 0) {
        first.dueMs = this.now + first.intervalMs
        first.sequence = this.sequence++
        this.insert(first)
      }
      return first.task
    }
  }

  private drive(next: () => (() => void) | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = false
      const turn = () => {
        if (done) return
        const task = this.halted() ? undefined : next()
        if (task === undefined) {
          done = true
          resolve()
          return
        }
        try {
          if (++this.withoutTime > tasksWithoutTimeMax) throw new Error("tasks make tasks and no time passes")
          this.tasksRun++
          task()
        } catch (error) {
          done = true
          reject(error)
          return
        }
        real.setImmediate(turn)
      }
      for (let count = 0; count < turnsAtOnce; count++) real.setImmediate(turn)
    })
  }

  private push(dueMs: number, task: () => void, intervalMs: number): VirtualTimer {
    const timer = new VirtualTimer(dueMs, this.sequence++, task, intervalMs)
    this.insert(timer)
    return timer
  }

  private insert(timer: VirtualTimer): void {
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

  private pop(): void {
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
