/**
 * Who takes part in a Raft group. While `outgoingVoters` is not empty the membership is joint: every election and every commit
 * needs a majority of `voters` and a majority of `outgoingVoters` (Raft dissertation, 4.3).
 */
import * as Schema from "effect/Schema"

export const Member = Schema.Struct({
  nodeId: Schema.Int,
  /** `host:port` of the node's RPC listener, as the other members reach it. */
  address: Schema.String
})
export type Member = typeof Member.Type

export const Membership = Schema.Struct({
  voters: Schema.Array(Schema.Int),
  /** The voters of the membership that is being left; empty when it is not joint. */
  outgoingVoters: Schema.Array(Schema.Int),
  /** They get the log and have no vote. */
  learners: Schema.Array(Schema.Int),
  /** Everybody named above, each once, by rising `nodeId`. */
  members: Schema.Array(Member)
})
export type Membership = typeof Membership.Type
