/**
 * The calls of an RPC client, bounded in number and time, with one typed failure for all that may go wrong between two nodes: the
 * other's defects and interruptions among them, which would else be this node's.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcClient from "@effect/rpc/RpcClient"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { NodeCallFailed, type NodeCallFailedReason } from "../NodeCallFailed.js"
import type { NodeTarget } from "../NodeTransport.js"
import type { RpcConnection } from "./RpcConnection.js"

export interface RpcCallsOptions {
  readonly target: NodeTarget
  readonly callsMax: number
  readonly callTimeoutMs: number
}

interface CallOptions {
  readonly asMailbox?: boolean
  readonly streamBufferSize?: number
}

/** A method of an RPC client, whatever its group: gives an effect or a stream. */
type Call = (payload: unknown, options?: CallOptions) => Effect.Effect<unknown, unknown> | Stream.Stream<unknown, unknown>

export const typedCalls = <Rpcs extends Rpc.Any>(
  made: RpcClient.RpcClient<Rpcs, RpcClientError>,
  connection: RpcConnection,
  { callTimeoutMs, callsMax, target: { address, nodeId } }: RpcCallsOptions
): RpcClient.RpcClient<Rpcs, NodeCallFailed> => {
  let calls = 0
  const failed = (reason: NodeCallFailedReason, message: string) => new NodeCallFailed({ nodeId, reason, message })

  const typed = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    if (failure instanceof RpcClientError) {
      return Cause.fail(failure.cause instanceof NodeCallFailed ? failure.cause : failed("broken", failure.message))
    }
    if (failure !== undefined) return cause
    const problem = Cause.isInterruptedOnly(cause) ? "it was interrupted there" : String(Cause.squash(cause))
    return Cause.fail(failed("refused", `node ${nodeId} at ${address} did not answer a call: ${problem}`))
  }

  /** Takes a place among the calls for as long as the scope of the call lasts. */
  const entered = Effect.suspend(() => {
    if (calls >= callsMax) {
      return Effect.fail(failed("overloaded", `${callsMax} calls to node ${nodeId} are under way already`))
    }
    calls++
    return Effect.void
  })
  const place = Effect.acquireRelease(entered, () => Effect.sync(() => void calls--))
  const admitted = Effect.zipRight(place, connection.wanted)

  const timedOut = () => failed("timeout", `node ${nodeId} at ${address} did not answer within ${callTimeoutMs} ms`)

  const once = (call: Effect.Effect<unknown, unknown>) =>
    Effect.zipRight(
      admitted,
      Effect.catchAllCause(call, (cause) => Effect.failCause(typed(cause)))
    ).pipe(Effect.timeoutFail({ duration: callTimeoutMs, onTimeout: timedOut }), Effect.scoped)

  const stream = (call: Stream.Stream<unknown, unknown>) =>
    Stream.unwrapScoped(
      Effect.as(
        admitted,
        Stream.catchAllCause(call, (cause) => Stream.failCause(typed(cause)))
      )
    )

  const wrapped =
    (call: Call): Call =>
    (payload, options) => {
      const { asMailbox, ...rest } = options ?? {}
      const result = call(payload, rest)
      if (Effect.isEffect(result)) return once(result)
      const values = stream(result)
      const capacity = rest.streamBufferSize
      return asMailbox === true
        ? (Mailbox.fromStream(values, capacity === undefined ? {} : { capacity }) as unknown as Effect.Effect<unknown>)
        : values
    }

  const wrapAll = (methods: object): object =>
    Object.fromEntries(
      Object.entries(methods).map(([name, method]) => [
        name,
        typeof method === "function" ? wrapped(method as Call) : wrapAll(method as object)
      ])
    )

  return wrapAll(made) as RpcClient.RpcClient<Rpcs, NodeCallFailed>
}
