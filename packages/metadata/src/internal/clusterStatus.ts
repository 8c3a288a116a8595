/**
 * How the cluster stands, as a member tells it: its own view of who takes part, and what every node reports of itself.
 */
import type { ClusterNode, ClusterStatus, NodePart, NodeReport } from "@effectmq/schemas/admin/Cluster"
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import type { ClusterPeersService, MetadataPeer } from "../ClusterPeers.js"
import type { MetadataService } from "../Metadata.js"

export interface ClusterStatusParts {
  readonly nodeId: number
  readonly local: Pick<MetadataPeer<never>, "report">
  readonly peers: ClusterPeersService
  readonly membership: () => Membership
  readonly metadata: MetadataService
}

const reportMsMax = 2_000

const partOf = ({ voters, outgoingVoters, learners }: Membership, nodeId: number): NodePart => {
  if (voters.includes(nodeId)) return "voter"
  if (outgoingVoters.includes(nodeId)) return "outgoing"
  return learners.includes(nodeId) ? "learner" : "observer"
}

export const clusterStatus = (parts: ClusterStatusParts): Effect.Effect<ClusterStatus> => {
  const { nodeId: own, local, peers, membership, metadata } = parts
  const reportOf = (member: Member): Effect.Effect<NodeReport | undefined> =>
    Effect.map(Effect.option(Effect.timeout((member.nodeId === own ? local : peers.at(member)).report, reportMsMax)), (found) =>
      found._tag === "Some" ? found.value : undefined
    )

  return Effect.gen(function* () {
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
      term: newest.leaderId === 0 ? Math.max(0, ...reports.map((report) => report.term)) : newest.term,
      stale: synced._tag === "Left",
      nodes: nodes.map((node) =>
        end === undefined || node.report === undefined ? node : { ...node, lag: Math.max(0, end - node.report.appliedIndex) }
      )
    }
  })
}
