/**
 * What nodes call on each other for the cluster's metadata: changes to the leader, following, signs of life, who takes part.
 *
 * The group is frozen as version 1 (golden/metadata-rpcs-1.jsonl): a call that takes or answers something else is a new one in a
 * group of version 2 beside it. Commands and entries carry versions of their own.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { ClusterStatus, NodeReport, SnapshotTaken } from "../admin/Cluster.js"
import { MetadataError, MetadataRefusal, MetadataUnavailable } from "../errors/MetadataError.js"
import { MetadataReply } from "../metadata/MetadataReply.js"
import { Member } from "../raft/Membership.js"

/** A command on its way to the leader. */
export const SubmittedCommand = Schema.Struct({
  /** A line of `metadataCommandCodec`. */
  line: Schema.String,
  /**
   * Version of the image on the node that submits it when it did so first; the same in every retry. The leader does not apply the
   * command unless it remembers all that was applied since.
   */
  basisVersion: Schema.Int,
  /**
   * From 1, rising with every retry: an earlier try that was late on its way is not decided once the leader has seen a later one.
   */
  attempt: Schema.Int
})
export type SubmittedCommand = typeof SubmittedCommand.Type

/**
 * What became of one command. `Done`: applied, now or by an earlier try. `Refused`: by the decider, as of a moment within the call.
 * `NotLeader`: no effect, ask `leaderId` (0: not known here), which leads in `term`. `Lost`: the leader was lost while the command was under way,
 * whether it was applied is not known. `Unavailable`: as `MetadataUnavailable` says; another try now would not do better.
 */
export const SubmitOutcome = Schema.Union(
  Schema.Struct({ _tag: Schema.Literal("Done"), reply: MetadataReply }),
  Schema.Struct({ _tag: Schema.Literal("Refused"), error: MetadataRefusal }),
  Schema.Struct({
    _tag: Schema.Literal("NotLeader"),
    leaderId: Schema.Int,
    term: Schema.Int,
    address: Schema.optional(Schema.String)
  }),
  Schema.Struct({ _tag: Schema.Literal("Lost") }),
  Schema.Struct({ _tag: Schema.Literal("Unavailable"), error: MetadataUnavailable })
)
export type SubmitOutcome = typeof SubmitOutcome.Type

/** Outcomes in the order of the commands. */
export const Submit = Rpc.make("Submit", {
  payload: {
    /** In which the one that is asked is thought to lead: in another it does not decide, so that nothing is decided long after. */
    term: Schema.Int,
    commands: Schema.Array(SubmittedCommand),
    /** The caller waits no longer. */
    waitMsMax: Schema.Int
  },
  success: Schema.Array(SubmitOutcome)
})

/** What was committed anywhere before the call is in images of at least `version`. */
export const ReadBarrier = Rpc.make("ReadBarrier", {
  success: Schema.Struct({ version: Schema.Int }),
  error: MetadataUnavailable
})

/** An entry of the log that holds events. */
export const FollowedEntry = Schema.Struct({ index: Schema.Int, data: Schema.Uint8ArrayFromSelf })
export type FollowedEntry = typeof FollowedEntry.Type

/**
 * `SnapshotChunk`: the caller is too far behind, it begins anew from these (a snapshot of metadata-snapshot 1), `last` ends them.
 * `Entries`: behind what was sent before. `Position`: now and then, where the one that is asked stands: `hash` of the chain at
 * `index`, how far it has applied the log, in which more than commands stand, whether it may itself be behind, and who leads (0: not known).
 */
export const Followed = Schema.Union(
  Schema.Struct({ _tag: Schema.Literal("SnapshotChunk"), data: Schema.Uint8ArrayFromSelf, last: Schema.Boolean }),
  Schema.Struct({ _tag: Schema.Literal("Entries"), entries: Schema.Array(FollowedEntry) }),
  Schema.Struct({
    _tag: Schema.Literal("Position"),
    index: Schema.Int,
    hash: Schema.String,
    appliedIndex: Schema.optional(Schema.Int),
    stale: Schema.Boolean,
    leaderId: Schema.Int,
    term: Schema.Int
  })
)
export type Followed = typeof Followed.Type

