/**
 * Clients of one RPC group on many nodes: one for each, made when it is first asked for, and made anew when its node moves.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { client, type NodeRpcClient, type NodeRpcClientOptions } from "./NodeRpc.js"
import type { NodeTarget, NodeTransport } from "./NodeTransport.js"

export interface NodeRpcPeers<Rpcs extends Rpc.Any> {
  /** The client of a node; calls under way to where it was before fail. */
  readonly at: (target: NodeTarget) => NodeRpcClient<Rpcs>
  /** Ends the clients of all other nodes, with the calls under way. */
  readonly retain: (nodeIds: Iterable<number>) => void
}

interface Peer<Rpcs extends Rpc.Any> {
  readonly address: string
  readonly scope: Scope.CloseableScope
  readonly client: NodeRpcClient<Rpcs>
}

/** Until the scope closes. */
export const peers = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  options: NodeRpcClientOptions = {}
): Effect.Effect<NodeRpcPeers<Rpcs>, never, Scope.Scope | NodeTransport | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function* () {
    const whole = yield* Effect.scope
    const runtime = yield* Effect.runtime<NodeTransport | Rpc.MiddlewareClient<Rpcs>>()
    const runSync = Runtime.runSync(runtime)
    const runFork = Runtime.runFork(runtime)
    const peersByNode = new Map<number, Peer<Rpcs>>()

    const end = (nodeId: number, { scope }: Peer<Rpcs>): void => {
      peersByNode.delete(nodeId)
      runFork(Scope.close(scope, Exit.void))
    }

    return {
      at: (target) => {
        const known = peersByNode.get(target.nodeId)
        if (known?.address === target.address) return known.client
        if (known !== undefined) end(target.nodeId, known)
        const scope = runSync(Scope.fork(whole, ExecutionStrategy.sequential))
        const made = runSync(Scope.extend(client(group, channel, target, options), scope))
        peersByNode.set(target.nodeId, { address: target.address, scope, client: made })
        return made
      },
      retain: (nodeIds) => {
        const kept = new Set(nodeIds)
        for (const [nodeId, peer] of [...peersByNode]) if (!kept.has(nodeId)) end(nodeId, peer)
      }
    }
  })
