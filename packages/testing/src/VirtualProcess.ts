/**
 * One process of a `VirtualWorld`: what is scheduled while a task of it runs belongs to it. It can be killed between any two of its
 * tasks (or in the middle of one, which then speaks to nobody any more), started again, and paused; it has clocks and randomness of
 * its own.
 *
 * Invariants
 * - Nothing that a killed process had scheduled ever runs; nothing it schedules afterwards is taken.
 * - While it is paused its tasks wait, and time goes on.
 * - Immediates run first in, first out; timers by the time they are due, which its own rate of time decides. Which of both kinds
 *   comes first is drawn, where the world draws.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { Running } from "./internal/HostGlobals.js"
import { TimerHeap, VirtualTimer } from "./internal/TimerHeap.js"
import { SeededRandom } from "./SeededRandom.js"

/** What it was doing will not be answered. */
export class ProcessKilled extends Data.TaggedError("ProcessKilled")<{ readonly process: string }> {}

/** What a process needs of the world it is in. */
export interface Surroundings {
  readonly nowMs: number
  /** Wall clock of the world at 0. */
  readonly startMs: number
  readonly seed: number
  /** Draws the order of what is due at the same moment; undefined: immediates come before timers. */
  readonly order: SeededRandom | undefined
  /** Whose task is running. */
  readonly current: VirtualProcess
  note(text: string): void
}

/** Without stacks: those differ between machines, and traces must not. */
const problemOf = (cause: Cause.Cause<unknown>): unknown => {
  const problem = Cause.squash(cause)
  return problem instanceof Error ? `${problem.name}: ${problem.message}` : problem
}

const described = (message: unknown): string =>
  (Array.isArray(message) ? message : [message]).map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" ")

export class VirtualProcess implements Running {
  /** Rises with every start and every kill. */
  incarnation = 0
  alive = true
  paused = false
  /** Simulated time that each of its tasks takes, during which no other of its tasks runs. */
  taskMs = 0
  /** Tasks run so far, in all incarnations. */
  tasksRun = 0
  random: () => number
  effectRandom: Random.Random
  private immediates: Array<VirtualTimer> = []
  private immediatesHead = 0
  private readonly timers = new TimerHeap()
  private sequence = 0
  private busyUntilMs = 0
  private tasksLeft = Number.POSITIVE_INFINITY
  private whenKilled: () => void = () => undefined
  private rate = 1
  private baseWorldMs: number
  private baseLocalMs: number
  private bootLocalMs: number
  private wallOffsetMs = 0
  private readonly waiting = new Set<() => void>()
  private scope: Scope.CloseableScope | undefined

  constructor(
    private readonly world: Surroundings,
    readonly name: string,
    readonly index: number,
    random?: () => number
  ) {
    this.baseWorldMs = this.baseLocalMs = this.bootLocalMs = world.nowMs
    this.random = random ?? this.newRandom()
    this.effectRandom = Random.make(this.random())
  }

  // --- life

  /** Gone at once, as by kill -9: nothing of it runs any more. Another may be started in its place. */
  kill(): void {
    if (!this.alive) return
    this.alive = false
    this.incarnation++
    this.scope = undefined
    this.forget()
    for (const tell of [...this.waiting]) tell()
    this.waiting.clear()
  }

  /** Drops whatever it had scheduled. */
  forget(): void {
    this.immediates = []
    this.immediatesHead = 0
    this.timers.clear()
    this.busyUntilMs = 0
    this.tasksLeft = Number.POSITIVE_INFINITY
  }

  /** Tells once when it is killed, or that it is dead. Answers how to ask no more. */
  whenGone(tell: () => void): () => void {
    if (this.alive) this.waiting.add(tell)
    else tell()
    return () => this.waiting.delete(tell)
  }

  /** A process that was killed begins anew, with nothing to do. */
  revive(): void {
    if (this.alive) throw new Error(`${this.name} is alive`)
    this.alive = true
    this.paused = false
    this.incarnation++
    this.bootLocalMs = this.localMs
    this.random = this.newRandom()
    this.effectRandom = Random.make(this.random())
  }

