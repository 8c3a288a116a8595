/**
 * `ClusterControl` of a member: asks every node, and passes on to the leader what only the leader can do.
 */
import type { ClusterNode, ClusterStatus, NodePart, NodeReport } from "@effectmq/schemas/admin/Cluster"
import { type MetadataError, MetadataUnavailable, UnknownNode } from "@effectmq/schemas/errors/MetadataError"
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ClusterControlService } from "../ClusterControl.js"
import type { ClusterPeersService, MetadataPeer, PeerUnavailable } from "../ClusterPeers.js"
import { type ControllerService, stamp } from "../Controller.js"
import { type SnapshotContent, writeSnapshot } from "../core/SnapshotFormat.js"
import type { MetadataService } from "../Metadata.js"
import type { Leaders } from "./Leaders.js"
import { breathe } from "./snapshots.js"

export interface ControlParts {
  readonly nodeId: number
  readonly local: MetadataPeer<never>
  readonly peers: ClusterPeersService
  readonly leaders: Leaders
  /** As this node knows it. */
  readonly membership: () => Membership
  readonly metadata: MetadataService
  readonly controller: ControllerService
  readonly content: () => SnapshotContent
}

const passing: ReadonlySet<MetadataUnavailable["reason"]> = new Set(["no-leader", "busy"])
const reportMsMax = 2_000
const leaderMsMax = 15_000
const catchUpMsMax = 60_000
const againMs = 100
const exportBytesMax = 64 * 1024

const partOf = ({ voters, outgoingVoters, learners }: Membership, nodeId: number): NodePart => {
  if (voters.includes(nodeId)) return "voter"
  if (outgoingVoters.includes(nodeId)) return "outgoing"
  return learners.includes(nodeId) ? "learner" : "observer"
}

