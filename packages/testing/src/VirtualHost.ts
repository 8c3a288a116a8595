/**
 * A `VirtualWorld` of one process, driven from outside: the driver says how far time goes, and may kill the process between any two
 * of its tasks.
 *
 * Invariants
 * - Immediates run first in, first out, timers by the time they are due; time moves only when nothing is due at the present.
 * - Nothing runs but within `run` and `advance`. After `kill` nothing that was scheduled ever runs.
 * - One is installed at a time.
 */
import * as Random from "effect/Random"
import type { VirtualProcess } from "./VirtualProcess.js"
import { VirtualWorld } from "./VirtualWorld.js"

export interface VirtualHostOptions {
  /** Wall clock at the beginning, ms since 1970. */
  readonly startMs: number
  /** What `Math.random` gives. */
  readonly random: () => number
}

export class VirtualHost {
  private readonly world: VirtualWorld
  private readonly process: VirtualProcess

  constructor({ startMs, random }: VirtualHostOptions) {
    this.world = new VirtualWorld({ seed: 0, startMs, drawsOrder: false })
    this.process = this.world.root
    this.process.random = random
    this.process.effectRandom = Random.make(random())
  }

  /** Tasks run so far. */
  get tasksRun(): number {
    return this.world.tasksRun
  }

  /** Of everything that ran so far, in order. */
  get traceHash(): string {
    return this.world.traceHash
  }

  /** Asked before every task: true stops running, with what is scheduled left as it is. */
  get halted(): () => boolean {
    return this.world.halted
  }

  set halted(halted: () => boolean) {
    this.world.halted = halted
  }

  /** Wall clock, ms since 1970, with fractions. */
  get nowMs(): number {
    return this.process.wallMs()
  }

  /** Takes the host's place; gives how to give it back. */
  install(): () => void {
    return this.world.install()
  }

  /** Runs at most so many tasks that are due at the present; answers how many there were. */
  run(tasksMax: number): Promise<number> {
    return this.world.runDue(tasksMax)
  }

  /** Lets time pass and does all that becomes due; less where `halted` says so. */
  advance(ms: number): Promise<void> {
    return this.world.advance(ms)
  }

  /** Resolves after that much simulated time. */
  sleep(ms: number): Promise<void> {
    return this.process.sleep(ms)
  }

  /** The process is gone: forgets whatever it had scheduled. */
  kill(): void {
    this.process.forget()
  }

  /** Moves the clock while nothing runs: the machine is off. */
  skip(ms: number): void {
    this.world.moveTo(this.world.nowMs + ms)
  }
}
