/**
 * What the decision on one kind of command comes to, before `decide` adds what all commands have in common.
 */
import type { MetadataRefusal } from "@effectmq/schemas/errors/MetadataError"
import type { CommandOf, MetadataCommandTag, ReplyOf } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import * as Either from "effect/Either"
import type { Image } from "./Image.js"

export interface Outcome<Reply> {
  readonly events: ReadonlyArray<MetadataEvent>
  /** The reply save its version. */
  readonly reply: Omit<Reply, "version">
}

export type DecideOne<Tag extends MetadataCommandTag> = (
  image: Image,
  command: CommandOf<Tag>,
  passedMs: number | undefined
) => Either.Either<Outcome<ReplyOf<Tag>>, MetadataRefusal>

export const refuse = (refusal: MetadataRefusal): Either.Either<never, MetadataRefusal> => Either.left(refusal)

export const done = (...events: ReadonlyArray<MetadataEvent>): Either.Either<Outcome<object>, never> =>
  Either.right({ events, reply: {} })

export const put = (
  created: boolean,
  ...events: ReadonlyArray<MetadataEvent>
): Either.Either<Outcome<{ created: boolean }>, never> => Either.right({ events, reply: { created } })

/** Without fields that are undefined: an event in memory is the event as it is read back. */
export const defined = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

/** The command without what makes it a command. */
export const fieldsOf = <A extends { readonly _tag: string; readonly commandId: string; readonly atMs: number }>(
  command: A
): Omit<A, "_tag" | "commandId" | "atMs"> => {
  const { _tag, commandId, atMs, ...fields } = command
  return defined(fields)
}
