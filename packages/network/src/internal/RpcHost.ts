/**
 * The protocol of an RPC server over links of one channel.
 *
 * Invariants
 * - A call is taken once, from whoever the link proved; what it says of itself in headers is dropped.
 * - Calls under way are bounded for each link. A link whose other side sends what is no call is ended, and said so.
 * - A call that is not known here, or that cannot be read, is answered as failed; it is nobody else's trouble, even where the link
 *   takes no answers.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import type { FromClientEncoded, FromServerEncoded } from "@effect/rpc/RpcMessage"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Mailbox from "effect/Mailbox"
import type { Scope } from "effect/Scope"
import { LineBudget } from "../core/LineBudget.js"
import { packFrame, unpackFrame } from "../core/RpcFrame.js"
import { nodeFrameBytesMax, type NodeTransportService } from "../NodeTransport.js"
import { DrainGate } from "./DrainGate.js"
import { defectIn, fieldsOf, isId, nodeHeader, unknownCall } from "./RpcMessages.js"

class HostedLink extends DrainGate {
  /** Names of the calls under way by their ids. */
  readonly calls = new Map<string, string>()
}

const linesAtOnce = 20
const linesQuietMs = 5_000

const answerTooLarge = (bytes: number): string => `an answer of ${bytes} bytes is larger than ${nodeFrameBytesMax}`

export const makeRpcHost = <Rpcs extends Rpc.Any>(
  transport: NodeTransportService,
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  callsMax: number
): Effect.Effect<RpcServer.Protocol["Type"], never, Scope> =>
  RpcServer.Protocol.make((writeRequest) =>
    Effect.gen(function* () {
      const links = new Map<number, HostedLink>()
      const disconnects = yield* Mailbox.make<number>()
      const inbox = yield* Mailbox.make<readonly [clientId: number, frame: Uint8Array]>()
      const budget = new LineBudget(linesAtOnce, linesQuietMs, performance.now())
      const scope = yield* Effect.scope
      /** Of the fiber that takes the calls of all links. */
      let takerId: FiberId.FiberId = FiberId.none
      let nextClientId = 1

      const warn = ({ link }: HostedLink, message: string, more: Record<string, unknown>) =>
        Effect.suspend(() => {
          const count = budget.take(performance.now())
          if (count === 0) return Effect.void
          const about = { channel, node: link.peerNodeId, address: link.peerAddress, ...(count > 1 ? { count } : {}) }
          return Effect.annotateLogs(Effect.logWarning(message), { ...about, ...more })
        })

      const forget = (clientId: number): void => {
        links.get(clientId)?.onClose()
        if (links.delete(clientId)) disconnects.unsafeOffer(clientId)
      }

      /** Nothing more of this link is looked at. */
      const refuse = (clientId: number, hosted: HostedLink, reason: string): Effect.Effect<void> => {
        forget(clientId)
        hosted.link.close(reason)
        return warn(hosted, "a node's calls are not taken", { reason })
      }

      const takeRequest = (clientId: number, hosted: HostedLink, request: Record<string, unknown>): Effect.Effect<void> => {
        const { id, tag, payload } = request
        if (!isId(id) || typeof tag !== "string") return refuse(clientId, hosted, "a call is not whole")
        if (hosted.calls.has(id)) return refuse(clientId, hosted, `call ${id} is made twice`)
        if (hosted.calls.size >= callsMax) return refuse(clientId, hosted, `more than ${callsMax} calls at once`)
        hosted.calls.set(id, tag)
        if (!group.requests.has(tag)) return send(clientId, unknownCall(id, tag))
        const headers: Array<[string, string]> = [[nodeHeader, String(hosted.link.peerNodeId)]]
        return writeRequest(clientId, { _tag: "Request", id, tag, payload, headers })
      }

      const take = (clientId: number, frame: Uint8Array): Effect.Effect<void> => {
        const hosted = links.get(clientId)
        if (hosted === undefined) return Effect.void
        let message: Record<string, unknown>
        try {
          message = fieldsOf(unpackFrame(frame))
        } catch {
          return refuse(clientId, hosted, "a frame is no message")
        }
        const { _tag, requestId } = message
        if (_tag === "Request") return takeRequest(clientId, hosted, message)
        if ((_tag !== "Ack" && _tag !== "Interrupt") || !isId(requestId)) {
          return refuse(clientId, hosted, "a frame is no message that is known here")
        }
        // What was answered meanwhile is of no interest any more.
        if (!hosted.calls.has(requestId)) return Effect.void
        return writeRequest(clientId, { _tag, requestId } as FromClientEncoded)
      }

      const send = (clientId: number, response: FromServerEncoded): Effect.Effect<void> => {
        const hosted = links.get(clientId)
        if (hosted === undefined) return Effect.void
        const sending = hosted.send(() => {
          const frame = packFrame(response)
          // The server makes a failed call of it.
          if (frame.length > nodeFrameBytesMax) throw new Error(answerTooLarge(frame.length))
          if (response._tag === "Exit") hosted.calls.delete(response.requestId)
          return frame
        })
        // Who takes the calls of all waits for none of them.
        const sent = Effect.fiberIdWith((fiberId) =>
          fiberId === takerId && hosted.link.saturated ? Effect.asVoid(Effect.forkIn(sending, scope)) : sending
        )
        const defect = defectIn(response)
        if (defect === undefined || response._tag !== "Exit") return sent
        return Effect.zipRight(warn(hosted, "a node's call failed", { call: hosted.calls.get(response.requestId), defect }), sent)
      }

      yield* transport.accept(channel, (link) => {
        const clientId = nextClientId++
        const hosted = new HostedLink(link)
        links.set(clientId, hosted)
        return {
          onFrame: (frame) => void inbox.unsafeOffer([clientId, frame]),
          onDrain: () => hosted.onDrain(),
          onClose: () => forget(clientId)
        }
      })
      const taker = yield* Effect.forkScoped(
        Effect.forever(
          Effect.flatMap(inbox.takeAll, ([frames]) =>
            Effect.forEach(frames, ([clientId, frame]) => take(clientId, frame), { discard: true })
          )
        )
      )
      takerId = taker.id()

      return {
        disconnects,
        send: (clientId: number, response: FromServerEncoded) => send(clientId, response),
        end: () => Effect.void,
        clientIds: Effect.sync(() => new Set(links.keys())),
        initialMessage: Effect.succeedNone,
        supportsAck: true,
        supportsTransferables: false,
        supportsSpanPropagation: false
      }
    })
  )
