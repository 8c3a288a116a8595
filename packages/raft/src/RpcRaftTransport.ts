/**
 * `RaftTransport` over RPC between nodes.
 *
 * Invariants
 * - Messages for one member wait in a bounded queue and go out in calls of many; the oldest are dropped when it is full, and all of
 *   them while the member cannot be reached: Raft sends again what matters.
 * - Whoever sent something is answered, where it says that it is: one that was away does not know yet of a leader that came
 *   meanwhile, or went elsewhere.
 * - A message counts only where the node that sent it is the one that it names, and this node the one it is for.
 */
import { Meters } from "@effectmq/metrics/Meters"
import type { NodeCallFailed } from "@effectmq/network/NodeCallFailed"
import * as NodeRpcBrief from "@effectmq/network/NodeRpcBrief"
import { NodeTransport } from "@effectmq/network/NodeTransport"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { deliverMessagesMax, RaftRpcs, raftChannel } from "@effectmq/schemas/rpc/RaftRpcs"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { messageBytes, PeerQueue } from "./internal/PeerQueue.js"
import { ToldAddresses } from "./internal/ToldAddresses.js"
import { RaftTransport, type RaftTransportService } from "./RaftTransport.js"

export interface RpcRaftTransportOptions {
  /** Where the others reach this node, `host:port`: told to those that it sends to, so that they can answer whoever they know. */
  readonly address?: string | undefined
  /** Waiting for one member. Default 4096. */
  readonly queueMessagesMax?: number
  /** Waiting for one member. Default 32 MiB. */
  readonly queueBytesMax?: number
  /** Calls to one member that are not answered yet. Default 4. */
  readonly callsMax?: number
  /** Of one call; a larger message goes alone. Default 1 MiB. */
  readonly callBytesMax?: number
  /** A call that is not answered by then is given up. Default 3 s. */
  readonly callTimeoutMs?: number
}

interface Peer {
  readonly address: string
  readonly queue: PeerQueue
  /** There is something in the queue. */
  readonly due: () => void
  readonly scope: Scope.CloseableScope
}

/** Until the scope closes. */
export const make = (
  options: RpcRaftTransportOptions = {}
): Effect.Effect<RaftTransportService, never, NodeTransport | Meters | Scope.Scope> =>
  Effect.gen(function* () {
    const transport = yield* NodeTransport
    const meters = yield* Meters
    const whole = yield* Effect.scope
    const runtime = yield* Effect.runtime<NodeTransport>()
    const runSync = Runtime.runSync(runtime)
    const runFork = Runtime.runFork(runtime)
    const dropped = meters.counter(
      "effectmq_raft_messages_dropped_total",
      "Messages to other members that were not sent, and of them that found no room"
    )
    const strange = meters.counter("effectmq_raft_messages_refused_total", "Messages that did not come from whom they name")
    let membersById: ReadonlyMap<number, Member> = new Map()
    /** Members, and others who are answered. */
    const peers = new Map<number, Peer>()
    const told = new ToldAddresses()
    let listener: ((message: RaftMessage) => void) | undefined
    const callsMax = options.callsMax ?? 4
    const clientOptions = { callsMax, callTimeoutMs: options.callTimeoutMs ?? 3_000, address: options.address }
    const limits = {
      messagesMax: options.queueMessagesMax ?? 4096,
      bytesMax: options.queueBytesMax ?? 32 * 1024 * 1024,
      batchMessagesMax: deliverMessagesMax,
      batchBytesMax: options.callBytesMax ?? 1024 * 1024
    }

    /** Sends what gathers in the queue, a few calls at a time, until the peer's scope closes; answers how to say that there is more. */
    const sending = (member: Member, queue: PeerQueue): Effect.Effect<() => void, never, Scope.Scope | NodeTransport> =>
      Effect.map(NodeRpcBrief.client(RaftRpcs, raftChannel, member, clientOptions), (call) => {
        let underWay = 0
        let isDue = false
        let refusal = ""
        /** That it cannot be reached is told elsewhere; that it does not take what it gets is told once. */
        const failed = ({ message, reason }: NodeCallFailed): void => {
          if (reason !== "refused" || message === refusal) return
          refusal = message
          const line = Effect.logWarning("a member does not take the messages of its raft group")
          runFork(Effect.annotateLogs(line, { node: member.nodeId, address: member.address, reason: message }))
        }
        const deliver = (messages: ReadonlyArray<RaftMessage>): void => {
          underWay++
          call("Deliver", { messages }, (failure) => {
            underWay--
            if (failure === undefined) refusal = ""
            else {
              dropped.value += messages.length
              failed(failure)
            }
            due()
          })
        }
        const pump = (): void => {
          isDue = false
          while (underWay < callsMax && !queue.isEmpty) deliver(queue.takeBatch())
        }
        /** What is sent in one turn goes together. */
        const due = (): void => {
          if (isDue || underWay >= callsMax || queue.isEmpty) return
          isDue = true
          queueMicrotask(pump)
        }
        return due
      })

    const begin = (member: Member): Peer => {
      const queue = new PeerQueue(limits, (count) => {
        dropped.value += count
      })
      const scope = runSync(Scope.fork(whole, ExecutionStrategy.sequential))
      const due = runSync(Scope.extend(sending(member, queue), scope))
      return { address: member.address, queue, due, scope }
    }

    const end = (nodeId: number, { scope }: Peer): void => {
      peers.delete(nodeId)
      runFork(Scope.close(scope, Exit.void))
    }

    /** What it says itself goes before what the log says, which may be old here; what is newer in the log goes before both. */
    const addressOf = (nodeId: number): string | undefined => told.get(nodeId) ?? membersById.get(nodeId)?.address

    const peerOf = (nodeId: number): Peer | undefined => {
      const known = peers.get(nodeId)
      const address = addressOf(nodeId)
      if (known?.address === address) return known
      if (known !== undefined) end(nodeId, known)
      if (address === undefined) return undefined
      const peer = begin({ nodeId, address })
      peers.set(nodeId, peer)
      return peer
    }

    const received = ({ nodeId: from, address }: NodeRpcBrief.BriefCallerNode, messages: ReadonlyArray<RaftMessage>) => {
      if (address !== undefined) told.set(from, address)
      for (const message of messages) {
        if (message.from === from && message.to === transport.nodeId) listener?.(message)
        else strange.value += 1
      }
    }
    yield* NodeRpcBrief.serve(RaftRpcs, raftChannel, { Deliver: ({ messages }, caller) => received(caller, messages) })

    const service: RaftTransportService = {
      send: (message) => {
        const peer = peerOf(message.to)
        if (peer === undefined || message.from !== transport.nodeId) dropped.value += 1
        else {
          peer.queue.offer(message, messageBytes(message))
          peer.due()
        }
      },
      setMembers: (members) => {
        const before = membersById
        membersById = new Map(members.filter(({ nodeId }) => nodeId !== transport.nodeId).map((one) => [one.nodeId, one]))
        for (const { nodeId, address } of membersById.values()) if (before.get(nodeId)?.address !== address) told.forget(nodeId)
        for (const [nodeId, peer] of [...peers]) {
          if (!membersById.has(nodeId) || addressOf(nodeId) !== peer.address) end(nodeId, peer)
        }
      },
      onMessage: (next) => {
        listener = next
        return () => {
          if (listener === next) listener = undefined
        }
      }
    }
    return service
  })

export const layer = (options: RpcRaftTransportOptions = {}): Layer.Layer<RaftTransport, never, NodeTransport | Meters> =>
  Layer.scoped(RaftTransport, make(options))
