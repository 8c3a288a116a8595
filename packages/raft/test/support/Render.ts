/**
 * How scenarios show machines, logs and messages: short, and the same every time.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { MachineNode } from "./MachineCluster.js"

export const renderMembership = ({ voters, outgoingVoters, learners }: Membership): string => {
  const outgoing = outgoingVoters.length > 0 ? ` leaving ${outgoingVoters.join(",")}` : ""
  return `voters ${voters.join(",")}${outgoing}${learners.length > 0 ? ` learners ${learners.join(",")}` : ""}`
}

/** `index/term` and what it says. */
export const renderEntry = (entry: Entry): string => {
  const place = `${entry.index}/${entry.term}`
  if (entry.kind === "noop") return `${place}:noop`
  if (entry.kind === "membership") return `${place}:(${renderMembership(entry.membership)})`
  const text = Buffer.from(entry.data).toString()
  return `${place}:${text.length > 12 ? `${text.slice(0, 12)}...` : text}`
}

const details = (message: RaftMessage): string => {
  switch (message._tag) {
    case "VoteRequest":
      return `${message.preVote ? "PreVote" : "Vote"} last=${message.lastIndex}/${message.lastTerm}${message.transfer ? " transfer" : ""}`
    case "VoteReply":
      return `${message.preVote ? "PreVoteReply" : "VoteReply"} ${message.granted ? "granted" : "refused"}`
    case "AppendRequest": {
      const entries = message.entries.length === 0 ? "" : ` ${message.entries.map(renderEntry).join(" ")}`
      const round = message.readRound > 0 ? ` round=${message.readRound}` : ""
      return `Append after=${message.previousIndex}/${message.previousTerm} commit=${message.commitIndex}${round}${entries}`
    }
    case "AppendReply": {
      const round = message.readRound > 0 ? ` round=${message.readRound}` : ""
      if (message.accepted) return `AppendReply has=${message.index}${round}`
      return `AppendReply lacks=${message.index} hint=${message.hintIndex}/${message.hintTerm}${round}`
    }
    case "SnapshotRequest":
      return `Snapshot at=${message.snapshot.index}/${message.snapshot.term} chunk=${message.chunk} of ${message.snapshot.chunks}`
    case "SnapshotReply":
      return `SnapshotReply at=${message.index} next=${message.nextChunk}`
    case "TimeoutNow":
      return "TimeoutNow"
    case "ReadIndexRequest":
      return `ReadIndex ${message.requestId}`
    case "ReadIndexReply":
      return `ReadIndexReply ${message.requestId} index=${message.index}`
  }
}

export const renderMessage = (message: RaftMessage): string =>
  `${message.from}->${message.to} t${message.term} ${details(message)}`

/** The short name of a message's kind, as `deliver kind=` takes it. */
export const kindOf = (message: RaftMessage): string => details(message).split(" ")[0] as string

/** Role, term and leader: what is told when it changes. */
export const renderRole = ({ machine, fenced }: MachineNode): string => {
  if (fenced !== undefined) return `fenced: ${fenced}`
  const role = machine.role === "follower" && !machine.isVoter ? "learner" : machine.role
  const leader = machine.role === "leader" || machine.leaderId === 0 ? "" : ` of ${machine.leaderId}`
  return `${role}${leader} in term ${machine.term}`
}

export const renderStatus = (node: MachineNode): string => {
  const { machine } = node
  const vote = machine.votedFor === 0 ? "" : ` voted=${machine.votedFor}`
  return `${renderRole(node)}${vote} last=${machine.lastIndex}/${machine.termAt(machine.lastIndex)} commit=${machine.commitIndex} applied=${machine.appliedIndex}`
}

export const renderLog = ({ machine }: MachineNode): string => {
  const { firstIndex, lastIndex, commitIndex } = machine
  const shown = machine
    .entries(firstIndex, lastIndex)
    .map((entry) => `${renderEntry(entry)}${entry.index === commitIndex ? " |" : ""}`)
  const start = firstIndex > 1 ? [`(${firstIndex - 1}/${machine.termAt(firstIndex - 1)})`] : []
  return [...start, ...shown].join(" ") || "empty"
}

export const renderProgress = ({ machine }: MachineNode): ReadonlyArray<string> =>
  Array.from(machine.followers, (progress) => {
    const { inflight, sending } = progress
    const flying = inflight.count > 0 ? ` inflight=${inflight.count}${inflight.isFull ? " full" : ""}` : ""
    const chunk = sending === undefined ? "" : ` snapshot=${sending.snapshot.index} chunk=${sending.chunk}`
    const probe = progress.state === "probe" && progress.probeSent ? " waits" : ""
    const leaving = progress.leavingIndex > 0 ? " leaving" : ""
    return `${progress.nodeId}: ${progress.state} match=${progress.matchIndex} next=${progress.nextIndex}${flying}${chunk}${probe}${leaving}`
  })
