/**
 * `ClusterControl` on any node: passes on to the leader what only the leader can do. A change that is tried again, because the leader
 * was lost or did not answer, is made once: the leader answers at once where it is made already.
 */
import type { ClusterStatus } from "@effectmq/schemas/admin/Cluster"
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { metadataCommandCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ClusterControlService } from "../ClusterControl.js"
import { type ClusterPeersService, type MetadataPeer, PeerUnavailable } from "../ClusterPeers.js"
import { type ControllerService, stamp } from "../Controller.js"
import { type SnapshotContent, writeSnapshot } from "../core/SnapshotFormat.js"
import type { MetadataService } from "../Metadata.js"
import type { Leaders } from "./Leaders.js"
import { breathe } from "./snapshots.js"
import { uptimeMs } from "./uptime.js"

export interface ControlParts {
  readonly nodeId: number
  readonly local: MetadataPeer<never>
  readonly peers: ClusterPeersService
  readonly leaders: Leaders
  /** Why this node takes part no more: nobody changes the cluster through it, although the leader could be reached. */
  readonly fault: () => MetadataUnavailable | undefined
  readonly status: Effect.Effect<ClusterStatus>
  /** Whether it is in the Raft group, as this node knows. */
  readonly isMember: (nodeId: number) => boolean
  /** Of the Raft group, as this node knows. */
  readonly members: () => ReadonlyArray<Member>
  readonly metadata: MetadataService
  readonly controller: ControllerService
  readonly content: () => SnapshotContent
}

const passing: ReadonlySet<MetadataUnavailable["reason"]> = new Set(["no-leader", "busy"])
/** A node may need longer than one call. */
const catchingUp: ReadonlySet<MetadataUnavailable["reason"]> = new Set([...passing, "timeout"])
const lost = new PeerUnavailable({
  reason: "broken",
  message: "the leader was lost or does not answer: look whether the change was made"
})
const stillListed = new MetadataUnavailable({
  reason: "unknown",
  message:
    "this node was taken out of the cluster, whose list of nodes may still name it: take it out once more through another node"
})
const listedStill = (nodeId: number, { message }: MetadataUnavailable) =>
  new MetadataUnavailable({
    reason: "unknown",
    message: `node ${nodeId} takes part no more, but the cluster's list may still name it: take it out once more (${message})`
  })
const leaderMsMax = 15_000
/** For one of the nodes that stay. */
const otherMsMax = 3_000
const catchUpMsMax = 60_000
/** Of one call, which is given up after half a minute between nodes. */
const catchUpCallMsMax = 20_000
/** The leader must still be able to say why. */
const answerMsMin = 2_000
const againMs = 100
const exportBytesMax = 64 * 1024

export interface Control extends ClusterControlService {
  /** Where a member is called from now on. */
  setAddress(member: Member): Effect.Effect<void, MetadataError>
}

export const make = (parts: ControlParts): Control => {
  const { nodeId: own, local, peers, leaders, fault, status, isMember, members, metadata, controller, content } = parts

  const peerOf = (member: Member): MetadataPeer => (member.nodeId === own ? local : peers.at(member))

  /** Tries until a leader has answered what is no matter of who leads. */
  const atLeader = <A>(
    call: (peer: MetadataPeer, leftMs: number) => Effect.Effect<A, MetadataError | PeerUnavailable>,
    waitMsMax = leaderMsMax,
    isPassing = passing
  ): Effect.Effect<A, MetadataError> =>
    Effect.gen(function* () {
      const untilMs = (yield* uptimeMs) + waitMsMax
      let last = new MetadataUnavailable({ reason: "no-leader", message: "no leader is known" })
      while ((yield* uptimeMs) < untilMs) {
        const stopped = fault()
        if (stopped !== undefined) return yield* Effect.fail(stopped)
        const leader = leaders.now()
        if (leader !== undefined) {
          const leftMs = untilMs - (yield* uptimeMs)
          const outrun = Effect.zipRight(leaders.after(leader), Effect.fail(lost))
          const called = Effect.timeoutFail(call(peerOf(leader.member), leftMs), { duration: leftMs, onTimeout: () => lost })
          const answer = yield* Effect.either(Effect.raceFirst(called, outrun))
          if (answer._tag === "Right") return answer.right
          const error = answer.left
          // Another leader, or this one a little later.
          const passes = error._tag === "PeerUnavailable" || (error._tag === "MetadataUnavailable" && isPassing.has(error.reason))
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

  /** Of this node, once it is out: it hears of no leader any more, so that it asks those that stay who leads. */
  const unregisterThrough = (others: ReadonlyArray<Member>, command: MetadataCommand): Effect.Effect<void, MetadataError> =>
    Effect.gen(function* () {
      const commands = [{ line: metadataCommandCodec.encode(command), basisVersion: metadata.image().version, attempt: 1 }]
      const untilMs = (yield* uptimeMs) + leaderMsMax
      while ((yield* uptimeMs) < untilMs) {
        for (const peer of others.map((member) => peers.at(member))) {
          const asked = Effect.flatMap(peer.report, ({ role, term }) =>
            role === "leader" ? peer.submit({ term, commands, waitMsMax: otherMsMax }) : Effect.succeed([])
          )
          const outcomes = yield* Effect.option(Effect.timeout(asked, otherMsMax))
          const tag = outcomes._tag === "Some" ? outcomes.value[0]?._tag : undefined
          if (tag === "Done" || tag === "Refused") return
        }
        yield* Effect.sleep(againMs)
      }
      return yield* Effect.fail(stillListed)
    })

  return {
    status,
    addNode: ({ nodeId, address, voter }) =>
      Effect.gen(function* () {
        const add = { change: { _tag: "AddLearner", member: { nodeId, address } }, waitMsMax: 0 } as const
        yield* atLeader((peer) => peer.changeMembership(add))
        if (!voter) return
        const change = { _tag: "Promote", nodeId } as const
        yield* atLeader(
          (peer, leftMs) =>
            peer.changeMembership({ change, waitMsMax: Math.max(0, Math.min(catchUpCallMsMax, leftMs - answerMsMin)) }),
          catchUpMsMax,
          catchingUp
        )
      }),
    removeNode: (nodeId) =>
      Effect.gen(function* () {
        const wasMember = isMember(nodeId)
        const others = members().filter((member) => member.nodeId !== nodeId)
        const removed = atLeader((peer) => peer.changeMembership({ change: { _tag: "Remove", nodeId }, waitMsMax: 0 }))
        // Its own log may tell this node before the leader's answer does.
        yield* Effect.catchIf(
          removed,
          () => nodeId === own && wasMember && !isMember(own),
          () => Effect.void
        )
        const unregister = { _tag: "UnregisterNode", ...(yield* stamp), nodeId } as const
        if (nodeId === own && wasMember) return yield* unregisterThrough(others, unregister)
        yield* Effect.catchTags(controller.submit(unregister), {
          UnknownNode: (error) => (wasMember ? Effect.void : Effect.fail(error)),
          MetadataUnavailable: (error) => Effect.fail(wasMember ? listedStill(nodeId, error) : error)
        })
      }),
    setAddress: (member) => atLeader((peer) => peer.changeMembership({ change: { _tag: "SetAddress", member }, waitMsMax: 0 })),
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
