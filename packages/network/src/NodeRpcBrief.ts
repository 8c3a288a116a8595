/**
 * Brief calls between nodes: calls of an RPC group that answer nothing and whose handlers are done at once, as where messages are handed
 * over. On the wire they are the calls of `NodeRpc`, and each side may be either; here they cost a tenth, since no call has a fiber.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { makeBriefCaller } from "./internal/BriefCaller.js"
import { type BriefCallerNode, hostBriefCalls } from "./internal/BriefHost.js"
import type { NodeCallFailed } from "./NodeCallFailed.js"
import type { NodeRpcClientOptions, NodeRpcServerOptions } from "./NodeRpc.js"
import { NodeTransport, type NodeTarget } from "./NodeTransport.js"

export type { BriefCallerNode } from "./internal/BriefHost.js"

export type BriefHandlers<Rpcs extends Rpc.Any> = {
  readonly [Tag in Rpcs["_tag"]]: (payload: Rpc.Payload<Extract<Rpcs, { readonly _tag: Tag }>>, caller: BriefCallerNode) => void
}

/** Carries out the calls of a group until the scope closes; the handlers are all that the channel answers to. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  handlers: BriefHandlers<NoInfer<Rpcs>>,
  { callsMax = 4096 }: NodeRpcServerOptions = {}
): Effect.Effect<void, never, Scope | NodeTransport> =>
  Effect.flatMap(NodeTransport, (transport) => {
    const calls = Array.from(group.requests.values(), (rpc) => ({
      rpc: rpc as unknown as Rpc.AnyWithProps,
      handler: (handlers as Record<string, unknown>)[rpc._tag] as (payload: unknown, caller: BriefCallerNode) => void
    }))
    return hostBriefCalls(transport, calls, channel, callsMax)
  })

export interface BriefClientOptions extends NodeRpcClientOptions {
  /** Where this node is reached, `host:port`: those that it calls are told. */
  readonly address?: string | undefined
}

/** Makes a call; `answer` is called once, perhaps at once: undefined where it was carried out. */
export type BriefClient<Rpcs extends Rpc.Any> = <Tag extends Rpcs["_tag"]>(
  tag: Tag,
  payload: Rpc.Payload<Extract<Rpcs, { readonly _tag: Tag }>>,
  answer: (failure: NodeCallFailed | undefined) => void
) => void

/** Calls one node, until the scope closes; otherwise as `NodeRpc.client`. */
export const client = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  target: NodeTarget,
  { backOffMs = 50, backOffMsMax = 1_000, callTimeoutMs = 30_000, callsMax = 1024, address }: BriefClientOptions = {}
): Effect.Effect<BriefClient<Rpcs>, never, Scope | NodeTransport> =>
  Effect.gen(function* () {
    const options = { channel, target, backOffMs, backOffMsMax, callTimeoutMs, callsMax, address }
    const call = yield* makeBriefCaller(yield* NodeTransport, options)
    const encodeByTag = new Map<string, (payload: unknown) => unknown>()
    for (const rpc of group.requests.values()) {
      const { payloadSchema } = rpc as unknown as Rpc.AnyWithProps
      encodeByTag.set(rpc._tag, Schema.encodeSync(payloadSchema as Schema.Schema<unknown, unknown>))
    }
    return (tag, payload, answer) => call(tag, encodeByTag.get(tag)?.(payload), answer)
  })
