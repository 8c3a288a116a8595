/**
 * Decides commands that wait together as one entry of the log: each on the image its forerunners made.
 *
 * A command is not decided where it may have been applied before and forgotten since: the image does not remember all that was
 * applied since the one on which it was first submitted (RecentCommands).
 */
import type { Decider } from "@effectmq/eventsource/Decider"
import { decideTurn } from "@effectmq/eventsource/core/turn"
import { LimitReached, type MetadataRefusal, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { decide } from "./decide.js"
import type { Image } from "./Image.js"
import { metadataDecider } from "./metadataDecider.js"
import { reachesBackTo, recentCommandOf } from "./RecentCommands.js"

export interface Offered {
  readonly command: MetadataCommand
  /** As in `SubmittedCommand`. */
  readonly basisVersion: number
}

export type Refusal = MetadataRefusal | MetadataUnavailable

export interface OffersDecided {
  readonly after: Image
  readonly events: ReadonlyArray<MetadataEvent>
  readonly lines: ReadonlyArray<string>
  /** Of the first commands, in order; what is not among them waits for the next entry. */
  readonly exits: ReadonlyArray<Exit.Exit<MetadataReply, Refusal>>
}

const forgotten = new MetadataUnavailable({
  reason: "unknown",
  message: "the change is so old that it may have been made and forgotten: it is not made again, look whether it was"
})

const deciderAt = (passedMs: number | undefined): Decider<Image, Offered, MetadataEvent, MetadataReply, Refusal> => ({
  ...metadataDecider,
  decide: (image, { command, basisVersion }) => {
    const recent = image.recentCommands
    const known = recentCommandOf(recent, command.commandId) !== undefined
    return known || reachesBackTo(recent, basisVersion) ? decide(image, command, passedMs) : Either.left(forgotten)
  }
})

/** Lines are almost always ASCII; where they are not, `entryBytesMax` leaves room. */
const lengthOf = (lines: ReadonlyArray<string>): number => lines.reduce((sum, line) => sum + line.length + 1, 0)

export interface EntryLimits {
  /** No further command is taken into an entry that has as many characters. */
  readonly entryLengthMax: number
  /** A command whose own events have more is refused. */
  readonly commandLengthMax: number
}

export const entryLimits: EntryLimits = { entryLengthMax: 256 * 1024, commandLengthMax: 1024 * 1024 }

export const decideOffers = (
  before: Image,
  offers: ReadonlyArray<Offered>,
  limits: EntryLimits = entryLimits,
  /** As in `decide`. */
  passedMs?: number | undefined
): OffersDecided => {
  const decider = deciderAt(passedMs)
  let after = before
  let length = 0
  const events: Array<MetadataEvent> = []
  const lines: Array<string> = []
  const exits: Array<Exit.Exit<MetadataReply, Refusal>> = []
  for (const offered of offers) {
    if (length >= limits.entryLengthMax) break
    const decided = decideTurn(decider, metadataEventCodec, after, after.version, [offered])
    const more = lengthOf(decided.lines)
    if (more > limits.commandLengthMax) {
      exits.push(Exit.fail(new LimitReached({ what: "characters in the events of one change", max: limits.commandLengthMax })))
      continue
    }
    after = decided.state
    length += more
    events.push(...decided.events)
    lines.push(...decided.lines)
    exits.push(...decided.exits)
  }
  return { after, events, lines, exits }
}
