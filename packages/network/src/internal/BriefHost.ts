/**
 * Carries out brief calls: those whose handlers are done at once. The messages are those of RPC, and who sends them cannot tell the
 * difference; here a call costs no fiber, it is carried out when its frame comes.
 *
 * Invariants
 * - Calls of one link are carried out in the order in which they came, each once and as from whoever the link proved.
 * - A link whose other side sends what is no call, or takes no answers, is ended, and said so.
 * - A call that is not known here, that cannot be read or whose handler throws is answered as failed; it is nobody else's trouble.
 */
import * as Rpc from "@effect/rpc/Rpc"
import type { FromServerEncoded } from "@effect/rpc/RpcMessage"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as ParseResult from "effect/ParseResult"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { LineBudget } from "../core/LineBudget.js"
import { packFrame, unpackFrame } from "../core/RpcFrame.js"
import type { NodeLink, NodeTransportService } from "../NodeTransport.js"
import { addressIn, defectIn, failedExit, fieldsOf, isId, unknownCall } from "./RpcMessages.js"

export interface BriefCallerNode {
  /** As the link proved. */
  readonly nodeId: number
  /** Where it is reached, as it said on this link; undefined where it did not. */
  readonly address: string | undefined
}

export interface BriefCall {
  readonly rpc: Rpc.AnyWithProps
  readonly handler: (payload: unknown, caller: BriefCallerNode) => void
}

const linesAtOnce = 20
const linesQuietMs = 5_000

/** How a call is carried out: answers the exit as it is sent. */
const carriedOut = ({ rpc, handler }: BriefCall) => {
  const decode = Schema.decodeUnknownEither(rpc.payloadSchema as Schema.Schema<unknown, unknown>)
  const exitSchema = Rpc.exitSchema(rpc as unknown as Rpc.Any) as unknown as Schema.Schema<Exit.Exit<void>, FromExit>
  const exit = Schema.encodeSync(exitSchema)(Exit.void)
  return (requestId: string, payload: unknown, caller: BriefCallerNode): FromServerEncoded => {
    const read = decode(payload)
    if (Either.isLeft(read)) return failedExit(requestId, ParseResult.TreeFormatter.formatErrorSync(read.left))
    try {
      handler(read.right, caller)
      return { _tag: "Exit", requestId, exit }
    } catch (error) {
      return failedExit(requestId, String(error))
    }
  }
}

type FromExit = Extract<FromServerEncoded, { readonly _tag: "Exit" }>["exit"]

/** Until the scope closes. */
export const hostBriefCalls = (
  transport: NodeTransportService,
  calls: ReadonlyArray<BriefCall>,
  channel: string,
  answersMax: number
): Effect.Effect<void, never, Scope> =>
  Effect.gen(function* () {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const carryOutByTag = new Map(calls.map((call) => [call.rpc._tag, carriedOut(call)]))
    const budget = new LineBudget(linesAtOnce, linesQuietMs, performance.now())

    const warn = ({ peerAddress, peerNodeId }: NodeLink, message: string, more: Record<string, unknown>): void => {
      const count = budget.take(performance.now())
      if (count === 0) return
      const about = { channel, node: peerNodeId, address: peerAddress, ...(count > 1 ? { count } : {}) }
      runFork(Effect.annotateLogs(Effect.logWarning(message), { ...about, ...more }))
    }

    yield* transport.accept(channel, (link) => {
      /** That wait until the other side takes more. */
      let answers: Array<Uint8Array> = []
      let ended = false
      let caller: BriefCallerNode = { nodeId: link.peerNodeId, address: undefined }

      /** Nothing more of this link is looked at. */
      const refuse = (reason: string): void => {
        ended = true
        link.close(reason)
        warn(link, "a node's calls are not taken", { reason })
      }

      const answer = (call: string, response: FromServerEncoded): void => {
        const defect = defectIn(response)
        if (defect !== undefined) warn(link, "a node's call failed", { call, defect })
        const frame = packFrame(response)
        if (!link.saturated) link.send(frame)
        else if (answers.length < answersMax) answers.push(frame)
        else refuse(`more than ${answersMax} calls at once`)
      }

      return {
        onFrame: (frame) => {
          if (ended) return
          let message: Record<string, unknown>
          try {
            message = fieldsOf(unpackFrame(frame))
          } catch {
            return refuse("a frame is no message")
          }
          const { _tag, id, tag, payload } = message
          // What they are about is answered already.
          if ((_tag === "Ack" || _tag === "Interrupt") && isId(message["requestId"])) return
          if (_tag !== "Request") return refuse("a frame is no message that is known here")
          if (!isId(id) || typeof tag !== "string") return refuse("a call is not whole")
          const address = addressIn(message)
          if (address !== undefined) caller = { nodeId: link.peerNodeId, address }
          const carryOut = carryOutByTag.get(tag)
          answer(tag, carryOut === undefined ? unknownCall(id, tag) : carryOut(id, payload, caller))
        },
        onDrain: () => {
          const waited = answers
          answers = []
          for (const frame of waited) {
            if (link.saturated) answers.push(frame)
            else link.send(frame)
          }
        },
        onClose: () => {
          ended = true
        }
      }
    })
  })
