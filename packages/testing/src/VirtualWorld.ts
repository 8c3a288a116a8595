/**
 * Several processes under one clock and one scheduler. While it runs, it stands in for the timers, clocks and randomness of the
 * host, each process having its own, so that a whole cluster runs under a seed, as fast as it can.
 *
 * Invariants
 * - One task at a time; what it left to microtasks is done before the next. Time moves only when nothing is due.
 * - Which process goes first, where several have something due, is drawn from the seed. Two runs of a seed are equal, and so are
 *   their trace hashes.
 * - Processes reach each other only by `post` (and what is built on it: the network, `run`, `start`): a promise that is resolved
 *   by another process would go on in that one's name.
 */
import process from "node:process"
import { real, replace } from "./internal/HostGlobals.js"
import { SeededRandom } from "./SeededRandom.js"
import { type Surroundings, VirtualProcess } from "./VirtualProcess.js"

/** Real turns of the event loop asked for at once: the microtasks of each task are done before the next one's turn. */
const turnsAtOnceMax = 128
/** More tasks than this without time passing is a bug of what runs: it waits for itself. */
const tasksWithoutTimeMax = 200_000
/** Lines of the trace that are kept: the newest. */
const traceLinesMax = 20_000

export interface VirtualWorldOptions {
  readonly seed: number
  /** Wall clock at the beginning, ms since 1970. */
  readonly startMs?: number | undefined
  /** False: among the tasks of a process immediates come before timers, and processes take turns in order. */
  readonly drawsOrder?: boolean | undefined
}

export class VirtualWorld implements Surroundings {
  readonly seed: number
  readonly startMs: number
  readonly order: SeededRandom | undefined
  /** Where the driver of a run lives. It is never killed. */
  readonly root: VirtualProcess
  readonly processes: Array<VirtualProcess> = []
  current: VirtualProcess
  /** Since the beginning. */
  nowMs = 0
  /** Tasks run so far. */
  tasksRun = 0
  /** Asked before every task: true stops running, with what is scheduled left as it is. */
  halted: () => boolean = () => false
  readonly trace: Array<string> = []
  private hash = 0x811c9dc5
  private withoutTime = 0
  private failure: { readonly error: unknown } | undefined

  constructor({ seed, startMs = 1_700_000_000_000, drawsOrder = true }: VirtualWorldOptions) {
    this.seed = seed
    this.startMs = startMs
    this.order = drawsOrder ? new SeededRandom(seed, 1) : undefined
    this.root = this.process("driver")
    this.current = this.root
  }

  /** Another process, alive, with nothing to do. */
  process(name: string, random?: () => number): VirtualProcess {
    const made = new VirtualProcess(this, name, this.processes.length, random)
    this.processes.push(made)
    return made
  }

  /**
   * Resolves after so much time of the process that asks. Where that one is killed meanwhile the run fails: it is the driver that waits,
   * and it went on in that process's name.
   */
  sleep(ms: number): Promise<void> {
    const { current } = this
    if (current === this.root) return current.sleep(ms)
    const forget = current.whenGone(() =>
      this.fail(
        new Error(
          `the driver waits in the name of ${current.name}, which was killed: it goes on in the name of a process whose promise it waited for; wait for process.run instead`
        )
      )
    )
    return current.sleep(ms).then(forget)
  }

  /** One line of the trace; part of the trace hash. */
  note(text: string): void {
    this.trace.push(`${(this.nowMs / 1000).toFixed(4).padStart(9)} ${text}`)
    if (this.trace.length > traceLinesMax) this.trace.splice(0, traceLinesMax / 2)
    for (let index = 0; index < text.length; index++) this.mix(text.charCodeAt(index))
  }

  /** Stops the run: `run` fails with this. */
  fail(error: unknown): void {
    this.failure ??= { error }
  }

  /** Of everything that ran and was noted so far, in order. */
  get traceHash(): string {
    return (this.hash >>> 0).toString(16).padStart(8, "0")
  }

