/**
 * Links between nodes over TCP or mutual TLS.
 *
 * Invariants
 * - Until the other has proven itself, no more than one small frame of it is held, for no longer than the handshake's time limit,
 *   and of no more than `handshakesMax` others at a time.
 * - A link that is silent for `idleTimeoutMs` is ended; signs of life go out four times as often.
 * - Why a node is not let in, or not reached, is said in words with its address, in a log that a flood of them does not flood.
 */
import { randomBytes } from "node:crypto"
import { Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type { Scope } from "effect/Scope"
import type { ConnectionAcceptor } from "./Connection.js"
import * as ConnectionLimits from "./ConnectionLimits.js"
import { withConnectionDefaults } from "./ConnectionOptions.js"
import type { Belonging } from "./core/Belonging.js"
import { LineBudget } from "./core/LineBudget.js"
import { CallerHandshake, HostHandshake, nonceBytes } from "./core/NodeHandshake.js"
import { mayNotTrust, maySpeakTls, refusedByTls } from "./core/TlsTrouble.js"
import { clusterMeters } from "./internal/ClusterMeters.js"
import { Dialer } from "./internal/Dialer.js"
import { endedByOther, FramedLink } from "./internal/FramedLink.js"
import { LinkAdmission } from "./internal/LinkAdmission.js"
import { listen } from "./Listener.js"
import type { ListenError } from "./ListenError.js"
import {
  type NodeLink,
  type NodeLinkAcceptor,
  NodeTransport,
  type NodeTransportService,
  NodeUnreachable,
  nodeFrameBytesMax
} from "./NodeTransport.js"
import type { TlsOptions } from "./TlsOptions.js"

export interface SocketNodeTransportOptions {
  readonly nodeId: number
  /** Where to hear the others; without it this node only calls. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
  /** What all nodes know; empty: anybody who reaches the port may come in, so listen on this machine only. */
  readonly secret: string
  /** The cluster that this node is of, as far as it is known: asked at each handshake. Default: nothing is known. */
  readonly belonging?: (() => Belonging) | undefined
  /**
   * With it all links are TLS: both sides must show a certificate of `clientAuthorities`, and that of the side that is called must
   * name the host of its address.
   */
  readonly tls?: TlsOptions | undefined
  /** Links of others, once they have proven themselves. Default 1024. */
  readonly linksMax?: number | undefined
  /** Others that have not proven themselves yet; with one more, the one that takes longest is ended. Default 64. */
  readonly handshakesMax?: number | undefined
  /** For the connection, and then for the handshake. Default 3 s. */
  readonly handshakeTimeoutMs?: number | undefined
  /** Default 6 s. */
  readonly idleTimeoutMs?: number | undefined
}

const mebibyte = 1024 * 1024
const highWaterMarkBytes = 4 * mebibyte
const connectionOptions = {
  highWaterMarkBytes,
  lowWaterMarkBytes: mebibyte,
  // Who looks at `saturated` before each frame never comes near this.
  outputBytesMax: highWaterMarkBytes + 3 * nodeFrameBytesMax,
  // A link that ends has nothing more to say than why.
  closeTimeoutMs: 500,
  drainTimeoutMs: 500
}
/** Sockets besides the links: their handshakes, and those that are on their way out. */
const socketsBesides = 4096
const linesAtOnce = 20
const linesQuietMs = 5_000

const nowMs = (): number => Math.floor(performance.now())

export const make = (options: SocketNodeTransportOptions): Effect.Effect<NodeTransportService, ListenError, Meters | Scope> =>
  Effect.gen(function* () {
    const {
      nodeId,
      secret,
      belonging,
      tls,
      linksMax = 1024,
      handshakesMax = 64,
      handshakeTimeoutMs = 3_000,
      idleTimeoutMs = 6_000
    } = options
    const connection = withConnectionDefaults({ ...connectionOptions, connectTimeoutMs: handshakeTimeoutMs })
    const meters = clusterMeters(yield* Meters)
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const refusals = meters.counter("effectmq_links_refused_total", "Links of others that were not let in")
    const acceptors = new Map<string, NodeLinkAcceptor>()
    const called = new Set<FramedLink>()
    const hosted = new LinkAdmission(handshakesMax, linksMax)
    meters.gauge("effectmq_links", "Open links that others made", () => hosted.open.size)
    meters.gauge("effectmq_links_made", "Links that this node made, those in their handshake among them", () => called.size)
    const budget = new LineBudget(linesAtOnce, linesQuietMs, nowMs())
    let stopping = false
    const onRefused = (address: string, reason: string) => {
      if (stopping) return
      refusals.value += 1
      const count = budget.take(nowMs())
      if (count === 0) return
      const line = Effect.logWarning("a connection to the port of the cluster was refused")
      runFork(Effect.annotateLogs(line, { address, reason, ...(count > 1 ? { count } : {}) }))
    }
    const onHandlerFault = (error: unknown) =>
      runFork(Effect.logError("what speaks with another node threw; its connection is ended", error))

    const host: ConnectionAcceptor = (accepted) => {
      const handshake = new HostHandshake({
        nodeId,
        secret,
        nonce: randomBytes(nonceBytes),
        channels: () => acceptors.keys(),
        full: () => hosted.full(),
        belonging
      })
      const link: FramedLink = new FramedLink(accepted, idleTimeoutMs, handshake, {
        accepted: (ready, channel) => {
          hosted.proven(link)
          return (acceptors.get(channel) as NodeLinkAcceptor)(ready)
        },
        refused: (reason) => onRefused(link.peerAddress, reason),
        ended: () => hosted.gone(link)
      })
      hosted.arrived(link)
      return link
    }

    const bound =
      options.listen === undefined
        ? { host: "", port: 0 }
        : yield* listen(
            {
              ...connection,
              ...options.listen,
              ...(tls === undefined ? { kind: "tcp" } : { kind: "tls", tls: { ...tls, clientCertificate: "required" } }),
              handshakeTimeoutMs,
              handshakesMax,
              onRefused: (reason, address, detail) => {
                if (reason === "tls-handshake" || reason === "client-certificate")
                  onRefused(address, refusedByTls(reason, detail))
              }
            },
            host
          ).pipe(
            Effect.provide(
              ConnectionLimits.layer({
                connectionsMax: linksMax + socketsBesides,
                connectionsPerAddressMax: Number.POSITIVE_INFINITY
              })
            ),
            Effect.provideService(Meters, meters)
          )

    const hinted = (reason: string): string =>
      endedByOther.has(reason) ? `${reason} ${tls === undefined ? maySpeakTls : mayNotTrust}` : reason
    const dialer = yield* Dialer.make({ connection, tls, timeoutMs: handshakeTimeoutMs, onHandlerFault }, meters)

    yield* Effect.forkScoped(
      Effect.repeat(
        Effect.sync(() => {
          for (const link of called) link.sendSignOfLife()
          for (const link of hosted.open) link.sendSignOfLife()
        }),
        Schedule.spaced(Math.max(1, Math.floor(idleTimeoutMs / 4)))
      )
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        stopping = true
        for (const link of [...called, ...hosted.all()]) link.close("the node stops")
      })
    )

    const service: NodeTransportService = {
      nodeId,
      host: bound.host,
      port: bound.port,
      accept: (channel, acceptor) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            if (acceptors.has(channel)) throw new Error(`channel ${channel} is taken`)
            acceptors.set(channel, acceptor)
          }),
          () =>
            Effect.sync(() => {
              acceptors.delete(channel)
              for (const link of hosted.open) if (link.channel === channel) link.close("the node stops")
            })
        ),
      connect: (target, channel, acceptor) =>
        Effect.async<NodeLink, NodeUnreachable>((resume) => {
          const fail = (message: string) => resume(Effect.fail(new NodeUnreachable({ target, message })))
          const handshake = new CallerHandshake({
            nodeId,
            toNodeId: target.nodeId,
            channel,
            secret,
            nonce: randomBytes(nonceBytes),
            belonging
          })
          let shaking: FramedLink | undefined
          const cancel = dialer.dial(
            target.address,
            (dialed) => {
              const link: FramedLink = new FramedLink(dialed, idleTimeoutMs, handshake, {
                accepted: (ready) => {
                  const handler = acceptor(ready)
                  resume(Effect.succeed(ready))
                  return handler
                },
                refused: (reason) => fail(hinted(reason)),
                ended: () => called.delete(link)
              })
              called.add(link)
              shaking = link
              link.begin(handshake.hello())
              return link
            },
            fail
          )
          return Effect.sync(() => {
            cancel()
            shaking?.abort("nobody waits for it any more")
          })
        })
    }
    return service
  })

export const layer = (options: SocketNodeTransportOptions): Layer.Layer<NodeTransport, ListenError, Meters> =>
  Layer.scoped(NodeTransport, make(options))
