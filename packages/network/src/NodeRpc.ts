/**
 * RPC groups between nodes: each group is spoken on a channel of its own, one call in a frame.
 *
 * Invariants
 * - A handler knows who calls: the header `nodeHeader` is the number that the link proved, whatever the caller said.
 * - Calls under way are bounded on both sides. A link whose other side sends nonsense is ended and said so.
 * - A client connects with its first call and again when the link broke, after a pause that grows with every failure; calls in between
 *   fail at once.
 */
import * as RpcClient from "@effect/rpc/RpcClient"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import type { FromClientEncoded, FromServerEncoded } from "@effect/rpc/RpcMessage"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { Scope } from "effect/Scope"
import * as Clock from "effect/Clock"
import { packFrame, unpackFrame } from "./core/RpcFrame.js"
import { type NodeLink, NodeTransport, type NodeTarget, type NodeTransportService } from "./NodeTransport.js"

/** Number of the node that calls, set by the server. */
export const nodeHeader = "effectmq-node"

export interface NodeRpcServerOptions {
  /** Of one link; a link with more is ended. Default 1024. */
  readonly callsMax?: number
}

interface ServedLink {
  readonly link: NodeLink
  calls: number
}

const isMessage = (value: unknown): value is { readonly _tag: string } =>
  typeof value === "object" && value !== null && typeof (value as { readonly _tag?: unknown })._tag === "string"

/** Pairs of a request's headers, without what only this side may say. */
const headersOf = (given: unknown, peerNodeId: number): ReadonlyArray<[string, string]> => {
  const pairs = Array.isArray(given) ? (given as ReadonlyArray<[string, string]>) : []
  return [
    ...pairs.filter((pair) => Array.isArray(pair) && pair[0]?.toLowerCase?.() !== nodeHeader),
    [nodeHeader, String(peerNodeId)]
  ]
}

const makeServerProtocol = (transport: NodeTransportService, channel: string, callsMax: number) =>
  RpcServer.Protocol.make((writeRequest) =>
    Effect.gen(function* () {
      const links = new Map<number, ServedLink>()
      const disconnects = yield* Mailbox.make<number>()
      const inbox = yield* Mailbox.make<readonly [clientId: number, frame: Uint8Array]>()
      let nextClientId = 1

      /** Nothing more of this link is looked at. */
      const refuse = (clientId: number, served: ServedLink, why: string) =>
        Effect.zipRight(
          Effect.annotateLogs(Effect.logWarning("a node's calls are not taken"), {
            channel,
            node: served.link.peerNodeId,
            address: served.link.peerAddress,
            reason: why
          }),
          Effect.sync(() => {
            links.delete(clientId)
            served.link.close(why)
          })
        )

      const take = (clientId: number, frame: Uint8Array): Effect.Effect<void> => {
        const served = links.get(clientId)
        if (served === undefined) return Effect.void
        let message: unknown
        try {
          message = unpackFrame(frame)
        } catch {
          return refuse(clientId, served, "a frame is no msgpack value")
        }
        if (!isMessage(message)) return refuse(clientId, served, "a frame is no message")
        switch (message._tag) {
          case "Request": {
            const request = message as unknown as Record<string, unknown>
            const id = request["id"]
            if (typeof id !== "string" || !/^\d{1,20}$/.test(id) || typeof request["tag"] !== "string") {
              return refuse(clientId, served, "a request is not whole")
            }
            if (++served.calls > callsMax) return refuse(clientId, served, `more than ${callsMax} calls at once`)
            const headers = headersOf(request["headers"], served.link.peerNodeId)
            return writeRequest(clientId, { _tag: "Request", id, tag: request["tag"], payload: request["payload"], headers })
          }
          case "Ack":
          case "Interrupt": {
            const requestId = (message as unknown as Record<string, unknown>)["requestId"]
            if (typeof requestId !== "string" || !/^\d{1,20}$/.test(requestId))
              return refuse(clientId, served, `an ${message._tag} is not whole`)
            return writeRequest(clientId, { _tag: message._tag, requestId } as FromClientEncoded)
          }
          default:
            return refuse(clientId, served, `a message is of no known kind: ${message._tag.slice(0, 40)}`)
        }
      }

      yield* transport.accept(channel, (link) => {
        const clientId = nextClientId++
        links.set(clientId, { link, calls: 0 })
        return {
          onFrame: (frame) => void inbox.unsafeOffer([clientId, frame]),
          onClose: () => {
            links.delete(clientId)
            disconnects.unsafeOffer(clientId)
          }
        }
      })
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.flatMap(inbox.takeAll, ([frames]) =>
            Effect.forEach(frames, ([clientId, frame]) => take(clientId, frame), { discard: true })
          )
        )
      )

      return {
        disconnects,
        send: (clientId: number, response: FromServerEncoded) =>
          Effect.sync(() => {
            const served = links.get(clientId)
            if (served === undefined) return
            if (response._tag === "Exit") served.calls--
            served.link.send(packFrame(response))
          }),
        end: () => Effect.void,
        clientIds: Effect.sync(() => new Set(links.keys())),
        initialMessage: Effect.succeedNone as Effect.Effect<Option.Option<unknown>>,
        supportsAck: true,
        supportsTransferables: false,
        supportsSpanPropagation: false
      }
    })
  )

