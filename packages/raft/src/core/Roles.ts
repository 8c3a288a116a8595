/**
 * Changes of role (Raft paper, figure 4). Each leaves the state whole; who is told what is up to the caller.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import { entryBytes } from "./Log.js"
import { Progress } from "./Progress.js"
import type { RaftState } from "./RaftState.js"

const restartElection = (raft: RaftState): void => {
  raft.electionElapsed = 0
  raft.electionTimeout = raft.drawTimeout()
  raft.votes.clear()
}

const enterTerm = (raft: RaftState, term: number): void => {
  if (term === raft.term) return
  raft.term = term
  raft.votedFor = 0
}

/** Reads that wait are told that they must ask again. */
const endLeadership = (raft: RaftState): void => {
  for (const request of raft.reads.takeAll()) {
    if (request.from === raft.nodeId) raft.readAnswers.push({ requestId: request.requestId, index: -1 })
    else
      raft.send({
        _tag: "ReadIndexReply",
        from: raft.nodeId,
        to: request.from,
        term: raft.term,
        requestId: request.requestId,
        index: -1
      })
  }
  raft.progressByNode = new Map()
  raft.uncommittedBytes = 0
  raft.transferTo = 0
  raft.transferAsked = false
  raft.chunkReads = []
}

/**
 * A follower that merely enters a newer term keeps its election timer: a candidate that cannot win must not put off one that can
 * (paper, 5.2: only a leader or a vote that is given resets it).
 */
export const becomeFollower = (raft: RaftState, term: number, leaderId: number): void => {
  if (raft.isLeader) endLeadership(raft)
  if (raft.role !== "follower" || leaderId !== 0) restartElection(raft)
  enterTerm(raft, term)
  raft.role = "follower"
  raft.leaderId = leaderId
}

export const becomePreCandidate = (raft: RaftState): void => {
  restartElection(raft)
  raft.role = "preCandidate"
  raft.leaderId = 0
  raft.votes.set(raft.nodeId, true)
}

export const becomeCandidate = (raft: RaftState): void => {
  restartElection(raft)
  enterTerm(raft, raft.term + 1)
  raft.role = "candidate"
  raft.leaderId = 0
  raft.votedFor = raft.nodeId
  raft.votes.set(raft.nodeId, true)
}

/** Its first entry commits, with itself, everything before it (paper, 5.4.2 and 8). */
export const becomeLeader = (raft: RaftState): void => {
  restartElection(raft)
  raft.role = "leader"
  raft.leaderId = raft.nodeId
  raft.heartbeatElapsed = 0
  raft.receiving = undefined
  raft.uncommittedBytes = raft.log.bytesBetween(raft.log.commitIndex + 1, raft.log.lastIndex)
  raft.progressByNode = new Map()
  refreshProgress(raft)
  appendOwn(raft, { kind: "noop", index: raft.log.lastIndex + 1, term: raft.term })
}

/** A leader's own entry. */
export const appendOwn = (raft: RaftState, entry: Entry): void => {
  raft.log.append(entry)
  raft.uncommittedBytes += entryBytes(entry)
  if (entry.kind !== "membership") return
  raft.memberships.appended(entry)
  refreshProgress(raft)
}

/**
 * A leader serves everybody in the membership in force and in those that may still come back: who is to leave gets the entry that
 * takes it out, and learns that it is committed (compare dissertation, 4.2.2).
 */
const refreshProgress = (raft: RaftState): void => {
  const { memberships, options } = raft
  const current = new Set(memberships.current.members.map((member) => member.nodeId))
  const all = new Set(memberships.since(raft.log.commitIndex).flatMap((one) => one.members.map((member) => member.nodeId)))
  all.delete(raft.nodeId)
  const next = new Map<number, Progress>()
  for (const nodeId of [...all].sort((a, b) => a - b)) {
    const progress =
      raft.progressByNode.get(nodeId) ??
      new Progress(nodeId, raft.log.lastIndex + 1, options.inflightMessagesMax, options.inflightBytesMax)
    progress.leavingIndex = current.has(nodeId) ? 0 : memberships.currentIndex
    next.set(nodeId, progress)
  }
  raft.progressByNode = next
}
