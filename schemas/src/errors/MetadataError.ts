/**
 * Why a metadata command was not carried out. All but `MetadataUnavailable` are the decider's: the command was understood and
 * refused, and a retry as it stands is refused again until the metadata has changed.
 */
import * as Schema from "effect/Schema"

/** A name, id, address, filter or number that cannot be: `field` of the command, and why. */
export class InvalidField extends Schema.TaggedError<InvalidField>()("InvalidField", {
  field: Schema.String,
  value: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.field} ${JSON.stringify(this.value)}: ${this.reason}`
  }
}

export class ClusterExists extends Schema.TaggedError<ClusterExists>()("ClusterExists", { clusterId: Schema.String }) {
  override get message() {
    return `the cluster is made already, its id is ${this.clusterId}`
  }
}

export class TenantExists extends Schema.TaggedError<TenantExists>()("TenantExists", { tenant: Schema.String }) {
  override get message() {
    return `tenant ${this.tenant} exists`
  }
}

export class UnknownTenant extends Schema.TaggedError<UnknownTenant>()("UnknownTenant", { tenant: Schema.String }) {
  override get message() {
    return `there is no tenant ${this.tenant}`
  }
}

/** Also for the tenant `default`, which stays. */
export class TenantInUse extends Schema.TaggedError<TenantInUse>()("TenantInUse", {
  tenant: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `tenant ${this.tenant} cannot be deleted: ${this.reason}`
  }
}

export class TopicExists extends Schema.TaggedError<TopicExists>()("TopicExists", {
  tenant: Schema.String,
  name: Schema.String
}) {
  override get message() {
    return `topic ${this.name} exists in tenant ${this.tenant}`
  }
}

export class UnknownTopic extends Schema.TaggedError<UnknownTopic>()("UnknownTopic", {
  tenant: Schema.String,
  name: Schema.String
}) {
  override get message() {
    return `there is no topic ${this.name} in tenant ${this.tenant}`
  }
}

export class InvalidTopic extends Schema.TaggedError<InvalidTopic>()("InvalidTopic", {
  name: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `topic ${this.name}: ${this.reason}`
  }
}

export class UnknownUser extends Schema.TaggedError<UnknownUser>()("UnknownUser", {
  tenant: Schema.String,
  name: Schema.String
}) {
  override get message() {
    return `there is no user ${this.name} in tenant ${this.tenant}`
  }
}

export class UnknownAcl extends Schema.TaggedError<UnknownAcl>()("UnknownAcl", { tenant: Schema.String, id: Schema.String }) {
  override get message() {
    return `there is no rule ${this.id} in tenant ${this.tenant}`
  }
}

export class UnknownBan extends Schema.TaggedError<UnknownBan>()("UnknownBan", {
  tenant: Schema.String,
  kind: Schema.String,
  value: Schema.String
}) {
  override get message() {
    return `there is no ban of ${this.kind} ${this.value} in tenant ${this.tenant}`
  }
}

export class UnknownConfig extends Schema.TaggedError<UnknownConfig>()("UnknownConfig", { key: Schema.String }) {
  override get message() {
    return `${this.key} is not set`
  }
}

/** A bound of the metadata itself. */
export class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", { what: Schema.String, max: Schema.Int }) {
  override get message() {
    return `there can be no more than ${this.max} ${this.what}`
  }
}

/** The id was used for a command of another kind. */
export class CommandIdReused extends Schema.TaggedError<CommandIdReused>()("CommandIdReused", {
  commandId: Schema.String,
  command: Schema.String
}) {
  override get message() {
    return `command id ${this.commandId} was used for ${this.command}`
  }
}

export class UnknownNode extends Schema.TaggedError<UnknownNode>()("UnknownNode", { nodeId: Schema.Int }) {
  override get message() {
    return `there is no node ${this.nodeId}`
  }
}

/** The number belongs to a node with another store: that one is alive somewhere else, or this one has lost its disk. */
export class NodeIdTaken extends Schema.TaggedError<NodeIdTaken>()("NodeIdTaken", {
  nodeId: Schema.Int,
  /** The store it is known with. */
  storeId: Schema.String
}) {
  override get message() {
    return `node ${this.nodeId} is known with another store, ${this.storeId}: remove it and add it anew, or give this node another number`
  }
}

/** A change of who takes part that cannot be. */
export class InvalidMembership extends Schema.TaggedError<InvalidMembership>()("InvalidMembership", {
  nodeId: Schema.Int,
  reason: Schema.String
}) {
  override get message() {
    return this.reason.startsWith(`node ${this.nodeId} `) ? this.reason : `node ${this.nodeId}: ${this.reason}`
  }
}

/**
 * The environment failed. A retry with the same command id is always safe.
 *
 * The command had no effect: `full` (no space), `overloaded` (too many commands wait), `closed` (the node stops), `no-leader` (no
 * majority of the nodes can be reached), `busy` (another change of who takes part is under way).
 * Whether it had effect is not known: `unknown` (the leader was lost while it was under way), `timeout` (no answer in time),
 * `fenced`, `io` (this node takes part no more; known after a restart).
 */
export class MetadataUnavailable extends Schema.TaggedError<MetadataUnavailable>()("MetadataUnavailable", {
  reason: Schema.Literal("io", "full", "fenced", "overloaded", "closed", "no-leader", "busy", "unknown", "timeout"),
  message: Schema.String
}) {}

export const MetadataRefusal = Schema.Union(
  InvalidField,
  ClusterExists,
  TenantExists,
  UnknownTenant,
  TenantInUse,
  TopicExists,
  UnknownTopic,
  InvalidTopic,
  UnknownUser,
  UnknownAcl,
  UnknownBan,
  UnknownConfig,
  LimitReached,
  CommandIdReused,
  UnknownNode,
  NodeIdTaken,
  InvalidMembership
)
export type MetadataRefusal = typeof MetadataRefusal.Type

export const MetadataError = Schema.Union(...MetadataRefusal.members, MetadataUnavailable)
export type MetadataError = typeof MetadataError.Type
