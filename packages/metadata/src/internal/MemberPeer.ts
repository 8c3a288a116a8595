/**
 * What a member of the Raft group answers to the other nodes.
 */
import type { ClusterStatus, NodeReport } from "@effectmq/schemas/admin/Cluster"
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import { InvalidField, InvalidMembership, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { metadataCommandCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import type { ChangeOfMembership, SubmitOutcome, SubmittedCommand } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { MetadataPeer } from "../ClusterPeers.js"
import { hashToHex } from "../core/EntryChain.js"
import type { Image } from "../core/Image.js"
import type { MetadataMachine } from "../MetadataMachine.js"
import { follow } from "./FollowSource.js"
import { makeImageHash } from "./imageHash.js"
import { leaderLost, notLeader, refusedBy } from "./Outcomes.js"
import type { Roll } from "./Roll.js"
import { settledMembership } from "./Standing.js"
import { isOutside, type Place } from "./Place.js"
import { membershipErrorOf, readUnavailableOf, unavailableOf } from "./raftErrors.js"
import { uptimeMs } from "./uptime.js"

export interface MemberPeerParts {
  readonly raft: RaftNodeService
  readonly machine: MetadataMachine
  readonly roll: Roll
  readonly report: Effect.Effect<NodeReport>
  readonly status: Effect.Effect<ClusterStatus>
}

/** A caller cannot make this node keep its commands for longer. */
const waitMsMost = 60_000
const catchUpLagMax = 100
/** Whoever asks who this is waits no longer than a second. */
const confirmMsMax = 500
/** Of the entry that every first member writes for itself. */
const bootstrapIndex = 1
const catchUpPollMs = 50
/** A member that does not answer for so long is taken for gone where another one is to be taken out. */
const answerMsMax = 5_000

const roleOf = ({ role }: RaftStatus): NodeReport["role"] => (role === "preCandidate" ? "candidate" : role)

/** Who was taken out goes on believing in the leader it heard last, for nobody tells it of another. */
export const isStale = (status: RaftStatus): boolean =>
  status.leaderId === 0 || (status.fenced ?? status.noSpace) !== undefined || isOutside(status)

/** Whether this node does its part, and why it cannot, for now or for good. */
const standingOf = (status: RaftStatus, place: Place): Pick<NodeReport, "standing" | "fault"> => {
  const problem = place.look(status)
  if (problem === undefined) return { standing: status.membership.members.length === 0 ? "joining" : "alive" }
  const { kind, why } = problem
  return { standing: kind, fault: kind === "noSpace" ? `waits for space: ${why}` : why }
}

/** The machine is asked for commands alone; where it has stopped, Raft goes on without it. */
const appliedIndexOf = ({ appliedIndex }: RaftStatus, { fault, replica }: MetadataMachine): number =>
  fault === undefined ? Math.max(appliedIndex, replica.point.index) : replica.point.index

const leaderAddress = ({ leaderId, membership }: RaftStatus): { readonly address?: string } => {
  const member = membership.members.find(({ nodeId }) => nodeId === leaderId)
  return member === undefined ? {} : { address: member.address }
}

const noLeaderHere = ({ leaderId }: RaftStatus) =>
  new MetadataUnavailable({
    reason: "no-leader",
    message: leaderId === 0 ? "this node knows of no leader" : `node ${leaderId} leads, not this one`
  })

/** Whether the membership is already what the change makes of it, as when the change is tried again. */
const isSo = ({ voters, outgoingVoters, learners, members }: Membership, change: ChangeOfMembership): boolean => {
  const isMember = (member: Member) => members.some((one) => one.nodeId === member.nodeId && one.address === member.address)
  if (outgoingVoters.length > 0) return false
  switch (change._tag) {
    case "AddLearner":
      return learners.includes(change.member.nodeId) && isMember(change.member)
    case "Promote":
      return voters.includes(change.nodeId)
    case "Remove":
      return !members.some(({ nodeId }) => nodeId === change.nodeId)
    case "SetAddress":
      return isMember(change.member)
  }
}

/**
 * Why a voter cannot be taken out now: those that stay would have no majority of members that are there, so that nobody could lead any
 * more. A member that never came up could then not even begin, since it asks the others' leader whether it is known. There is who
 * answered in the last `withinMs`.
 */
const leavesNoMajority = (status: RaftStatus, nodeId: number, withinMs: number): InvalidMembership | undefined => {
  const { membership, followers, nodeId: own } = status
  if (!membership.voters.includes(nodeId)) return undefined
  const rest = membership.voters.filter((voter) => voter !== nodeId)
  const isThere = (voter: number) =>
    voter === own || followers.some((one) => one.nodeId === voter && one.matchIndex > 0 && one.silentMs < withinMs)
  const missing = rest.filter((voter) => !isThere(voter))
  // Nor is the last one taken out: Raft says so.
  if (missing.length * 2 < rest.length || rest.length === 0) return undefined
  const silent = missing.length === 1 ? `${missing[0]} does not answer` : `${missing.join(", ")} do not answer`
  const reason = `node ${nodeId} cannot be taken out: of the voters that stay ${silent}, so that they would have no majority`
  return new InvalidMembership({ nodeId, reason })
}

/** A node that is known to the cluster and no member of the Raft group. */
const isListedOnly = ({ membership }: RaftStatus, { nodesById }: Image, nodeId: number): boolean =>
  nodesById.has(String(nodeId)) && !membership.members.some((member) => member.nodeId === nodeId)

/** This node takes part no more: for the caller that is as if the leader were lost. */
const seenFromElsewhere = (outcome: SubmitOutcome): SubmitOutcome => {
  if (outcome._tag !== "Unavailable") return outcome
  if (outcome.error.reason === "closed") return notLeader(0, 0)
  return outcome.error.reason === "fenced" ? leaderLost : outcome
}

/** How this member stands. */
export const report = (raft: RaftNodeService, machine: MetadataMachine, place: Place): Effect.Effect<NodeReport> => {
  const { replica } = machine
  const imageHash = makeImageHash()
  return Effect.suspend(() => {
    const { image, point } = replica
    const appliedIndex = appliedIndexOf(raft.status(), machine)
    return Effect.map(imageHash(image), (hash): NodeReport => {
      const status = raft.status()
      return {
        nodeId: status.nodeId,
        role: roleOf(status),
        term: status.term,
        leaderId: status.leaderId,
        firstIndex: status.firstIndex,
        lastIndex: status.lastIndex,
        commitIndex: status.commitIndex,
        appliedIndex,
        snapshotIndex: status.snapshotIndex,
        imageVersion: image.version,
        chainHash: hashToHex(point.hash),
        imageHash: hash,
        ...standingOf(status, place)
      }
    })
  })
}

export const make = ({ raft, machine, roll, report, status }: MemberPeerParts): MetadataPeer<never> => {
  const { replica, view } = machine

  /** All of a call are answered together: none costs a fiber of its own. */
  const submitAll = (term: number, deadlineMs: number, commands: ReadonlyArray<SubmittedCommand>) =>
    Effect.async<ReadonlyArray<SubmitOutcome>>((resume) => {
      const outcomes = new Array<SubmitOutcome>(commands.length)
      const takeBacks: Array<() => void> = []
      let waiting = commands.length
      const answered = (at: number, outcome: SubmitOutcome) => {
        outcomes[at] = outcome
        if (--waiting === 0) resume(Effect.succeed(outcomes))
      }
      if (waiting === 0) return resume(Effect.succeed(outcomes))
      for (const [at, { line, basisVersion, attempt }] of commands.entries()) {
        const command = metadataCommandCodec.decode(line)
        if (Either.isLeft(command)) {
          const error = new InvalidField({ field: "command", value: line.slice(0, 200), reason: command.left.message })
          answered(at, refusedBy(error))
          continue
        }
        const answer = (outcome: SubmitOutcome) => answered(at, seenFromElsewhere(outcome))
        takeBacks.push(machine.offer(term, { command: command.right, basisVersion, attempt, deadlineMs, answer }))
      }
      return Effect.sync(() => {
        for (const takeBack of takeBacks) takeBack()
      })
    })

  const caughtUp = (nodeId: number): Effect.Effect<void, MetadataUnavailable | InvalidMembership> =>
    Effect.suspend(() => {
      const status = raft.status()
      if (status.role !== "leader") return Effect.fail(noLeaderHere(status))
      if (!status.membership.learners.includes(nodeId)) {
        // Perhaps since another operator did the same.
        const votes = status.membership.voters.includes(nodeId)
        return Effect.fail(new InvalidMembership({ nodeId, reason: votes ? "it votes already" : "it is no learner" }))
      }
      const progress = status.followers.find((follower) => follower.nodeId === nodeId)
      const isNear = progress?.state === "replicate" && progress.matchIndex + catchUpLagMax >= status.lastIndex
      return isNear ? Effect.void : Effect.zipRight(Effect.sleep(catchUpPollMs), caughtUp(nodeId))
    })

  /** Until enough of those that stay have answered from now on: one that just died was heard of a moment ago. */
  const aMajorityStays = (nodeId: number): Effect.Effect<void, MetadataUnavailable | InvalidMembership> =>
    Effect.gen(function* () {
      const sinceMs = yield* uptimeMs
      while (true) {
        const status = raft.status()
        if (status.role !== "leader") return yield* Effect.fail(noLeaderHere(status))
        const passedMs = (yield* uptimeMs) - sinceMs
        const objection = leavesNoMajority(status, nodeId, passedMs)
        if (objection === undefined) return
        if (passedMs >= answerMsMax) return yield* Effect.fail(objection)
        yield* Effect.sleep(catchUpPollMs)
      }
    })

  return {
    submit: ({ term, commands, waitMsMax }) =>
      Effect.flatMap(uptimeMs, (now) => submitAll(term, now + Math.min(waitMsMost, waitMsMax), commands)),

    readBarrier: raft.readBarrier.pipe(
      Effect.mapError(readUnavailableOf),
      Effect.map(() => ({ version: view.image().version }))
    ),

    follow: (request) =>
      follow(
        {
          replica,
          view,
          standing: () => {
            const status = raft.status()
            const { leaderId, term } = status
            return { appliedIndex: appliedIndexOf(status, machine), stale: isStale(status), leaderId, term }
          }
        },
        request
      ),

    heartbeat: ({ nodeId, storeId, index, clockMs }) =>
      Effect.map(uptimeMs, (now) => {
        const status = raft.status()
        const known = view.image().nodesById.get(String(nodeId))
        const registered = known !== undefined && known.storeId === storeId
        if (machine.leadsInTerm > 0 && registered) {
          roll.heard(nodeId, now)
          if (clockMs !== undefined) roll.clockSays(nodeId, clockMs, now)
        }
        const hash = replica.recent.hashAt(index)
        return {
          leaderId: status.leaderId,
          ...leaderAddress(status),
          registered,
          fenced: known?.fencedAtMs !== undefined,
          ...(hash === undefined ? {} : { hash: hashToHex(hash) })
        }
      }),

    identify: ({ nodeId }) =>
      Effect.map(Effect.option(Effect.timeout(raft.readBarrier, confirmMsMax)), (confirmed) => {
        const status = raft.status()
        const { cluster, nodesById } = view.image()
        const knownStoreId = nodesById.get(String(nodeId))?.storeId
        return {
          nodeId: status.nodeId,
          storeId: raft.storeId,
          memberIds: status.membership.members.map((member) => member.nodeId),
          // A snapshot of no more than that entry is nothing of a cluster either.
          holdsLog: status.lastIndex > bootstrapIndex,
          isConfirmed: confirmed._tag === "Some",
          ...settledMembership(status),
          ...(cluster === undefined ? {} : { clusterId: cluster.clusterId }),
          ...(knownStoreId === undefined ? {} : { knownStoreId })
        }
      }),

    report,
    status,

    changeMembership: ({ change, waitMsMax }) =>
      Effect.suspend(() => {
        const status = raft.status()
        if (status.role !== "leader") return Effect.fail(noLeaderHere(status))
        const nodeId = "member" in change ? change.member.nodeId : change.nodeId
        if (isSo(status.membership, change)) return Effect.void
        if (change._tag === "AddLearner" && isListedOnly(status, view.image(), nodeId)) {
          const reason = "its number is that of a node without a part in the log, such as an observer: take that one out first"
          return Effect.fail(new InvalidMembership({ nodeId, reason }))
        }
        // Refused where another operator did the same a moment before.
        const changed = Effect.catchIf(
          Effect.mapError(raft.changeMembership(change), membershipErrorOf(nodeId)),
          (error) => error._tag === "InvalidMembership" && isSo(raft.status().membership, change),
          () => Effect.void
        )
        if (change._tag === "Remove") return Effect.zipRight(aMajorityStays(nodeId), changed)
        if (change._tag !== "Promote") return changed
        const late = new MetadataUnavailable({
          reason: "timeout",
          message: `node ${nodeId} has not caught up in time, it is a learner`
        })
        return Effect.zipRight(
          Effect.timeoutFail(caughtUp(nodeId), { duration: Math.min(waitMsMost, waitMsMax), onTimeout: () => late }),
          changed
        )
      }),

    transferLeadership: ({ toNodeId }) =>
      Effect.suspend(() => {
        const status = raft.status()
        if (status.leaderId === toNodeId) return Effect.void
        return status.role === "leader"
          ? Effect.mapError(raft.transferLeadership(toNodeId), membershipErrorOf(toNodeId))
          : Effect.fail(noLeaderHere(status))
      }),

    takeSnapshot: raft.takeSnapshot.pipe(
      Effect.mapError(unavailableOf),
      Effect.map(({ index, bytes }) => ({
        nodeId: raft.status().nodeId,
        index,
        imageVersion: view.image().version,
        bytes
      }))
    )
  }
}
