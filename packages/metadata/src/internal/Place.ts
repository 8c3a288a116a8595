/**
 * Whether this node has its place in its cluster, as its own log says, and with it what keeps it from its part in the metadata:
 *
 *     its log says that the members are   and this node
 *     nobody, or this one among others                             has its place, or waits for a log
 *     others                              was one of them before   was taken out: it still runs, and its metadata stand still
 *     others                              never was                waits to be taken in
 *
 * What its log cannot say, since nobody sends it the entry any more, a member asks others for (internal/Standing).
 *
 * Invariants
 * - A node that waits to be taken in for the first time was never taken out, although its log, which begins before it came, is one
 *   without it for a while.
 * - It holds only as long as the log says so: a node that is taken in again with what it has takes part as before.
 */
import type { RaftStatus } from "@effectmq/raft/RaftNode"
import type { StoredRaft } from "@effectmq/raft/RaftStore"
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { ImageView } from "./ImageView.js"

/** `why`: the rest of a sentence about the node. */
export interface Problem {
  readonly kind: "fault" | "takenOut" | "noSpace" | "joining"
  readonly why: string
}

/** `since`: the index of the entry that says so. */
export const clusterOf = (memberIds: ReadonlyArray<number>, since: number): string =>
  `the cluster, whose members are ${memberIds.join(", ")} since entry ${since}`

const whatToDo =
  "stop it, take it in again as it is with effectmq cluster add, or let it join under a new number with an empty data directory"

export const isMember = ({ members }: Membership, nodeId: number): boolean => members.some((member) => member.nodeId === nodeId)

/** Of a node whose log says who the members are, and does not name it. */
export const isOutside = ({ nodeId, membership }: RaftStatus): boolean =>
  membership.members.length > 0 && !isMember(membership, nodeId)

export class Place {
  private wasMember: boolean
  /** What those it asked said. */
  private told: string | undefined
  /** Why it was taken out, as its log says; undefined while it was not, or something worse has happened. */
  reason: string | undefined
  /** The same for whoever wants something of this node. */
  error: MetadataUnavailable | undefined
  /** Of a member that hears of no leader: nobody was asked yet, or one of those it asked last hears of one. */
  mayBeOut = true
  /** How often it was taken in again, as may happen between two looks of others at `reason`. */
  returns = 0

  constructor(
    private readonly nodeId: number,
    private readonly stored: StoredRaft,
    private readonly view: Pick<ImageView, "image">
  ) {
    const { entries, snapshot } = stored
    this.wasMember =
      (snapshot !== undefined && isMember(snapshot.membership, nodeId)) ||
      entries.some((entry) => entry.kind === "membership" && isMember(entry.membership, nodeId))
  }

  /** Others said that it was taken out, for which it stops with these words. */
  wasToldWhy(reason: string): void {
    this.told = reason
  }

  /** What keeps it from its part now. */
  look(status: RaftStatus): Problem | undefined {
    const { fenced, noSpace, membership, membershipIndex } = status
    const isIn = isMember(membership, this.nodeId)
    this.wasMember ||= isIn || this.isListed()
    const memberIds = membership.members.map((member) => member.nodeId)
    const isOut = this.wasMember && isOutside(status) && fenced === undefined
    if (isOut !== (this.reason !== undefined)) {
      if (!isOut && isIn) this.returns++
      this.reason = isOut ? `it was taken out of ${clusterOf(memberIds, membershipIndex)}: ${whatToDo}` : undefined
      this.error = isOut
        ? new MetadataUnavailable({ reason: "fenced", message: `this node takes no part any more: ${this.reason}` })
        : undefined
    }
    if (fenced !== undefined) return { kind: fenced === this.told ? "takenOut" : "fault", why: fenced }
    if (this.reason !== undefined) return { kind: "takenOut", why: this.reason }
    if (noSpace !== undefined) return { kind: "noSpace", why: noSpace }
    if (!isOutside(status)) return undefined
    return { kind: "joining", why: `is no member of ${clusterOf(memberIds, membershipIndex)}: add it, or stop it` }
  }

  private isListed(): boolean {
    return this.view.image().nodesById.get(String(this.nodeId))?.storeId === this.stored.storeId
  }
}
