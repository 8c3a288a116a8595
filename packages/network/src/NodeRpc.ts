/**
 * RPC groups between nodes: each group is spoken on a channel of its own, one message in a frame.
 *
 * A handler knows who calls: the header `nodeHeader` is the number that the link proved, whatever the caller said.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import { RequestId } from "@effect/rpc/RpcMessage"
import * as RpcSchema from "@effect/rpc/RpcSchema"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import { typedCalls } from "./internal/RpcCalls.js"
import { makeRpcCaller } from "./internal/RpcCaller.js"
import { makeRpcHost } from "./internal/RpcHost.js"
import type { NodeCallFailed } from "./NodeCallFailed.js"
import { NodeTransport, type NodeTarget } from "./NodeTransport.js"

export { nodeHeader } from "./internal/RpcMessages.js"

export interface NodeRpcServerOptions {
  /** Under way from one link; a link with more is ended. Default 4096: more than a client sends, whose given-up calls may still run. */
  readonly callsMax?: number | undefined
}

/** Answers the calls of a group until the scope closes; its handlers are in the context. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  { callsMax = 4096 }: NodeRpcServerOptions = {}
): Effect.Effect<void, never, Scope | NodeTransport | Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs> | Rpc.Context<Rpcs>> =>
  Effect.gen(function* () {
    const protocol = yield* makeRpcHost(yield* NodeTransport, group, channel, callsMax)
    yield* Effect.forkScoped(
      Effect.provideService(
        RpcServer.make(group, { disableTracing: true, disableFatalDefects: true }),
        RpcServer.Protocol,
        protocol
      )
    )
  })

export interface NodeRpcClientOptions {
  /** Under way at once; those beyond fail. Default 1024. */
  readonly callsMax?: number | undefined
  /** A call that is not answered by then fails; streams may take as long as they want. Default 30 s. */
  readonly callTimeoutMs?: number | undefined
  /** Pause after the first failure to connect. Default 50 ms. */
  readonly backOffMs?: number | undefined
  /** Longest pause. Default 1 s. */
  readonly backOffMsMax?: number | undefined
}

export type NodeRpcClient<Rpcs extends Rpc.Any> = RpcClient.RpcClient<Rpcs, NodeCallFailed>

/**
 * Calls the handlers of a group on one node, until the scope closes. It connects with the first call, and again after the link broke;
 * while the node is away calls fail at once.
 */
export const client = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  target: NodeTarget,
  { backOffMs = 50, backOffMsMax = 1_000, callTimeoutMs = 30_000, callsMax = 1024 }: NodeRpcClientOptions = {}
): Effect.Effect<NodeRpcClient<Rpcs>, never, Scope | NodeTransport | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function* () {
    const isTimed = (tag: string): boolean => {
      const rpc = group.requests.get(tag) as unknown as Rpc.AnyWithProps | undefined
      return rpc !== undefined && !RpcSchema.isStreamSchema(rpc.successSchema)
    }
    const caller = yield* makeRpcCaller(yield* NodeTransport, {
      channel,
      target,
      backOffMs,
      backOffMsMax,
      callTimeoutMs,
      isTimed
    })
    let nextRequestId = 0n
    const made: RpcClient.RpcClient<Rpcs, RpcClientError> = yield* Effect.provideService(
      RpcClient.make(group, { disableTracing: true, generateRequestId: () => RequestId(nextRequestId++) }),
      RpcClient.Protocol,
      caller.protocol
    )
    return typedCalls(made, caller.connection, { target, callsMax })
  })
