/**
 * Lets a few work at once and the others wait their turn, a bounded number of them. Entering, leaving and going away are all of
 * constant cost: it is longest when somebody attacks.
 *
 * Invariant: each `Place` that has entered leaves once, whatever became of it.
 */

/** One that works, waits, or is gone. */
export interface Place {
  state: "new" | "working" | "waiting" | "gone"
  /** Called when its turn has come: at once, or from within another's `leave`. */
  readonly begin: () => void
}

export class WaitingLine {
  private readonly waiting = new Set<Place>()
  private working = 0

  constructor(
    private readonly workingMax: number,
    private readonly waitingMax: number
  ) {}

  /** Nobody may enter now. */
  get isFull(): boolean {
    return this.working >= this.workingMax && this.waiting.size >= this.waitingMax
  }

  enter(place: Place): void {
    if (place.state !== "new") return
    if (this.working < this.workingMax) {
      this.working++
      place.state = "working"
      place.begin()
    } else {
      place.state = "waiting"
      this.waiting.add(place)
    }
  }

  /** It is done, or has no more wish to wait. */
  leave(place: Place): void {
    const { state } = place
    place.state = "gone"
    if (state === "waiting") this.waiting.delete(place)
    if (state !== "working") return
    const [next] = this.waiting
    if (next === undefined) {
      this.working--
    } else {
      this.waiting.delete(next)
      next.state = "working"
      next.begin()
    }
  }
}
