/**
 * What a leader may call committed, and what follows from it (Raft paper, 5.3, 5.4.2; memberships: dissertation, 4.2.2 and 4.3).
 *
 * Invariants
 * - Only an entry of the leader's own term is committed by counting; what lies before it is committed with it (figure 8).
 * - A joint membership is left as soon as it is committed. A leader that is not in the membership behind it leads until that is
 *   committed, and is no part of the majorities meanwhile.
 */
import { leaveJoint } from "./MembershipChange.js"
import { isJoint, isVoter, reachedByMajority } from "./Quorum.js"
import type { RaftState } from "./RaftState.js"
import { replicate } from "./Replication.js"
import { appendOwn, becomeFollower } from "./Roles.js"

export const advanceCommit = (raft: RaftState): void => {
  const { log, memberships } = raft
  const reached = reachedByMajority(memberships.current, (nodeId) =>
    nodeId === raft.nodeId ? log.stableIndex : (raft.progressByNode.get(nodeId)?.matchIndex ?? 0)
  )
  if (reached <= log.commitIndex || log.termAt(reached) !== raft.term) return
  raft.uncommittedBytes -= log.bytesBetween(log.commitIndex + 1, reached)
  log.commitIndex = reached
  raft.reads.termCommitted()
  if (memberships.currentIndex > reached) return
  if (isJoint(memberships.current)) {
    return appendOwn(raft, {
      kind: "membership",
      index: log.lastIndex + 1,
      term: raft.term,
      membership: leaveJoint(memberships.current)
    })
  }
  letGo(raft)
  if (!isVoter(memberships.current, raft.nodeId)) handOver(raft)
}

/** Those whose removal is committed are told so and no more. */
const letGo = (raft: RaftState): void => {
  const leaving = [...raft.progressByNode.values()].filter((progress) => progress.leavingIndex > 0)
  if (leaving.length === 0) return
  replicate(raft)
  for (const progress of leaving) raft.progressByNode.delete(progress.nodeId)
}

/** A leader that was removed asks whoever has most of the log to lead at once, which spares the others an election timeout. */
const handOver = (raft: RaftState): void => {
  replicate(raft)
  let best: { readonly nodeId: number; readonly matchIndex: number } | undefined
  for (const progress of raft.progressByNode.values()) {
    if (!isVoter(raft.memberships.current, progress.nodeId)) continue
    if (best === undefined || progress.matchIndex > best.matchIndex) best = progress
  }
  if (best !== undefined) raft.send({ _tag: "TimeoutNow", from: raft.nodeId, to: best.nodeId, term: raft.term })
  becomeFollower(raft, raft.term, 0)
}
