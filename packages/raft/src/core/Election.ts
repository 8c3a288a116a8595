/**
 * Elections: who asks for votes, and who gives one (Raft paper, 5.2 and 5.4.1; pre-vote: dissertation, 9.6; votes withheld while a
 * leader is heard: dissertation, 4.2.3).
 *
 * Invariants
 * - In one term a member gives one vote, and what it answers is durable before it is sent.
 * - A vote goes only to a log that is at least as new as one's own.
 * - A pre-vote changes nothing on who gives it.
 */
import type { VoteReply, VoteRequest } from "@effectmq/schemas/raft/RaftMessage"
import { isVoter, voteOutcome } from "./Quorum.js"
import type { RaftState } from "./RaftState.js"
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from "./Roles.js"

/** While it is true, another leader is none of this member's wishes. */
export const hearsLeader = (raft: RaftState): boolean =>
  raft.options.checkQuorum && raft.leaderId !== 0 && raft.electionElapsed < raft.options.electionTicks

const askForVotes = (raft: RaftState, preVote: boolean, transfer: boolean): void => {
  const { log, memberships, nodeId } = raft
  for (const { nodeId: to } of memberships.current.members) {
    if (to === nodeId || !isVoter(memberships.current, to)) continue
    raft.sendAfterWrite({
      _tag: "VoteRequest",
      from: nodeId,
      to,
      term: preVote ? raft.term + 1 : raft.term,
      preVote,
      lastIndex: log.lastIndex,
      lastTerm: log.lastTerm,
      transfer
    })
  }
}

const beginElection = (raft: RaftState, transfer: boolean): void => {
  becomeCandidate(raft)
  if (voteOutcome(raft.memberships.current, raft.votes) === "won") becomeLeader(raft)
  else askForVotes(raft, false, transfer)
}

/** `transfer`: the leader wishes it, so nobody is asked beforehand and those that hear a leader vote too. */
export const campaign = (raft: RaftState, transfer: boolean): void => {
  if (!raft.mayLead || raft.isLeader || raft.installing !== undefined) return
  if (!raft.options.preVote || transfer) return beginElection(raft, transfer)
  becomePreCandidate(raft)
  if (voteOutcome(raft.memberships.current, raft.votes) === "won") beginElection(raft, false)
  else askForVotes(raft, true, false)
}

export const tickElection = (raft: RaftState): void => {
  raft.electionElapsed++
  if (raft.electionElapsed < raft.electionTimeout || !raft.mayLead) return
  raft.electionElapsed = 0
  campaign(raft, false)
}

/** Its term is this member's, or it is a pre-vote for a later one. */
export const handleVoteRequest = (raft: RaftState, request: VoteRequest): void => {
  const free = raft.votedFor === request.from || (raft.votedFor === 0 && raft.leaderId === 0)
  const granted =
    (free || (request.preVote && request.term > raft.term)) && raft.log.isReachedBy(request.lastIndex, request.lastTerm)
  raft.sendAfterWrite({
    _tag: "VoteReply",
    from: raft.nodeId,
    to: request.from,
    // A pre-vote that is given speaks of the term that would begin.
    term: request.preVote && granted ? request.term : raft.term,
    preVote: request.preVote,
    granted
  })
  if (!granted || request.preVote) return
  raft.votedFor = request.from
  raft.electionElapsed = 0
}

/** A request of a term that is over: the sender learns the newer one. */
export const refuseVote = (raft: RaftState, request: VoteRequest): void =>
  raft.sendAfterWrite({
    _tag: "VoteReply",
    from: raft.nodeId,
    to: request.from,
    term: raft.term,
    preVote: request.preVote,
    granted: false
  })

export const handleVoteReply = (raft: RaftState, reply: VoteReply): void => {
  if (raft.role !== (reply.preVote ? "preCandidate" : "candidate")) return
  if (raft.votes.has(reply.from)) return
  raft.votes.set(reply.from, reply.granted)
  const outcome = voteOutcome(raft.memberships.current, raft.votes)
  if (outcome === "lost") becomeFollower(raft, raft.term, 0)
  else if (outcome === "won" && raft.role === "preCandidate") beginElection(raft, false)
  else if (outcome === "won") becomeLeader(raft)
}
