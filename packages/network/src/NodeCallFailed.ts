/**
 * Why a call to another node gave no answer of its own.
 *
 * - `unreachable`: there is no link to the node. Nothing was sent.
 * - `overloaded`: as many calls as are allowed are under way. Nothing was sent.
 * - `broken`: the link ended while the call was under way: whether it was carried out is not known.
 * - `timeout`: no answer in time: whether it was carried out is not known.
 * - `refused`: the other node does not know the call, cannot read it, or failed in it: its log says more.
 */
import * as Data from "effect/Data"

export type NodeCallFailedReason = "unreachable" | "overloaded" | "broken" | "timeout" | "refused"

export class NodeCallFailed extends Data.TaggedError("NodeCallFailed")<{
  readonly nodeId: number
  readonly reason: NodeCallFailedReason
  readonly message: string
}> {}
