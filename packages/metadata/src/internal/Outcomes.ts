/**
 * What became of a command, in the forms in which nodes tell each other.
 */
import { type MetadataRefusal, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Refusal } from "../core/decideOffers.js"

/** A command that waits for the leader on this node to decide it. */
export interface Offer {
  readonly command: MetadataCommand
  /** As in `SubmittedCommand`. */
  readonly basisVersion: number
  /** As in `SubmittedCommand`. */
  readonly attempt: number
  /** By `uptimeMs`; whoever offers it waits no longer. */
  readonly deadlineMs: number
  /** Called once. */
  readonly answer: (outcome: SubmitOutcome) => void
}

export const doneWith = (reply: MetadataReply): SubmitOutcome => ({ _tag: "Done", reply })

export const refusedBy = (error: MetadataRefusal): SubmitOutcome => ({ _tag: "Refused", error })

/** `leaderId` 0: nobody is known to lead. */
export const notLeader = (leaderId: number, term: number, address?: string | undefined): SubmitOutcome =>
  address === undefined ? { _tag: "NotLeader", leaderId, term } : { _tag: "NotLeader", leaderId, term, address }

export const unavailable = (reason: MetadataUnavailable["reason"], message: string): SubmitOutcome => ({
  _tag: "Unavailable",
  error: new MetadataUnavailable({ reason, message })
})

export const leaderLost: SubmitOutcome = { _tag: "Lost" }

/** Of a decision; a decider that threw has a bug, its command had no effect. */
export const outcomeOf = (exit: Exit.Exit<MetadataReply, Refusal>): SubmitOutcome => {
  if (exit._tag === "Success") return doneWith(exit.value)
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failure === undefined) return unavailable("io", `the change was not made because of a defect: ${Cause.pretty(exit.cause)}`)
  return failure._tag === "MetadataUnavailable" ? { _tag: "Unavailable", error: failure } : refusedBy(failure)
}
