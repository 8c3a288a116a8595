/**
 * Makes brief calls to one node: each is answered by a callback, and costs no fiber. The messages are those of RPC.
 *
 * Invariants
 * - Every call is answered once: it was carried out, or why that is not known or was not done.
 * - Calls arrive in the order in which they were made while the link holds.
 */
import type { FromServerEncoded } from "@effect/rpc/RpcMessage"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type { Scope } from "effect/Scope"
import { packFrame } from "../core/RpcFrame.js"
import { NodeCallFailed, type NodeCallFailedReason } from "../NodeCallFailed.js"
import { nodeFrameBytesMax, type NodeTarget, type NodeTransportService } from "../NodeTransport.js"
import { CallDeadlines } from "./CallDeadlines.js"
import type { DrainGate } from "./DrainGate.js"
import { callTooLarge, messageIn } from "./RpcCaller.js"
import { makeRpcConnection } from "./RpcConnection.js"
import { addressHeader } from "./RpcMessages.js"

export interface BriefCallerOptions {
  readonly channel: string
  readonly target: NodeTarget
  readonly backOffMs: number
  readonly backOffMsMax: number
  readonly callTimeoutMs: number
  readonly callsMax: number
  /** Told with the first call on each link. */
  readonly address: string | undefined
}

export type Answer = (failure: NodeCallFailed | undefined) => void

/** Of the encoded payload. */
export type BriefCaller = (tag: string, payload: unknown, answer: Answer) => void

type ExitEncoded = Extract<FromServerEncoded, { readonly _tag: "Exit" }>

const defectOf = ({ exit }: ExitEncoded): string => {
  if (exit._tag !== "Failure" || exit.cause._tag !== "Die") return "it was interrupted there"
  const { defect } = exit.cause
  return typeof defect === "string" ? defect : JSON.stringify(defect)
}

export const makeBriefCaller = (
  transport: NodeTransportService,
  options: BriefCallerOptions
): Effect.Effect<BriefCaller, never, Scope> =>
  Effect.gen(function* () {
    const { target, callTimeoutMs, callsMax, address } = options
    const introduction = address === undefined ? [] : [[addressHeader, address]]
    const where = `node ${target.nodeId} at ${target.address}`
    const scope = yield* Effect.scope
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const answersById = new Map<string, Answer>()
    let calls = 0
    /** Frames that wait until they can be sent: later ones do not go past them, and none stays whose call is answered. */
    const line = new Map<string, Uint8Array>()
    let sendsLine = false
    let closed = false
    /** On which it was said where this node is. */
    let introducedOn: DrainGate | undefined

    const failed = (reason: NodeCallFailedReason, message: string) =>
      new NodeCallFailed({ nodeId: target.nodeId, reason, message })

    const finish = (id: string, failure: NodeCallFailed | undefined): void => {
      const answer = answersById.get(id)
      if (answer === undefined) return
      answersById.delete(id)
      line.delete(id)
      deadlines.end(id)
      answer(failure)
    }

    const failAll = (failure: NodeCallFailed): void => {
      for (const id of [...answersById.keys()]) finish(id, failure)
    }

    const onFrame = (frame: Uint8Array): void => {
      const message = messageIn(frame)
      if (message?._tag === "Defect") return failAll(failed("refused", `${where} failed in its calls`))
      if (message?._tag !== "Exit") return connection.current()?.link.close("a frame is no message")
      const { requestId, exit } = message
      if (exit._tag === "Success") finish(requestId, undefined)
      else finish(requestId, failed("refused", `${where} did not answer a call: ${defectOf(message)}`))
    }

    const connection = yield* makeRpcConnection(transport, {
      ...options,
      onFrame,
      onBroken: (reason) => failAll(failed("broken", `the link to ${where} ended: ${reason}`))
    })
    const deadlines = yield* CallDeadlines.make(callTimeoutMs, (id) =>
      Effect.sync(() => finish(id, failed("timeout", `${where} did not answer within ${callTimeoutMs} ms`)))
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        failAll(failed("broken", `no more calls are made to ${where}`))
      })
    )

    /** Until the line is empty. */
    const sendLine: Effect.Effect<void> = Effect.suspend(() => {
      const [id] = line.keys()
      if (id === undefined) {
        sendsLine = false
        return Effect.void
      }
      const sent = Effect.matchCauseEffect(connection.wanted, {
        onFailure: (cause) => {
          const problem = Cause.squash(cause)
          const failure =
            problem instanceof NodeCallFailed ? problem : failed("broken", `no link to ${where}: ${String(problem)}`)
          return Effect.sync(() => finish(id, failure))
        },
        // Where it was given up meanwhile, or the link broke since, nothing is sent.
        onSuccess: (gate) => gate.send(() => line.get(id))
      })
      return Effect.zipRight(
        Effect.zipRight(
          sent,
          Effect.sync(() => line.delete(id))
        ),
        sendLine
      )
    })

    return (tag, payload, answer) => {
      if (closed) return answer(failed("broken", `no more calls are made to ${where}`))
      if (answersById.size >= callsMax) return answer(failed("overloaded", `${callsMax} calls to ${where} are under way already`))
      const id = String(calls++)
      const gate = connection.current()
      const headers = gate !== undefined && gate === introducedOn ? [] : introduction
      const frame = packFrame({ _tag: "Request", id, tag, payload, headers })
      if (frame.length > nodeFrameBytesMax) return answer(failed("refused", callTooLarge(tag, frame.length)))
      answersById.set(id, answer)
      deadlines.begin(id)
      if (gate !== undefined && !gate.link.saturated && line.size === 0) {
        introducedOn = gate
        return gate.link.send(frame)
      }
      line.set(id, frame)
      if (sendsLine) return
      sendsLine = true
      runFork(Effect.forkIn(sendLine, scope))
    }
  })
