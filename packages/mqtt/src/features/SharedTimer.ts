/**
 * Many short waits on one timer of the host: clients over their rate are not read from until their wait is over, and a host
 * timer for each would cost more than the waiting does.
 *
 * Invariants
 * - A task runs once, never early, late by the granularity and what the event loop adds.
 * - At most one host timer is set, for the first of the waits.
 */
import { DueQueue } from "@effectmq/messaging/core/DueQueue"
import type { Time } from "@effectmq/messaging/Time"

/** Waits end together where they end this near to each other. */
const granularityMs = 5

interface Wait {
  task: (() => void) | undefined
}

export class SharedTimer {
  private readonly waits = new DueQueue<Wait>()
  private armedForMs = Number.POSITIVE_INFINITY
  private disarm: (() => void) | undefined = undefined

  /** `time.nowMs` should not jump: monotonic, not the wall clock. */
  constructor(private readonly time: Pick<Time, "nowMs" | "after">) {}

  /** Runs the task after about that long; returns how to stop it. */
  after(delayMs: number, task: () => void): () => void {
    const wait: Wait = { task }
    const dueMs = Math.ceil((this.time.nowMs() + Math.max(0, delayMs)) / granularityMs) * granularityMs
    this.waits.push(dueMs, wait)
    if (dueMs < this.armedForMs) this.arm()
    return () => {
      wait.task = undefined
    }
  }

  /** Nothing runs any more. */
  stop(): void {
    this.disarm?.()
    this.disarm = undefined
    this.armedForMs = Number.NEGATIVE_INFINITY
  }

  private arm(): void {
    this.disarm?.()
    this.disarm = undefined
    const nextMs = this.waits.nextMs()
    this.armedForMs = nextMs ?? Number.POSITIVE_INFINITY
    if (nextMs !== undefined) this.disarm = this.time.after(Math.ceil(nextMs - this.time.nowMs()), () => this.fire())
  }

  private fire(): void {
    const nowMs = this.time.nowMs()
    for (let wait = this.waits.pop(nowMs); wait !== undefined; wait = this.waits.pop(nowMs)) wait.task?.()
    if (this.armedForMs !== Number.NEGATIVE_INFINITY) this.arm()
  }
}
