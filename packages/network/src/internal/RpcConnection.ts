/**
 * The one link of an RPC client to one node: made when it is first wanted, and again after it broke, after a pause that grows with
 * every failure.
 *
 * Invariants
 * - Connecting is nobody's call: who stops waiting does not stop it, and what it takes is bounded by the transport.
 * - In a pause whoever wants the link is told at once why there is none.
 * - A problem is logged when it begins and when it is over, not each time that it is met.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type { Scope } from "effect/Scope"
import { NodeCallFailed } from "../NodeCallFailed.js"
import type { NodeTarget, NodeTransportService } from "../NodeTransport.js"
import { DrainGate } from "./DrainGate.js"

export interface RpcConnectionOptions {
  readonly channel: string
  readonly target: NodeTarget
  /** Pause after the first failure; the pauses are drawn between half of it and one and a half. */
  readonly backOffMs: number
  readonly backOffMsMax: number
  readonly onFrame: (frame: Uint8Array) => void
  /** A link that was open is no more. */
  readonly onBroken: (reason: string) => void
}

export interface RpcConnection {
  /** An open link, or why there is none. */
  readonly wanted: Effect.Effect<DrainGate, NodeCallFailed>
  /** The open link, if there is one. */
  readonly current: () => DrainGate | undefined
}

const noMore = "no more calls are made"

/** Until the scope closes. */
export const makeRpcConnection = (
  transport: NodeTransportService,
  { backOffMs, backOffMsMax, channel, onBroken, onFrame, target }: RpcConnectionOptions
): Effect.Effect<RpcConnection, never, Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    let gate: DrainGate | undefined
    let connecting: Deferred.Deferred<DrainGate, NodeCallFailed> | undefined
    let failures = 0
    let quietUntilMs = 0
    let problem = ""
    let toldProblem = ""
    let closed = false

    const about = { channel, node: target.nodeId, address: target.address }
    const unreachable = () =>
      new NodeCallFailed({
        nodeId: target.nodeId,
        reason: "unreachable",
        message: `node ${target.nodeId} at ${target.address} cannot be reached: ${problem}`
      })

    const tell = Effect.suspend(() => {
      if (problem === toldProblem) return Effect.void
      toldProblem = problem
      const line =
        problem === ""
          ? Effect.logInfo("a node can be reached again")
          : Effect.annotateLogs(Effect.logWarning("a node cannot be reached"), { reason: problem })
      return Effect.annotateLogs(line, about)
    })

    const fail = (reason: string) =>
      Effect.flatMap(Random.next, (random) => {
        failures++
        problem = reason
        const pauseMs = Math.min(backOffMsMax, backOffMs * 2 ** Math.min(20, failures - 1))
        quietUntilMs = performance.now() + pauseMs * (0.5 + random)
        return Effect.zipRight(tell, Effect.fail(unreachable()))
      })

    const connect = transport
      .connect(target, channel, (link) => {
        const opened = new DrainGate(link)
        if (closed) link.close("no more calls")
        else gate = opened
        return {
          onFrame,
          onDrain: () => opened.onDrain(),
          onClose: (reason) => {
            opened.onClose()
            if (gate === opened) gate = undefined
            onBroken(reason)
          }
        }
      })
      .pipe(
        Effect.matchEffect({
          onFailure: ({ message }) => fail(message),
          onSuccess: () => {
            if (gate === undefined) return fail("the link ended at once")
            failures = 0
            problem = ""
            return Effect.as(tell, gate)
          }
        })
      )

    const begin = (): Deferred.Deferred<DrainGate, NodeCallFailed> => {
      const done = Effect.runSync(Deferred.make<DrainGate, NodeCallFailed>())
      connecting = done
      const settle = (exit: Exit.Exit<DrainGate, NodeCallFailed>) => {
        connecting = undefined
        if (Exit.isInterrupted(exit)) problem = noMore
        return Deferred.done(done, closed || Exit.isInterrupted(exit) ? Exit.fail(unreachable()) : exit)
      }
      runFork(Effect.forkIn(Effect.ignore(Effect.onExit(connect, settle)), scope))
      return done
    }

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        problem = noMore
        gate?.link.close("no more calls")
      })
    )

    return {
      current: () => gate,
      wanted: Effect.suspend(() => {
        if (gate !== undefined) return Effect.succeed(gate)
        if (connecting !== undefined) return Deferred.await(connecting)
        if (closed || performance.now() < quietUntilMs) return Effect.fail(unreachable())
        return Deferred.await(begin())
      })
    }
  })
