/**
 * Long work in small steps, so that nobody waits for it: some at once, the rest turn by turn of the event loop. Pieces of work
 * take turns with each other.
 */

export interface SlicedWork {
  /** Does a little, microseconds of it; answers whether there is more to do now. */
  step(): boolean
}

/** Steps of one piece of work before it is another's turn. */
const stepsInARow = 100

export class Slices {
  /** In the order of their turns. */
  private readonly waiting = new Set<SlicedWork>()
  private stepsLeft: number
  private running = false
  private scheduled = false

  constructor(
    /** Runs a task in the next turn of the event loop. */
    private readonly afterTick: (task: () => void) => void,
    /** Steps of all work together within one turn. */
    private readonly stepsPerTurn = 2000
  ) {
    this.stepsLeft = stepsPerTurn
  }

  get pendingCount(): number {
    return this.waiting.size
  }

  /** Does the work until its `step` says that there is no more to do now. What is already under way goes on. */
  run(work: SlicedWork): void {
    this.waiting.add(work)
    if (!this.scheduled) {
      this.scheduled = true
      this.afterTick(() => this.turn())
    }
    this.goOn()
  }

  private turn(): void {
    this.scheduled = false
    this.stepsLeft = this.stepsPerTurn
    this.goOn()
    if (this.waiting.size > 0 && !this.scheduled) {
      this.scheduled = true
      this.afterTick(() => this.turn())
    }
  }

  private goOn(): void {
    if (this.running) return
    this.running = true
    try {
      while (this.stepsLeft > 0 && this.waiting.size > 0) {
        const work = this.waiting.values().next().value as SlicedWork
        this.waiting.delete(work)
        if (this.someStepsOf(work)) this.waiting.add(work)
      }
    } finally {
      this.running = false
    }
  }

  private someStepsOf(work: SlicedWork): boolean {
    for (let steps = 0; steps < stepsInARow && this.stepsLeft > 0; steps++) {
      this.stepsLeft--
      if (!work.step()) return false
    }
    return true
  }
}