export const make = (parts: ControlParts): ClusterControlService => {
  const { nodeId: own, local, peers, leaders, membership, metadata, controller, content } = parts

  const peerOf = (member: Member): MetadataPeer => (member.nodeId === own ? local : peers.at(member))

  /** Tries until a leader has answered what is no matter of who leads. */
  const atLeader = <A>(
    call: (peer: MetadataPeer) => Effect.Effect<A, MetadataError | PeerUnavailable>,
    waitMsMax = leaderMsMax
  ): Effect.Effect<A, MetadataError> =>
    Effect.gen(function* () {
      const untilMs = (yield* Clock.currentTimeMillis) + waitMsMax
      let last = new MetadataUnavailable({ reason: "no-leader", message: "no leader is known" })
      while ((yield* Clock.currentTimeMillis) < untilMs) {
        const leader = leaders.now()
        if (leader !== undefined) {
          const answer = yield* Effect.either(call(peerOf(leader.member)))
          if (answer._tag === "Right") return answer.right
          const error = answer.left
          // Another leader, or this one a little later.
          const passes = error._tag === "PeerUnavailable" || (error._tag === "MetadataUnavailable" && passing.has(error.reason))
          if (!passes) return yield* Effect.fail(error)
          last =
            error._tag === "MetadataUnavailable"
              ? error
              : new MetadataUnavailable({ reason: "no-leader", message: error.message })
        }
        yield* Effect.raceFirst(leaders.after(leader), Effect.sleep(againMs))
      }
      return yield* Effect.fail(last)
    })

  const reportOf = (member: Member): Effect.Effect<NodeReport | undefined> =>
    Effect.map(Effect.option(Effect.timeout(peerOf(member).report, reportMsMax)), (found) =>
      found._tag === "Some" ? found.value : undefined
    )

  const status: Effect.Effect<ClusterStatus> = Effect.gen(function* () {
    const synced = yield* Effect.either(Effect.timeout(metadata.sync, reportMsMax))
    const image = metadata.image()
    const members = membership()
    const addressById = new Map(members.members.map(({ nodeId, address }) => [nodeId, address]))
    for (const { nodeId, rpcAddress } of image.nodesById.values()) {
      if (rpcAddress !== undefined && !addressById.has(nodeId)) addressById.set(nodeId, rpcAddress)
    }
    const nodeIds = new Set([own, ...addressById.keys(), ...[...image.nodesById.values()].map(({ nodeId }) => nodeId)])
    const nodes = yield* Effect.forEach(
      [...nodeIds].sort((left, right) => left - right),
      (nodeId) => {
        const address = addressById.get(nodeId)
        const asked = nodeId === own || address !== undefined
        const report = asked ? reportOf({ nodeId, address: address ?? "" }) : Effect.succeed(undefined)
        return Effect.map(report, (report): ClusterNode => {
          const known = image.nodesById.get(String(nodeId))
          return {
            nodeId,
            name: known?.name ?? "",
            version: known?.version ?? "",
            part: partOf(members, nodeId),
            fenced: known?.fencedAtMs !== undefined,
            ...(address === undefined ? {} : { address }),
            ...(report === undefined ? {} : { report })
          }
        })
      },
      { concurrency: "unbounded" }
    )
    // The newest term's leader as any of them says.
    const reports = nodes.flatMap(({ report }) => (report === undefined ? [] : [report]))
    const newest = reports.reduce((best, report) => (report.term > best.term && report.leaderId !== 0 ? report : best), {
      term: 0,
      leaderId: 0
    })
    const end = reports.find(({ nodeId }) => nodeId === newest.leaderId)?.appliedIndex
    return {
      clusterId: image.cluster?.clusterId ?? "",
      askedNodeId: own,
      leaderId: newest.leaderId,
      term: newest.term,
      stale: synced._tag === "Left",
      nodes: nodes.map((node) =>
        end === undefined || node.report === undefined ? node : { ...node, lag: Math.max(0, end - node.report.appliedIndex) }
      )
    }
  })

  const isKnown = (nodeId: number) => membership().members.some((member) => member.nodeId === nodeId)

  return {
    status,
    addNode: ({ nodeId, address, voter }) =>
      Effect.gen(function* () {
        const add = { change: { _tag: "AddLearner", member: { nodeId, address } }, waitMsMax: 0 } as const
        yield* Effect.catchTag(
          atLeader((peer) => peer.changeMembership(add)),
          "InvalidMembership",
          (error) => {
            // An earlier try of this one may have come so far.
            const isLearner = membership().learners.includes(nodeId)
            return isLearner && voter ? Effect.void : Effect.fail(error)
          }
        )
        if (!voter) return
        const promote = { change: { _tag: "Promote", nodeId }, waitMsMax: catchUpMsMax } as const
        yield* atLeader((peer) => peer.changeMembership(promote), catchUpMsMax)
      }),
    removeNode: (nodeId) =>
      Effect.gen(function* () {
        const wasMember = isKnown(nodeId)
        if (wasMember) {
          yield* atLeader((peer) => peer.changeMembership({ change: { _tag: "Remove", nodeId }, waitMsMax: 0 }))
        }
        const unregister = { _tag: "UnregisterNode", ...(yield* stamp), nodeId } as const
        yield* Effect.catchTag(controller.submit(unregister), "UnknownNode", () =>
          wasMember ? Effect.void : Effect.fail(new UnknownNode({ nodeId }))
        )
      }),
    transferLeadership: (nodeId) => atLeader((peer) => peer.transferLeadership({ toNodeId: nodeId })),
    takeSnapshot: local.takeSnapshot,
    exportSnapshot: Stream.unwrap(
      Effect.map(metadata.sync, () => {
        const writing = writeSnapshot(content(), exportBytesMax)
        const next: Effect.Effect<Uint8Array | undefined> = Effect.suspend(() => {
          const { value, done } = writing.next()
          if (done === true) return Effect.succeed(undefined)
          return value === undefined ? Effect.zipRight(breathe, next) : Effect.succeed(value)
        })
        return Stream.takeWhile(Stream.repeatEffect(next), (chunk) => chunk !== undefined) as Stream.Stream<Uint8Array>
      })
    )
  }
}