  /**
   * Runs the world until the driver is done; whatever else is still going on is left behind. Fails where the driver fails, where a
   * process throws outside of any promise, or where nothing is left to do and the driver still waits.
   */
  async run<A>(driver: () => Promise<A>): Promise<A> {
    const restore = this.install()
    try {
      let result: { readonly value: A } | undefined
      this.root.post(() => {
        driver().then(
          (value) => {
            result = { value }
          },
          (error) => this.fail(error)
        )
      })
      await this.drive(turnsAtOnceMax, () =>
        result !== undefined || this.failure !== undefined ? undefined : this.next(Number.POSITIVE_INFINITY)
      )
      if (this.failure !== undefined) throw this.failure.error
      if (result === undefined) throw new Error("nothing is left to do, and the driver waits")
      return result.value
    } finally {
      restore()
      for (const one of this.processes) one.kill()
    }
  }

  // --- for a driver outside: VirtualHost

  /** Takes the host's place; gives how to give it back. */
  install(): () => void {
    const restore = replace(() => this.current)
    const rejected = (error: unknown) => this.fail(error)
    process.on("unhandledRejection", rejected)
    return () => {
      process.off("unhandledRejection", rejected)
      restore()
    }
  }

  /** Runs at most so many tasks that are due at the present; answers how many there were. */
  async runDue(tasksMax: number): Promise<number> {
    const before = this.tasksRun
    await this.drive(Math.min(tasksMax, turnsAtOnceMax), () =>
      this.tasksRun - before < tasksMax && !this.halted() ? this.next(this.nowMs) : undefined
    )
    return this.tasksRun - before
  }

  /** Lets time pass and does all that becomes due; less where `halted` says so. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    await this.drive(16, () => (this.halted() ? undefined : this.next(untilMs)))
    if (!this.halted()) this.moveTo(untilMs)
  }

  moveTo(ms: number): void {
    if (ms > this.nowMs) {
      this.nowMs = ms
      this.withoutTime = 0
    }
  }

  // --- the scheduler

  /** The process that runs its next task, which is due at `untilMs` or before. */
  private next(untilMs: number): VirtualProcess | undefined {
    const { processes, nowMs, order } = this
    let chosen: VirtualProcess | undefined
    let candidates = 0
    let soonestMs = Number.POSITIVE_INFINITY
    for (let index = 0; index < processes.length; index++) {
      const one = processes[index] as VirtualProcess
      const { dueMs } = one
      if (dueMs <= nowMs) {
        candidates++
        // Each of those that are due is as likely as the others.
        if (candidates === 1 || (order !== undefined && order.next() * candidates < 1)) chosen = one
      } else if (dueMs < soonestMs) {
        soonestMs = dueMs
      }
    }
    if (chosen !== undefined) return chosen
    if (soonestMs > untilMs || soonestMs === Number.POSITIVE_INFINITY) return undefined
    this.moveTo(soonestMs)
    return this.next(untilMs)
  }

  private step(chosen: VirtualProcess): void {
    if (++this.withoutTime > tasksWithoutTimeMax) throw new Error("tasks make tasks and no time passes")
    this.tasksRun++
    this.mix(chosen.index)
    this.mix((this.nowMs * 1024) | 0)
    this.current = chosen
    chosen.take()()
  }

  private drive(turnsAtOnce: number, next: () => VirtualProcess | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = false
      let running: VirtualProcess | undefined
      const turn = () => {
        if (done) return
        try {
          running?.ran()
          running = next()
          if (running !== undefined) {
            this.step(running)
            real.setImmediate(turn)
            return
          }
          done = true
          this.current = this.root
          if (this.failure !== undefined) throw this.failure.error
          resolve()
        } catch (error) {
          done = true
          this.current = this.root
          reject(error)
        }
      }
      for (let count = 0; count < turnsAtOnce; count++) real.setImmediate(turn)
    })
  }

  private mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193)
  }
}
