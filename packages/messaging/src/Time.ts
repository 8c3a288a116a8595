/**
 * Time as messaging takes it: given from outside, so that a simulation can hold it.
 */
export interface Time {
  /** Wall clock, ms since 1970. Order and durability never depend on it. */
  nowMs(): number
  /** Runs the task after what this turn of the event loop still brings: what gathers until then goes out together. */
  afterTick(task: () => void): void
  /** Runs the task after about that long; returns how to stop it. */
  after(delayMs: number, task: () => void): () => void
}

/** The host's clock and event loop. */
export const systemTime: Time = {
  nowMs: () => Date.now(),
  afterTick: (task) => {
    setImmediate(task)
  },
  after: (delayMs, task) => {
    // A host timer holds 2^31-1 ms at most; who waits longer looks again then.
    const timer = setTimeout(task, Math.min(Math.max(delayMs, 0), 2_147_483_647))
    return () => clearTimeout(timer)
  }
}
