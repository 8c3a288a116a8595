/**
 * Keeps the messages of one source in the order in which they were published, where one of them must wait for something else
 * before it may be appended [MQTT-4.6.0-6].
 *
 * Invariant: while anything waits, everything that came later waits behind it.
 */
import type { PendingPublish } from "./Publish.js"

interface Waiting {
  readonly publish: PendingPublish
  state: "held" | "ready" | "dropped"
}

export class AppendOrder {
  private readonly waiting: Array<Waiting> = []

  constructor(private readonly append: (publish: PendingPublish) => void) {}

  /** Appends as soon as everything before it has been. */
  push(publish: PendingPublish): void {
    if (this.waiting.length === 0) this.append(publish)
    else this.waiting.push({ publish, state: "ready" })
  }

  /** Takes the place of the message in the order; the answer, to be called once, says whether it is appended there. */
  hold(publish: PendingPublish): (isAppended: boolean) => void {
    const held: Waiting = { publish, state: "held" }
    this.waiting.push(held)
    return (isAppended) => {
      held.state = isAppended ? "ready" : "dropped"
      while (this.waiting.length > 0 && this.waiting[0]?.state !== "held") {
        const first = this.waiting.shift() as Waiting
        if (first.state === "ready") this.append(first.publish)
      }
    }
  }
}
