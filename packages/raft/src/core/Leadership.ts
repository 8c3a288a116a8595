/**
 * What a leader does with time: heartbeats, counting whom it hears, and handing leadership on (check-quorum: Raft dissertation, 6.2;
 * transfer: 3.10).
 *
 * Invariants
 * - A leader that no majority answered within an election timeout leads no more.
 * - While leadership is being handed on nothing is proposed. It is given up after an election timeout.
 * - Only a voter that has all of the log is told to begin an election.
 */
import { hasMajority } from "./Quorum.js"
import type { RaftState } from "./RaftState.js"
import { beginLeaseRound } from "./ReadIndex.js"
import type { Refusal } from "./Ready.js"
import { heartbeat } from "./Replication.js"
import { becomeFollower } from "./Roles.js"
import { tickSending } from "./SnapshotTransfer.js"

export const tickLeader = (raft: RaftState): void => {
  for (const progress of raft.progressByNode.values()) {
    progress.silentTicks++
    tickSending(raft, progress)
  }
  if (raft.options.checkQuorum && !hearsMajority(raft)) return becomeFollower(raft, raft.term, 0)
  if (++raft.electionElapsed >= raft.options.electionTicks) {
    raft.electionElapsed = 0
    raft.transferTo = 0
  }
  if (++raft.heartbeatElapsed >= raft.options.heartbeatTicks) {
    beginLeaseRound(raft)
    heartbeat(raft)
    if (raft.transferTo !== 0) askTransfer(raft)
  }
}

/** Within an election timeout. */
const hearsMajority = (raft: RaftState): boolean =>
  hasMajority(raft.memberships.current, (nodeId) => {
    const progress = raft.progressByNode.get(nodeId)
    return nodeId === raft.nodeId || (progress !== undefined && progress.silentTicks < raft.options.electionTicks)
  })

export const beginTransfer = (raft: RaftState, to: number): Refusal | undefined => {
  const refuse = (reason: Refusal["reason"], message: string) => ({ reason, message, leaderId: raft.leaderId })
  if (!raft.isLeader) return refuse("not-leader", "only the leader can hand leadership on")
  if (to === raft.nodeId) return refuse("invalid", `node ${to} leads already`)
  if (!raft.memberships.current.voters.includes(to)) return refuse("invalid", `node ${to} has no vote`)
  if (raft.transferTo !== 0 && raft.transferTo !== to)
    return refuse("busy", `leadership is on its way to node ${raft.transferTo}`)
  if (raft.transferTo === to) return undefined
  raft.transferTo = to
  raft.electionElapsed = 0
  askTransfer(raft)
  return undefined
}

/** When the one that is to lead has everything; until then it is sent what it lacks. */
export const askTransfer = (raft: RaftState): void => {
  const progress = raft.progressByNode.get(raft.transferTo)
  if (progress === undefined || !raft.memberships.current.voters.includes(raft.transferTo)) {
    raft.transferTo = 0
    return
  }
  if (progress.matchIndex !== raft.log.lastIndex) return
  raft.transferAsked = true
  raft.send({ _tag: "TimeoutNow", from: raft.nodeId, to: raft.transferTo, term: raft.term })
}
