/**
 * `Controller` on any node: tries a command at the leader, wherever that is, until the outcome is known or the time is up. Every
 * try carries the same id, so that it is applied once.
 *
 * The reply leaves after this node's image shows it.
 */
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand, ReplyOf } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ControllerService } from "../Controller.js"
import type { MetadataMachine } from "../MetadataMachine.js"
import type { Forwarder, Try } from "./Forwarder.js"
import type { ImageView } from "./ImageView.js"
import type { Leader, Leaders } from "./Leaders.js"
import { notLeader } from "./Outcomes.js"
import { uptimeMs } from "./uptime.js"

export interface SubmitterOptions {
  /** A command is answered within this time. */
  readonly submitMsMax: number
  readonly commandsWaitingMax: number
}

export interface NoSpace {
  now(): MetadataUnavailable | undefined
  /** Succeeds when there is none. */
  readonly begins: Effect.Effect<void>
}

export interface SubmitterParts {
  readonly nodeId: number
  readonly view: ImageView
  /** Absent on a node without a Raft member. */
  readonly machine: MetadataMachine | undefined
  /** Why this node takes part no more. */
  readonly fault: () => MetadataUnavailable | undefined
  /** Why this node learns of no change for now: its log has no space. Absent on a node without a Raft member. */
  readonly noSpace?: NoSpace | undefined
  readonly leaders: Leaders
  readonly forwarder: Forwarder
  readonly options: SubmitterOptions
}

/** Between two tries where nothing is known to have changed; drawn anew each time. */
const pauseMsMin = 20
const pauseMsMax = 100

const noLeader = new MetadataUnavailable({
  reason: "no-leader",
  message: "no majority of the cluster's nodes could be reached in time, the change was not made"
})
const unknown = new MetadataUnavailable({
  reason: "unknown",
  message: "the leader was lost while the change was under way: whether it was made is not known, a retry with its id is safe"
})
const unknownHere = new MetadataUnavailable({
  reason: "unknown",
  message:
    "this node ran out of space while the change was under way: whether it was made is not known, a retry with its id is safe"
})
const notShown = new MetadataUnavailable({
  reason: "timeout",
  message: "the change was made, but this node did not learn of it in time"
})

export const make = (parts: SubmitterParts): ControllerService => {
  const { view, machine, leaders, forwarder, options } = parts
  let underWay = 0

  const tryHere = (machine: MetadataMachine, term: number, one: Try): Effect.Effect<SubmitOutcome> =>
    Effect.async((resume) => {
      const takeBack = machine.offer(term, { ...one, answer: (outcome) => resume(Effect.succeed(outcome)) })
      return Effect.sync(takeBack)
    })

  const within = <A, E>(deadlineMs: number, effect: Effect.Effect<A, E>) =>
    Effect.flatMap(uptimeMs, (now) => Effect.timeoutOption(effect, Math.max(0, deadlineMs - now)))

  const pause = Effect.suspend(() => Effect.sleep(pauseMsMin + Math.random() * (pauseMsMax - pauseMsMin)))

  const shown = (reply: MetadataReply, deadlineMs: number): Effect.Effect<MetadataReply, MetadataUnavailable> => {
    if (reply.version <= view.image().version) return Effect.succeed(reply)
    const showing = within(deadlineMs, view.whenShown(reply.version))
    const outOfSpace = Effect.as(parts.noSpace?.begins ?? Effect.never, Option.none<unknown>())
    return Effect.flatMap(Effect.raceFirst(showing, outOfSpace), (found) =>
      found._tag === "None" ? Effect.fail(notShown) : Effect.succeed(reply)
    )
  }

  const attempt = (one: Try, isUnknown: boolean): Effect.Effect<MetadataReply, MetadataError> =>
    Effect.suspend(() => {
      const fault = parts.fault()
      if (fault !== undefined) return Effect.fail(fault)
      const noSpace = parts.noSpace?.now()
      if (noSpace !== undefined) return Effect.fail(isUnknown ? unknownHere : noSpace)
      const term = machine?.leadsInTerm ?? 0
      const leader = leaders.now()
      if (machine !== undefined && term > 0) {
        return Effect.flatMap(tryHere(machine, term, one), (outcome) => after(one, leader, outcome, isUnknown))
      }
      // This node may have been elected a moment ago and not lead yet.
      const isElsewhere = leader !== undefined && leader.member.nodeId !== parts.nodeId
      const passedOn = isElsewhere ? forwarder.call(leader, one) : Effect.succeed(notLeader(0, 0))
      return Effect.flatMap(passedOn, (outcome) => after(one, leader, outcome, isUnknown))
    })

  const after = (
    one: Try,
    asked: Leader | undefined,
    outcome: SubmitOutcome,
    isUnknown: boolean
  ): Effect.Effect<MetadataReply, MetadataError> => {
    switch (outcome._tag) {
      case "Done":
        return shown(outcome.reply, one.deadlineMs)
      case "Refused":
        return Effect.fail(outcome.error)
      case "Unavailable":
        return Effect.fail(isUnknown ? unknown : outcome.error)
      case "NotLeader":
        leaders.heard(outcome)
        return again(one, asked, isUnknown)
      case "Lost":
        return again(one, asked, true)
    }
  }

  const again = (one: Try, asked: Leader | undefined, isUnknown: boolean): Effect.Effect<MetadataReply, MetadataError> =>
    Effect.gen(function* () {
      yield* Effect.raceFirst(leaders.after(asked), pause)
      const now = yield* uptimeMs
      if (now >= one.deadlineMs) return yield* Effect.fail(isUnknown ? unknown : noLeader)
      return yield* attempt({ ...one, attempt: one.attempt + 1 }, isUnknown)
    })

  const submit = (command: MetadataCommand) =>
    Effect.flatMap(uptimeMs, (now) => {
      if (underWay >= options.commandsWaitingMax) {
        return Effect.fail(new MetadataUnavailable({ reason: "overloaded", message: `${underWay} changes wait already` }))
      }
      underWay++
      const basisVersion = view.image().version
      return Effect.ensuring(
        attempt({ command, basisVersion, attempt: 1, deadlineMs: now + options.submitMsMax }, false),
        Effect.sync(() => underWay--)
      )
    })

  return {
    // The decider answers every tag with its own reply (core/Outcome).
    submit: <C extends MetadataCommand>(command: C) => submit(command) as Effect.Effect<ReplyOf<C["_tag"]>, MetadataError>
  }
}
