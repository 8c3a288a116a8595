/**
 * Watches linearizable reads: what a read leans on is never older than what was committed anywhere when it was asked for.
 */
import * as Effect from "effect/Effect"
import type { Violations } from "./Violations.js"

export class ReadWatch {
  /** By who asks and the number of the request: what was committed when it was sent. */
  private readonly floorByRequest = new Map<string, number>()

  constructor(
    private readonly violations: Violations,
    private readonly committedIndex: () => number
  ) {}

  /** A member asks its leader. */
  requested(nodeId: number, requestId: number): void {
    const key = `${nodeId} ${requestId}`
    if (!this.floorByRequest.has(key)) this.floorByRequest.set(key, this.committedIndex())
  }

  /** A leader says to which index a member must have applied. */
  answered(leaderId: number, nodeId: number, requestId: number, index: number): void {
    const floor = this.floorByRequest.get(`${nodeId} ${requestId}`)
    if (index < 0) return
    if (floor === undefined) {
      this.violations.add(`node ${leaderId} answers a read of node ${nodeId} that was never sent`)
    } else if (index < floor) {
      this.violations.add(`node ${leaderId} answers a read of node ${nodeId} with ${index}, and ${floor} was committed before it`)
    }
  }

  /** `barrier`, and what it answers is judged. */
  watched<E>(nodeId: number, barrier: Effect.Effect<number, E>): Effect.Effect<number, E> {
    return Effect.suspend(() => {
      const floor = this.committedIndex()
      return Effect.tap(barrier, (appliedIndex) =>
        Effect.sync(() => {
          if (appliedIndex >= floor) return
          this.violations.add(`node ${nodeId} reads at ${appliedIndex}, and ${floor} was committed before`)
        })
      )
    })
  }
}
