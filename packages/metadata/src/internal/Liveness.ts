/**
 * Signs of life. Every node tells the leader that it is there, and learns from the answer whether its metadata are the leader's.
 * The leader fences nodes that are silent, and takes that back when it hears of them.
 *
 * Invariant: hashes are compared only at an index that both have applied: a difference there is never a matter of being late.
 */
import type { Heartbeat } from "@effectmq/schemas/rpc/MetadataRpcs"
import type * as Rpc from "@effect/rpc/Rpc"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ClusterPeersService } from "../ClusterPeers.js"
import { type ControllerService, stamp } from "../Controller.js"
import { hashToHex } from "../core/EntryChain.js"
import type { Replica } from "../core/Replica.js"
import type { Leaders } from "./Leaders.js"
import type { Roll } from "./Roll.js"
import { uptimeMs } from "./uptime.js"

export interface LivenessOptions {
  readonly heartbeatMs: number
  /** A node that was not heard of for so long is fenced. */
  readonly silentMsMax: number
}

export const defaultOptions: LivenessOptions = { heartbeatMs: 1_000, silentMsMax: 6_000 }

export interface HeartbeatParts {
  readonly nodeId: number
  readonly storeId: string | undefined
  readonly replica: Replica
  readonly leaders: Leaders
  readonly peers: ClusterPeersService
  /** This node has applied something else than the leader. */
  readonly diverged: (problem: string) => void
}

/** One sign of life to whoever leads, unless that is this node. */
const beat = (parts: HeartbeatParts, options: LivenessOptions, told: { removed: boolean }): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (clockMs) => {
    const { nodeId, storeId, replica, leaders, peers } = parts
    const leader = leaders.now()
    if (leader === undefined || leader.member.nodeId === nodeId) return Effect.void
    const { index, hash } = replica.point
    const request = { nodeId, index, clockMs, ...(storeId === undefined ? {} : { storeId }) }
    return peers
      .at(leader.member)
      .heartbeat(request)
      .pipe(
        Effect.timeoutOption(options.heartbeatMs),
        Effect.matchEffect({
          onFailure: () => Effect.sync(() => leaders.silent(leader)),
          onSuccess: (found) => {
            if (found._tag === "None") return Effect.sync(() => leaders.silent(leader))
            return answered(parts, leader.member.nodeId, { index, hash: hashToHex(hash) }, found.value, told)
          }
        })
      )
  })

const answered = (
  parts: HeartbeatParts,
  askedNodeId: number,
  own: { readonly index: number; readonly hash: string },
  answer: Rpc.Success<typeof Heartbeat>,
  told: { removed: boolean }
): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (answer.leaderId !== askedNodeId) return Effect.void
    if (answer.hash !== undefined && answer.hash !== own.hash) {
      parts.diverged(
        `what it applied up to entry ${own.index} is not what the leader, node ${askedNodeId}, applied (${own.hash} and ` +
          `${answer.hash}): remove this node and add it anew, empty`
      )
      return Effect.void
    }
    const removed = !answer.registered
    if (removed === told.removed) return Effect.void
    told.removed = removed
    return removed ? Effect.logWarning("the cluster does not know this node (yet, or any more)") : Effect.void
  })

export const heartbeats = (parts: HeartbeatParts, options: LivenessOptions): Effect.Effect<never> =>
  Effect.suspend(() => {
    // Before it is registered that is no news.
    const told = { removed: true }
    return Effect.forever(Effect.zipRight(Effect.sleep(options.heartbeatMs), beat(parts, options, told)))
  })

export interface FencingParts {
  readonly nodeId: number
  /** 0 where this node does not lead. */
  readonly leadsInTerm: () => number
  readonly replica: Replica
  readonly roll: Roll
  readonly controller: ControllerService
}

const look = ({ nodeId, leadsInTerm, replica, roll, controller }: FencingParts, options: LivenessOptions) =>
  Effect.gen(function* () {
    const term = leadsInTerm()
    if (term === 0) return
    const now = yield* uptimeMs
    roll.begin(term, now)
    roll.heard(nodeId, now)
    roll.clockSays(nodeId, yield* Clock.currentTimeMillis, now)
    for (const node of replica.image.nodesById.values()) {
      roll.stands(node.nodeId, node.fencedAtMs !== undefined, now)
      const silentMs = roll.silentMs(node.nodeId, now)
      const isFenced = node.fencedAtMs !== undefined
      if (!isFenced && silentMs > options.silentMsMax) {
        yield* Effect.logWarning(`node ${node.nodeId} was not heard of for ${silentMs} ms and is fenced`)
        yield* controller.submit({ _tag: "FenceNode", ...(yield* stamp), nodeId: node.nodeId })
      } else if (isFenced && roll.isThere(node.nodeId, now, options.heartbeatMs * 2)) {
        yield* Effect.logInfo(`node ${node.nodeId} is back`)
        yield* controller.submit({ _tag: "UnfenceNode", ...(yield* stamp), nodeId: node.nodeId })
      }
    }
  })

/** What cannot be told to the cluster now is told with the next look. */
export const fencing = (parts: FencingParts, options: LivenessOptions): Effect.Effect<never> =>
  Effect.forever(
    Effect.zipRight(
      Effect.sleep(options.heartbeatMs),
      Effect.catchAll(look(parts, options), (error) => Effect.logDebug(`fencing waits: ${error.message}`))
    )
  )
