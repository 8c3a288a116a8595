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
import type { ControllerService } from "../Controller.js"
import type { MetadataMachine } from "../MetadataMachine.js"
import type { Deadlines } from "./Deadlines.js"
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
  /** Called when there is none any more, for as long as this node lives. */
  onBegin(listener: () => void): void
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
  /** Of these waits alone. */
  readonly deadlines: Deadlines
  readonly options: SubmitterOptions
}

type Resume = (outcome: Effect.Effect<MetadataReply, MetadataError>) => void

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
const unknownStopped = new MetadataUnavailable({
  reason: "unknown",
  message:
    "this node stopped taking part while the change was under way: whether it was made is not known, a retry with its id is safe"
})
const notShown = new MetadataUnavailable({
  reason: "timeout",
  message: "the change was made, but this node did not learn of it in time"
})

export const make = (parts: SubmitterParts): ControllerService => {
  const { view, machine, leaders, forwarder, deadlines, options } = parts
  let underWay = 0
  parts.noSpace?.onBegin(() => deadlines.expireAll())

  const pause = Effect.suspend(() => Effect.sleep(pauseMsMin + Math.random() * (pauseMsMax - pauseMsMin)))

  /** Once this node's image shows the reply. Answers how to stop waiting for that. */
  const whenShown = (reply: MetadataReply, deadlineMs: number, resume: Resume): (() => void) => {
    const isShown = reply.version <= view.image().version
    if (!isShown && parts.noSpace?.now() !== undefined) {
      resume(Effect.fail(notShown))
      return () => undefined
    }
    let forget = () => {}
    const stop = view.wait(reply.version, (stopped) => {
      forget()
      // It was made, whatever has stopped this node since.
      resume(stopped === undefined ? Effect.succeed(reply) : Effect.fail(notShown))
    })
    if (isShown) return stop
    forget = deadlines.add(deadlineMs, () => {
      stop()
      resume(Effect.fail(notShown))
    })
    return () => {
      forget()
      stop()
    }
  }

  const attempt = (one: Try, isUnknown: boolean): Effect.Effect<MetadataReply, MetadataError> =>
    Effect.async((resume) => {
      const fault = parts.fault()
      if (fault !== undefined) return resume(Effect.fail(isUnknown ? unknownStopped : fault))
      const noSpace = parts.noSpace?.now()
      if (noSpace !== undefined) return resume(Effect.fail(isUnknown ? unknownHere : noSpace))
      const leader = leaders.now()
      let stop: (() => void) | undefined
      const answer = (outcome: SubmitOutcome) => {
        stop = undefined
        if (outcome._tag === "Done") stop = whenShown(outcome.reply, one.deadlineMs, resume)
        else resume(after(one, leader, outcome, isUnknown))
      }
      const takeBack = offer(one, leader, answer)
      stop ??= takeBack
      return Effect.sync(() => stop?.())
    })

  /** To the leader, wherever that is. Answers how to take it back, which does nothing to what was answered. */
  const offer = (one: Try, leader: Leader | undefined, answer: (outcome: SubmitOutcome) => void): (() => void) => {
    const term = machine?.leadsInTerm ?? 0
    if (machine !== undefined && term > 0) return machine.offer(term, { ...one, answer })
    // This node may have been elected a moment ago and not lead yet.
    if (leader !== undefined && leader.member.nodeId !== parts.nodeId) return forwarder.offer(leader, one, answer)
    answer(notLeader(0, 0))
    return () => undefined
  }

  const after = (
    one: Try,
    asked: Leader | undefined,
    outcome: Exclude<SubmitOutcome, { readonly _tag: "Done" }>,
    isUnknown: boolean
  ): Effect.Effect<MetadataReply, MetadataError> => {
    switch (outcome._tag) {
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
