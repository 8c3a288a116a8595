/**
 * One entry of a Raft log. Indexes are dense from 1; terms never fall along the log.
 */
import * as Schema from "effect/Schema"
import { Membership } from "./Membership.js"

const place = { index: Schema.Int, term: Schema.Int }

/** A new leader's first entry: what lies before it is committed with it (Raft paper, 5.4.2). */
export const NoopEntry = Schema.Struct({ kind: Schema.Literal("noop"), ...place })
export type NoopEntry = typeof NoopEntry.Type

/** What the state machine applies; the bytes are its own business. */
export const CommandEntry = Schema.Struct({ kind: Schema.Literal("command"), ...place, data: Schema.Uint8ArrayFromSelf })
export type CommandEntry = typeof CommandEntry.Type

/** In force as soon as it is in a log, committed or not. */
export const MembershipEntry = Schema.Struct({ kind: Schema.Literal("membership"), ...place, membership: Membership })
export type MembershipEntry = typeof MembershipEntry.Type

export const Entry = Schema.Union(NoopEntry, CommandEntry, MembershipEntry)
export type Entry = typeof Entry.Type
