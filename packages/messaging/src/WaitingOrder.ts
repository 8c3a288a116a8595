/**
 * Keeps what comes in the order in which it came, where one must wait for something else before it may go on [MQTT-4.6.0-6].
 *
 * Invariant: while anything waits, everything that came later waits behind it.
 */
interface Waiting<T> {
  readonly item: T
  state: "held" | "ready" | "dropped"
}

export class WaitingOrder<T> {
  private readonly waiting: Array<Waiting<T>> = []

  constructor(private readonly goOn: (item: T) => void) {}

  /** Goes on as soon as everything before it has. */
  push(item: T): void {
    if (this.waiting.length === 0) this.goOn(item)
    else this.waiting.push({ item, state: "ready" })
  }

  /** Takes its place in the order; the answer, to be called once, says whether it goes on there. */
  hold(item: T): (goesOn: boolean) => void {
    const held: Waiting<T> = { item, state: "held" }
    this.waiting.push(held)
    return (goesOn) => {
      held.state = goesOn ? "ready" : "dropped"
      while (this.waiting.length > 0 && this.waiting[0]?.state !== "held") {
        const first = this.waiting.shift() as Waiting<T>
        if (first.state === "ready") this.goOn(first.item)
      }
    }
  }
}
