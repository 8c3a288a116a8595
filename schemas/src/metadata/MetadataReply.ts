/**
 * What a metadata command answers.
 */
import * as Schema from "effect/Schema"

/** `version`: an image of at least this version shows the effect of the command. */
export const DoneReply = Schema.Struct({ version: Schema.Int })
export type DoneReply = typeof DoneReply.Type

export const PutReply = Schema.Struct({
  version: Schema.Int,
  /** False: it was there and was replaced. */ created: Schema.Boolean
})
export type PutReply = typeof PutReply.Type

export const TopicReply = Schema.Struct({ version: Schema.Int, topicId: Schema.Int })
export type TopicReply = typeof TopicReply.Type

export const MetadataReply = Schema.Union(PutReply, TopicReply, DoneReply)
export type MetadataReply = typeof MetadataReply.Type
