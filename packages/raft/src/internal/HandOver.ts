/**
 * A leader that is about to stop in order hands leadership on first, so that the others need not wait for an election timeout.
 *
 * Invariant: bounded in time, tried once. Only voters that answered within an election timeout are asked, who has most of the log
 * first; where there is none nothing is waited for.
 */
import * as Effect from "effect/Effect"
import type { RaftMachine } from "../core/RaftMachine.js"
import type { RaftUnavailable } from "../RaftUnavailable.js"

export const handOverMsMax = 1_000

export type Transfer = (to: number) => Effect.Effect<void, RaftUnavailable>

const next = (machine: RaftMachine, tried: ReadonlySet<number>): number | undefined => {
  let best: { readonly nodeId: number; readonly matchIndex: number } | undefined
  for (const follower of machine.followers) {
    const { nodeId, heardEver, silentTicks, matchIndex } = follower
    const mayLead = machine.membership.voters.includes(nodeId) && heardEver && silentTicks < machine.electionTicks
    if (mayLead && !tried.has(nodeId) && matchIndex > (best?.matchIndex ?? -1)) best = follower
  }
  return best?.nodeId
}

export const makeHandOver = (machine: RaftMachine, transfer: Transfer): Effect.Effect<void> => {
  let isTried = false
  const attempts = Effect.gen(function* () {
    const tried = new Set<number>()
    while (machine.role === "leader") {
      const to = machine.transferTo === 0 ? next(machine, tried) : machine.transferTo
      if (to === undefined || tried.has(to)) return
      tried.add(to)
      yield* Effect.ignore(transfer(to))
    }
  })
  return Effect.suspend(() => {
    if (isTried) return Effect.void
    isTried = true
    // It is called where a scope closes, and that is not interrupted.
    return Effect.asVoid(Effect.timeoutOption(Effect.interruptible(attempts), handOverMsMax))
  })
}
