/**
 * How far this node is: what `/health/ready` and `/api/v1/status` answer.
 */
import type { AuthenticationMode, ListenerAddress, Phase } from "@effectmq/schemas/admin/Status"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Clock from "effect/Clock"

export interface NodeStateService {
  readonly startedAtMs: number
  /** Since then, by a clock that nobody sets. */
  readonly uptimeMs: () => number
  phase: Phase
  /** From the start of the process until it served; 0 before. */
  startMs: number
  /** As it is now: the first user changes it. */
  authentication: () => AuthenticationMode
  /** Each says why the node cannot do its work although it runs; undefined while it can. */
  readonly faults: Array<() => string | undefined>
  /** What it waits for before it can serve, as the end of a sentence that begins with "it waits for". */
  waitsFor: () => string | undefined
  readonly listeners: Array<ListenerAddress>
}

export class NodeState extends Context.Tag("@effectmq/server/NodeState")<NodeState, NodeStateService>() {}

const sinceNow = (): (() => number) => {
  const startedMs = performance.now()
  return () => performance.now() - startedMs
}

export const layer: Layer.Layer<NodeState> = Layer.effect(
  NodeState,
  Effect.map(
    Clock.currentTimeMillis,
    (startedAtMs): NodeStateService => ({
      startedAtMs,
      uptimeMs: sinceNow(),
      phase: "starting",
      startMs: 0,
      authentication: () => "open",
      faults: [],
      waitsFor: () => undefined,
      listeners: []
    })
  )
)

/** Only a node that starts waits. */
export const waitsForOf = ({ phase, waitsFor }: NodeStateService): string | undefined =>
  phase === "starting" ? waitsFor() : undefined

/** Why the node cannot do its work; undefined while it can. */
export const faultOf = ({ faults }: NodeStateService): string | undefined => {
  for (const fault of faults) {
    const problem = fault()
    if (problem !== undefined) return problem
  }
  return undefined
}
