/**
 * Whether this node was taken out of its cluster, as its own log says: such a node still runs, and its metadata stand still.
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

const whatToDo =
  "stop it, take it in again as it is with effectmq cluster add, or let it join under a new number with an empty data directory"

export class TakenOut {
  private wasMember: boolean
  /** undefined while it is not. */
  error: MetadataUnavailable | undefined
  /** As the rest of a sentence about the node. */
  reason: string | undefined
  /** How often it was taken in again, as may happen between two looks of others at `reason`. */
  returns = 0

  constructor(
    private readonly nodeId: number,
    private readonly stored: StoredRaft,
    private readonly view: Pick<ImageView, "image">
  ) {
    const { entries, snapshot } = stored
    this.wasMember =
      (snapshot !== undefined && this.isIn(snapshot.membership)) ||
      entries.some((entry) => entry.kind === "membership" && this.isIn(entry.membership))
  }

  look({ fenced, membership, membershipIndex }: RaftStatus): void {
    const isIn = this.isIn(membership)
    this.wasMember ||= isIn || this.isListed()
    const isOut = this.wasMember && !isIn && membership.members.length > 0 && fenced === undefined
    if (isOut === (this.reason !== undefined)) return
    if (!isOut && isIn) this.returns++
    const memberIds = membership.members.map((member) => member.nodeId).join(", ")
    this.reason = isOut
      ? `it was taken out of the cluster, whose members are ${memberIds} since entry ${membershipIndex}: ${whatToDo}`
      : undefined
    this.error = isOut
      ? new MetadataUnavailable({ reason: "fenced", message: `this node takes no part any more: ${this.reason}` })
      : undefined
  }

  private isIn({ members }: Membership): boolean {
    return members.some((member) => member.nodeId === this.nodeId)
  }

  private isListed(): boolean {
    return this.view.image().nodesById.get(String(this.nodeId))?.storeId === this.stored.storeId
  }
}
