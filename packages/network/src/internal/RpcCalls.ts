/**
 * The calls of an RPC client, bounded in number, with one typed failure for all that may go wrong between two nodes: the
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
import { timeoutName } from "./RpcCaller.js"
import type { RpcConnection } from "./RpcConnection.js"

export interface RpcCallsOptions {
  readonly target: NodeTarget
  readonly callsMax: number
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
  { callsMax, target: { address, nodeId } }: RpcCallsOptions
): RpcClient.RpcClient<Rpcs, NodeCallFailed> => {
  let calls = 0
  const failed = (reason: NodeCallFailedReason, message: string) => new NodeCallFailed({ nodeId, reason, message })

  const typed = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    if (failure instanceof RpcClientError) {
      return Cause.fail(failure.cause instanceof NodeCallFailed ? failure.cause : failed("broken", failure.message))
    }
    if (failure !== undefined) return cause
    const defect = Cause.squash(cause)
    if (defect instanceof Error && defect.name === timeoutName) return Cause.fail(failed("timeout", defect.message))
    const problem = Cause.isInterruptedOnly(cause) ? "it was interrupted there" : String(defect)
    return Cause.fail(failed("refused", `node ${nodeId} at ${address} did not answer a call: ${problem}`))
  }

  const enter = Effect.suspend(() => {
    if (calls >= callsMax) return Effect.fail(failed("overloaded", `${callsMax} calls to node ${nodeId} are under way already`))
    calls++
    return Effect.void
  })
  const leave = Effect.sync(() => {
    calls--
  })

  /** Holds a place among the calls for as long as it runs. */
  const once = (call: Effect.Effect<unknown, unknown>) => {
    const answered = Effect.catchAllCause(call, (cause) => Effect.failCause(typed(cause)))
    const connected = Effect.zipRight(connection.wanted, answered)
    return Effect.uninterruptibleMask((restore) => Effect.zipRight(enter, Effect.ensuring(restore(connected), leave)))
  }

  const stream = (call: Stream.Stream<unknown, unknown>) => {
    const values = Stream.catchAllCause(call, (cause) => Stream.failCause(typed(cause)))
    const place = Effect.acquireRelease(enter, () => leave)
    return Stream.unwrapScoped(Effect.as(Effect.zipRight(place, connection.wanted), values))
  }

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
