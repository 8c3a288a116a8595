/**
 * The protocol of an RPC client over the link to one node.
 *
 * Invariants
 * - Every call that was sent is answered, or fails when the link breaks; none is forgotten, and none waits for another.
 * - What the other sends that is no message ends the link.
 */
import * as RpcClient from "@effect/rpc/RpcClient"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import type { FromClientEncoded, FromServerEncoded } from "@effect/rpc/RpcMessage"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type { Scope } from "effect/Scope"
import { packFrame, unpackFrame } from "../core/RpcFrame.js"
import { NodeCallFailed } from "../NodeCallFailed.js"
import { nodeFrameBytesMax, type NodeTarget, type NodeTransportService } from "../NodeTransport.js"
import { CallDeadlines } from "./CallDeadlines.js"
import { makeRpcConnection, type RpcConnection } from "./RpcConnection.js"

export interface RpcCallerOptions {
  readonly channel: string
  readonly target: NodeTarget
  readonly backOffMs: number
  readonly backOffMsMax: number
  readonly callTimeoutMs: number
  /** Has one answer; others are streams, which have no time limit. */
  readonly isTimed: (tag: string) => boolean
}

/** Name of the defect that a call without an answer ends with; whoever wraps the client makes a failed call of it. */
export const timeoutName = "NodeCallTimeout"

export interface RpcCaller {
  readonly protocol: RpcClient.Protocol["Type"]
  readonly connection: RpcConnection
}

type Item = Uint8Array | { readonly broken: string }

const tags: ReadonlySet<unknown> = new Set(["Chunk", "Exit", "Defect"])

/** Undefined where the frame is no message of a server. */
export const messageIn = (frame: Uint8Array): FromServerEncoded | undefined => {
  try {
    const message = unpackFrame(frame) as { readonly _tag?: unknown; readonly requestId?: unknown } | null
    if (!tags.has(message?._tag)) return undefined
    if (message?._tag !== "Defect" && !/^\d{1,20}$/.test(String(message?.requestId))) return undefined
    return message as unknown as FromServerEncoded
  } catch {
    return undefined
  }
}

export const callTooLarge = (tag: string, bytes: number): string =>
  `a call of ${tag} with ${bytes} bytes is larger than ${nodeFrameBytesMax}`

export const makeRpcCaller = (
  transport: NodeTransportService,
  options: RpcCallerOptions
): Effect.Effect<RpcCaller, never, Scope> =>
  Effect.gen(function* () {
    const { target } = options
    const inbox = yield* Mailbox.make<Item>()
    const connection = yield* makeRpcConnection(transport, {
      ...options,
      onFrame: (frame) => void inbox.unsafeOffer(frame),
      onBroken: (broken) => void inbox.unsafeOffer({ broken })
    })
    const scope = yield* Effect.scope
    /** Calls whose last chunk was not taken yet: the other sends the next one only after that. */
    const taking = new Set<string>()

    const broken = (reason: string) =>
      new RpcClientError({
        reason: "Protocol",
        message: reason,
        cause: new NodeCallFailed({
          nodeId: target.nodeId,
          reason: "broken",
          message: `the link to node ${target.nodeId} at ${target.address} ended: ${reason}`
        })
      })

    const protocol = yield* RpcClient.Protocol.make((writeResponse) =>
      Effect.gen(function* () {
        const failAll = (reason: string) =>
          Effect.suspend(() => {
            deadlines.endAll()
            return writeResponse({ _tag: "ClientProtocolError", error: broken(reason) })
          })

        /** Fails this call alone: the client makes a defect of it, and whoever wraps the client a failed call. */
        const failOne = (requestId: string, defect: unknown) =>
          writeResponse({ _tag: "Exit", requestId, exit: { _tag: "Failure", cause: { _tag: "Die", defect } } })

        const deadlines = yield* CallDeadlines.make(options.callTimeoutMs, (requestId) => {
          const message = `node ${target.nodeId} at ${target.address} did not answer within ${options.callTimeoutMs} ms`
          const stop = connection.current()?.send(() => packFrame({ _tag: "Interrupt", requestId })) ?? Effect.void
          // Where the link is saturated, nobody waits until the other has heard of it.
          return Effect.zipRight(failOne(requestId, { name: timeoutName, message }), Effect.asVoid(Effect.forkIn(stop, scope)))
        })

        /** The answers to other calls do not wait until a slow reader has taken its chunk. */
        const takeChunk = (message: FromServerEncoded & { readonly _tag: "Chunk" }) => {
          const id = message.requestId
          if (taking.has(id)) return Effect.sync(() => connection.current()?.link.close("a chunk came too early"))
          taking.add(id)
          const taken = Effect.sync(() => void taking.delete(id))
          return Effect.asVoid(Effect.forkIn(Effect.ensuring(writeResponse(message), taken), scope))
        }

        const take = (item: Item): Effect.Effect<void> => {
          if ("broken" in item) return failAll(item.broken)
          const message = messageIn(item)
          if (message === undefined) return Effect.sync(() => connection.current()?.link.close("a frame is no message"))
          if (message._tag === "Chunk") return takeChunk(message)
          if (message._tag === "Exit") deadlines.end(message.requestId)
          // What went wrong over there is no defect here.
          return message._tag === "Defect" ? failAll("the other node failed in its calls") : writeResponse(message)
        }
        yield* Effect.forkScoped(
          Effect.forever(Effect.flatMap(inbox.takeAll, ([items]) => Effect.forEach(items, take, { discard: true })))
        )

        return {
          send: (request: FromClientEncoded) =>
            Effect.suspend(() => {
              const gate = connection.current()
              if (gate === undefined) return request._tag === "Request" ? failAll("it ended just now") : Effect.void
              if (request._tag === "Interrupt") deadlines.end(request.requestId)
              if (request._tag !== "Request") return gate.send(() => packFrame(request))
              const frame = packFrame({ ...request, headers: [] })
              if (frame.length > nodeFrameBytesMax) return failOne(request.id, callTooLarge(request.tag, frame.length))
              if (options.isTimed(request.tag)) deadlines.begin(request.id)
              return gate.send(() => frame)
            }),
          supportsAck: true,
          supportsTransferables: false
        }
      })
    )
    return { protocol, connection }
  })
