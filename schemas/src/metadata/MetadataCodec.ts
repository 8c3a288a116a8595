/**
 * Metadata events and commands as one line of text each: stable JSON with the version of its form in `_version`.
 *
 * A line whose tag or version is unknown is refused: a node older than its log must not guess.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { MetadataCommand } from "./MetadataCommand.js"
import { MetadataEvent } from "./MetadataEvent.js"
import { nodeVersion } from "./Node.js"
import { plainForm } from "./PlainForm.js"

/**
 * Of the form in which a value is written: 1 for every kind, save those that have gained fields since. The lowest one that can say
 * it, so that what an older node understands is still written as it knows it.
 */
const versionOf = (value: MetadataEvent | MetadataCommand): number =>
  value._tag === "NodeRegistered" || value._tag === "RegisterNode" ? nodeVersion(value) : 1

const newestVersionByTag: ReadonlyMap<unknown, number> = new Map([
  ["NodeRegistered", 2],
  ["RegisterNode", 2]
])

const isKnown = (tag: unknown, version: unknown): boolean =>
  Number.isInteger(version) && (version as number) >= 1 && (version as number) <= (newestVersionByTag.get(tag) ?? 1)

/** Text that is no event or command of a known version. */
export class MetadataDecodeError extends Schema.TaggedError<MetadataDecodeError>()("MetadataDecodeError", {
  message: Schema.String
}) {}

export interface MetadataCodec<A> {
  readonly encode: (value: A) => string
  readonly decode: (text: string) => Either.Either<A, MetadataDecodeError>
}

const codec = <A extends MetadataEvent | MetadataCommand, I>(what: string, schema: Schema.Schema<A, I>): MetadataCodec<A> => {
  const form = plainForm(schema)
  const decode = Schema.decodeUnknownEither(schema)
  const refuse = (message: string) => Either.left(new MetadataDecodeError({ message: `${what}: ${message}` }))
  return {
    // In the order of stable JSON the version comes first behind the tag.
    encode: (value) => {
      const prefix = `{"_tag":"${value._tag}"`
      return `${prefix},"_version":${versionOf(value)}${form.write(value).slice(prefix.length)}`
    },
    decode: (text) => {
      let parsed: unknown
      try {
        parsed = JSON.parse(text)
      } catch {
        return refuse("not JSON")
      }
      if (typeof parsed !== "object" || parsed === null) return refuse("not an object")
      const { _tag, _version } = parsed as Record<string, unknown>
      // The schema makes text of a tag, which not every object can be.
      if (typeof _tag !== "string") return refuse("without a tag")
      if (!isKnown(_tag, _version)) {
        return refuse(`version ${JSON.stringify(_version)} of ${_tag} is not known here, upgrade this node`)
      }
      const read = form.read(parsed)
      if (read !== undefined) return Either.right(read)
      return Either.mapLeft(
        decode(parsed),
        (error) => new MetadataDecodeError({ message: `${what}: ${ParseResult.TreeFormatter.formatErrorSync(error)}` })
      )
    }
  }
}

export const metadataEventCodec: MetadataCodec<MetadataEvent> = codec("metadata event", MetadataEvent)
export const metadataCommandCodec: MetadataCodec<MetadataCommand> = codec("metadata command", MetadataCommand)
