/**
 * What Raft cannot do, in the words of the metadata.
 */
import type { RaftUnavailable } from "@effectmq/raft/RaftNode"
import { InvalidMembership, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"

const reasonOf = {
  "not-leader": "no-leader",
  "no-leader": "no-leader",
  overloaded: "overloaded",
  timeout: "timeout",
  busy: "busy",
  invalid: "busy",
  fenced: "fenced",
  closed: "closed"
} as const

/** The log of this node's own Raft member finds no space. */
export const noSpaceHere = (why: string): MetadataUnavailable =>
  new MetadataUnavailable({ reason: "full", message: `this node can take no changes: ${why}` })

export const unavailableOf = ({ reason, message }: RaftUnavailable): MetadataUnavailable =>
  reason === "full" ? noSpaceHere(message) : new MetadataUnavailable({ reason: reasonOf[reason], message })

/** Of a read: it had no effect, so that it is only told why it cannot be answered. */
export const readUnavailableOf = (error: RaftUnavailable): MetadataUnavailable =>
  error.reason === "timeout"
    ? new MetadataUnavailable({ reason: "no-leader", message: "no majority of the cluster's nodes could be reached in time" })
    : unavailableOf(error)

export const membershipErrorOf =
  (nodeId: number) =>
  (error: RaftUnavailable): MetadataUnavailable | InvalidMembership =>
    error.reason === "invalid" ? new InvalidMembership({ nodeId, reason: error.message }) : unavailableOf(error)
