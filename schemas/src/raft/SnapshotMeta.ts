/**
 * What a snapshot stands for: everything up to and including `index`.
 */
import * as Schema from "effect/Schema"
import { Membership } from "./Membership.js"

export const SnapshotMeta = Schema.Struct({
  index: Schema.Int,
  /** Of the entry at `index`. */
  term: Schema.Int,
  /** In force at `index`. */
  membership: Membership,
  /** Chunks of the state machine's content, at least one. */
  chunks: Schema.Int,
  bytes: Schema.Int
})
export type SnapshotMeta = typeof SnapshotMeta.Type
