/**
 * Where a member stands, and who is told when that changes.
 */
import * as Effect from "effect/Effect"
import type { RaftMachine } from "../core/RaftMachine.js"
import type { RaftStatus } from "../RaftNode.js"

export class StatusBoard {
  /** What was told last. */
  private known: RaftStatus | undefined
  private readonly listeners = new Set<(status: RaftStatus) => void>()
  /** What listeners threw. */
  private readonly problems: Array<unknown> = []

  constructor(
    private readonly nodeId: number,
    private readonly tickMs: number,
    private readonly machine: RaftMachine,
    private readonly stands: () => Pick<RaftStatus, "fenced" | "noSpace">
  ) {}

  status(): RaftStatus {
    const { machine, tickMs, nodeId } = this
    return {
      nodeId,
      role: machine.role === "follower" && !machine.isVoter ? "learner" : machine.role,
      term: machine.term,
      leaderId: machine.leaderId,
      firstIndex: machine.firstIndex,
      lastIndex: machine.lastIndex,
      commitIndex: machine.commitIndex,
      appliedIndex: machine.appliedIndex,
      snapshotIndex: machine.snapshot?.index ?? 0,
      membership: machine.membership,
      membershipIndex: machine.membershipIndex,
      followers: Array.from(machine.followers, (follower) => ({
        nodeId: follower.nodeId,
        matchIndex: follower.matchIndex,
        state: follower.state,
        silentMs: follower.silentTicks * tickMs
      })),
      ...this.stands()
    }
  }

  onStatus(listener: (status: RaftStatus) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** Something changed that was not told yet. */
  get hasNews(): boolean {
    const { machine, known } = this
    const { fenced, noSpace } = this.stands()
    return (
      known?.term !== machine.term ||
      known.leaderId !== machine.leaderId ||
      known.membership !== machine.membership ||
      known.fenced !== fenced ||
      known.noSpace !== noSpace ||
      (known.role === "learner" ? "follower" : known.role) !== machine.role
    )
  }

  /** Tells everybody where something changed; answers what was told before and now. */
  tell(): { readonly before: RaftStatus | undefined; readonly now: RaftStatus } | undefined {
    if (!this.hasNews) return undefined
    const { known: before } = this
    const now = this.status()
    this.known = now
    for (const listener of this.listeners) {
      try {
        listener(now)
      } catch (problem) {
        this.problems.push(problem)
      }
    }
    return { before, now }
  }

  get hasProblems(): boolean {
    return this.problems.length > 0
  }

  readonly tellProblems = Effect.suspend(() => {
    if (this.problems.length === 0) return Effect.void
    return Effect.logError("a listener threw, which none may", ...this.problems.splice(0))
  })

  clear(): void {
    this.listeners.clear()
  }
}