/** Answers the calls of a group until the scope closes; its handlers are in the context. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  options: NodeRpcServerOptions = {}
): Effect.Effect<void, never, Scope | NodeTransport | Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs> | Rpc.Context<Rpcs>> =>
  Effect.gen(function* () {
    const protocol = yield* makeServerProtocol(yield* NodeTransport, channel, options.callsMax ?? 1024)
    yield* Effect.forkScoped(
      Effect.provideService(
        RpcServer.make(group, { disableTracing: true, disableFatalDefects: true }),
        RpcServer.Protocol,
        protocol
      )
    )
  })

export interface NodeRpcClientOptions {
  /** Pause after the first failure to connect. Default 50 ms. */
  readonly backOffMs?: number
  /** Longest pause. Default 2 s. */
  readonly backOffMsMax?: number
}

const unreachable = (message: string, cause?: unknown) => new RpcClientError({ reason: "Protocol", message, cause })

const makeClientProtocol = (
  transport: NodeTransportService,
  channel: string,
  target: NodeTarget,
  { backOffMs = 50, backOffMsMax = 2_000 }: NodeRpcClientOptions
) =>
  RpcClient.Protocol.make((writeResponse) =>
    Effect.gen(function* () {
      const inbox = yield* Mailbox.make<Uint8Array | { readonly closed: string }>()
      let link: NodeLink | undefined
      let failures = 0
      let quietUntilMs = 0
      let lastProblem = ""

      const connectOnce = Effect.gen(function* () {
        if (link !== undefined) return link
        if ((yield* Clock.currentTimeMillis) < quietUntilMs) return yield* Effect.fail(unreachable(lastProblem))
        const made = yield* Effect.either(
          transport.connect(target, channel, (opened) => ({
            onFrame: (frame) => void inbox.unsafeOffer(frame),
            onClose: (reason) => {
              if (link === opened) link = undefined
              inbox.unsafeOffer({ closed: reason })
            }
          }))
        )
        if (made._tag === "Right") {
          failures = 0
          link = made.right
          return link
        }
        failures++
        lastProblem = `node ${target.nodeId} at ${target.address}: ${made.left.message}`
        const pauseMs = Math.min(backOffMsMax, backOffMs * 2 ** Math.min(10, failures - 1)) * (0.5 + (yield* Random.next))
        quietUntilMs = (yield* Clock.currentTimeMillis) + pauseMs
        return yield* Effect.fail(unreachable(lastProblem))
      })
      const gate = yield* Effect.makeSemaphore(1)
      const connected = Effect.suspend(() => (link !== undefined ? Effect.succeed(link) : gate.withPermits(1)(connectOnce)))

      const take = (item: Uint8Array | { readonly closed: string }): Effect.Effect<void> => {
        if ("closed" in item) {
          const error = unreachable(`node ${target.nodeId} at ${target.address}: ${item.closed}`)
          return writeResponse({ _tag: "ClientProtocolError", error })
        }
        try {
          const message = unpackFrame(item)
          if (isMessage(message)) return writeResponse(message as FromServerEncoded)
        } catch {
          // Told below.
        }
        return Effect.sync(() => link?.close("a frame is no message"))
      }
      yield* Effect.forkScoped(
        Effect.forever(Effect.flatMap(inbox.takeAll, ([items]) => Effect.forEach(items, take, { discard: true })))
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => link?.close("no more calls")))

      return {
        send: (request: FromClientEncoded) =>
          request._tag === "Request"
            ? Effect.map(connected, (open) => open.send(packFrame(request)))
            : Effect.sync(() => {
                // Acks and interrupts of a link that is gone are of no use.
                if (request._tag !== "Ping" && request._tag !== "Eof") link?.send(packFrame(request))
              }),
        supportsAck: true,
        supportsTransferables: false
      }
    })
  )

/** A client of a group on one node, until the scope closes. Its calls may fail with `RpcClientError`: then it is not known whether they ran. */
export const client = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  channel: string,
  target: NodeTarget,
  options: NodeRpcClientOptions = {}
): Effect.Effect<RpcClient.RpcClient<Rpcs, RpcClientError>, never, Scope | NodeTransport | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function* () {
    const protocol = yield* makeClientProtocol(yield* NodeTransport, channel, target, options)
    return yield* Effect.provideService(RpcClient.make(group, { disableTracing: true }), RpcClient.Protocol, protocol)
  })