  /** Kills it when it has run so many more tasks; `then` runs in the process that asked for it. */
  killAfter(tasks: number, then: () => void): void {
    const asking = this.world.current
    this.tasksLeft = tasks
    this.whenKilled = () => asking.post(then)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  /** Runs a task in this process, in a turn of its own. A dead process ignores it. */
  post(task: () => void, delayMs = 0): void {
    if (!this.alive) return
    if (delayMs > 0) this.push(delayMs * this.rate, task, 0)
    else this.immediate(task)
  }

  /** Runs an effect in this process. The answer comes to the process that asked. */
  run<A, E>(effect: Effect.Effect<A, E>): Promise<Exit.Exit<A, E | ProcessKilled>> {
    const asking = this.world.current
    return new Promise((resolve) => {
      const killed = () => asking.post(() => resolve(Exit.fail(new ProcessKilled({ process: this.name }))))
      if (!this.alive) return killed()
      this.waiting.add(killed)
      this.post(() => {
        Effect.runFork(Effect.provide(effect, this.logger)).addObserver((exit) => {
          if (this.waiting.delete(killed)) asking.post(() => resolve(exit))
        })
      })
    })
  }

  /** Builds a Layer in this process, which is revived where it is dead. Its resources live until `stop`, or until it is killed. */
  async start<A, E>(layer: Layer.Layer<A, E>): Promise<Exit.Exit<Context.Context<A>, E | ProcessKilled>> {
    if (!this.alive) this.revive()
    const scope = Effect.runSync(Scope.make())
    this.scope = scope
    return this.run(Layer.buildWithScope(layer, scope))
  }

  /** Stops as a signal stops a process: its resources are released in turn; then it is dead. */
  async stop(): Promise<Exit.Exit<void, ProcessKilled>> {
    const exit = await this.run(this.scope === undefined ? Effect.void : Scope.close(this.scope, Exit.void))
    this.kill()
    return exit
  }

  private get logger(): Layer.Layer<never> {
    return Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ logLevel, message, cause, annotations }) => {
        const fields = [...annotations].map(([name, value]) => ` ${name}=${String(value)}`).join("")
        const why = Cause.isEmpty(cause) ? "" : `: ${described(problemOf(cause))}`
        this.world.note(`${this.name}: ${logLevel.label} ${described(message)}${fields}${why}`)
      })
    )
  }

  private newRandom(): () => number {
    return new SeededRandom(this.world.seed, 1000 * (this.index + 1) + this.incarnation).next
  }

  // --- clocks

  /** Its own time, which its rate drives. */
  private get localMs(): number {
    return this.baseLocalMs + (this.world.nowMs - this.baseWorldMs) * this.rate
  }

  wallMs(): number {
    return this.world.startMs + this.localMs + this.wallOffsetMs
  }

  uptimeMs(): number {
    return this.localMs - this.bootLocalMs
  }

  /** Its wall clock jumps; timers do not. */
  jumpClock(ms: number): void {
    this.wallOffsetMs += ms
  }

  /** How fast its clocks and timers go: 1.01 gains ten milliseconds in a second. */
  setRate(rate: number): void {
    this.baseLocalMs = this.localMs
    this.baseWorldMs = this.world.nowMs
    this.rate = rate
  }

  // --- what it schedules

  immediate(task: () => void): VirtualTimer {
    const timer = new VirtualTimer(0, this.sequence++, task, 0)
    if (this.alive) this.immediates.push(timer)
    return timer
  }

  timer(task: () => void, delayMs: number, repeats: boolean): VirtualTimer {
    // Node's: anything below 1 ms is 1 ms.
    const waitMs = delayMs > 1 ? delayMs : 1
    return this.push(waitMs, task, repeats ? waitMs : 0)
  }

  /** Resolves after so much of its time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.push(ms, resolve, 0))
  }

  private push(waitMs: number, task: () => void, intervalMs: number): VirtualTimer {
    const timer = new VirtualTimer(this.localMs + waitMs, this.sequence++, task, intervalMs)
    if (this.alive) this.timers.push(timer)
    return timer
  }

  // --- for the world

  /** The moment of the world at which something of it may run. */
  get dueMs(): number {
    if (this.paused || !this.alive) return Number.POSITIVE_INFINITY
    const { busyUntilMs } = this
    if (this.hasImmediate()) return busyUntilMs
    const first = this.timers.first()
    if (first === undefined) return Number.POSITIVE_INFINITY
    const dueMs = this.baseWorldMs + (first.dueMs - this.baseLocalMs) / this.rate
    return dueMs > busyUntilMs ? dueMs : busyUntilMs
  }

  /** Takes the next task that is due; call only where `dueMs` is not later than the present. */
  take(): () => void {
    const { world } = this
    this.tasksRun++
    if (this.taskMs > 0) this.busyUntilMs = world.nowMs + this.taskMs
    const first = this.timers.first()
    if (this.hasImmediate()) {
      const either = first !== undefined && first.dueMs <= this.localMs && world.order !== undefined
      if (!either || world.order.chance(0.5)) return this.takeImmediate()
    }
    const timer = first as VirtualTimer
    this.timers.pop()
    // Rounding must not let a timer see a moment before it was due.
    if (this.localMs < timer.dueMs) {
      this.baseLocalMs = timer.dueMs
      this.baseWorldMs = world.nowMs
    }
    if (timer.intervalMs > 0) {
      timer.dueMs = this.localMs + timer.intervalMs
      timer.sequence = this.sequence++
      this.timers.push(timer)
    }
    return timer.task
  }

  /** A task of it has run. */
  ran(): void {
    if (--this.tasksLeft > 0) return
    const { whenKilled } = this
    this.kill()
    whenKilled()
  }

  private hasImmediate(): boolean {
    const { immediates } = this
    while (this.immediatesHead < immediates.length) {
      if (!(immediates[this.immediatesHead] as VirtualTimer).cancelled) return true
      this.immediatesHead++
    }
    if (immediates.length > 0) {
      this.immediates = []
      this.immediatesHead = 0
    }
    return false
  }

  private takeImmediate(): () => void {
    return (this.immediates[this.immediatesHead++] as VirtualTimer).task
  }
}