/** `diverged`: the caller's chain is another than the one here. `behind`: the one that is asked has less than the caller. */
export class FollowRefused extends Schema.TaggedError<FollowRefused>()("FollowRefused", {
  reason: Schema.Literal("diverged", "behind", "fenced"),
  message: Schema.String
}) {}

/** Committed entries behind `index`, where the chain's hash is `hash` (64 hex digits), for ever. */
export const Follow = Rpc.make("Follow", {
  payload: {
    nodeId: Schema.Int,
    index: Schema.Int,
    hash: Schema.String,
    /** Of the entries or the chunk in one item; an entry that is larger comes alone. */
    bytesMax: Schema.Int
  },
  success: Followed,
  error: FollowRefused,
  stream: true
})

/**
 * A sign of life, to the leader. It answers the hash of its chain at `index` where it knows it, so that the caller can tell whether
 * it has another one.
 */
export const Heartbeat = Rpc.make("Heartbeat", {
  payload: {
    nodeId: Schema.Int,
    storeId: Schema.optional(Schema.String),
    index: Schema.Int,
    /** What the caller's clock says, in ms since 1970. */
    clockMs: Schema.optional(Schema.Int)
  },
  success: Schema.Struct({
    /** 0: not known to the one that was asked. The call counted only where this is the one that was asked. */
    leaderId: Schema.Int,
    address: Schema.optional(Schema.String),
    /** Whether the leader knows the node at all, with this store. */
    registered: Schema.Boolean,
    fenced: Schema.Boolean,
    hash: Schema.optional(Schema.String)
  })
})

/**
 * Who is there, and what it knows of the caller: asked by a node whose store is empty, before it takes part, and by a member that
 * hears of no leader.
 */
export const Identify = Rpc.make("Identify", {
  payload: { nodeId: Schema.Int },
  success: Schema.Struct({
    nodeId: Schema.Int,
    storeId: Schema.String,
    /** Absent before the cluster was made. */
    clusterId: Schema.optional(Schema.String),
    /** With which store the caller is known here; absent where it is not, or without one. */
    knownStoreId: Schema.optional(Schema.String),
    /** Of the Raft group, as known here. */
    memberIds: Schema.Array(Schema.Int),
    /** Of the entry that says who is a member, where that is committed and no other is under way; absent otherwise. */
    membershipIndex: Schema.optional(Schema.Int),
    /** False: it holds nothing but, perhaps, the beginning that every first member writes for itself. */
    holdsLog: Schema.optional(Schema.Boolean),
    /** True: what is said here of the caller is what the leader knew since the call, as a majority confirmed. */
    isConfirmed: Schema.optional(Schema.Boolean)
  })
})

/** How the node stands. */
export const Report = Rpc.make("Report", { success: NodeReport })

/** How the cluster stands, as a member knows and asks around. */
export const Status = Rpc.make("Status", { success: ClusterStatus })

export const ChangeOfMembership = Schema.Union(
  Schema.Struct({ _tag: Schema.Literal("AddLearner"), member: Member }),
  Schema.Struct({ _tag: Schema.Literal("Promote"), nodeId: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Remove"), nodeId: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("SetAddress"), member: Member })
)
export type ChangeOfMembership = typeof ChangeOfMembership.Type

/** On the leader; any other refuses with `no-leader`. `Promote` waits until the learner has caught up. */
export const ChangeMembership = Rpc.make("ChangeMembership", {
  payload: { change: ChangeOfMembership, waitMsMax: Schema.Int },
  error: MetadataError
})

/** On the leader; any other refuses with `no-leader`. */
export const TransferLeadership = Rpc.make("TransferLeadership", { payload: { toNodeId: Schema.Int }, error: MetadataError })

/** On the node that is asked. */
export const TakeSnapshot = Rpc.make("TakeSnapshot", { success: SnapshotTaken, error: MetadataError })

/** What the group is spoken on. */
export const metadataChannel = "metadata/1"

export class MetadataRpcs extends RpcGroup.make(
  Submit,
  ReadBarrier,
  Follow,
  Heartbeat,
  Identify,
  Report,
  Status,
  ChangeMembership,
  TransferLeadership,
  TakeSnapshot
).prefix("metadata1.") {}
