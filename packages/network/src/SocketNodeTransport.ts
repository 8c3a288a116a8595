/**
 * Links between nodes over TCP or mutual TLS.
 *
 * Invariants
 * - Until the other has proven itself, no more than one small frame of it is held, for no longer than the handshake's time limit.
 * - A link that is silent for `idleTimeoutMs` is ended; signs of life go out four times as often.
 */
import { randomBytes } from "node:crypto"
import { Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type { Scope } from "effect/Scope"
import type { ConnectionAcceptor } from "./Connection.js"
import type { ConnectionLimits } from "./ConnectionLimits.js"
import { type ConnectionOptions, withConnectionDefaults } from "./ConnectionOptions.js"
import { CallerHandshake, HostHandshake, nonceBytes } from "./core/NodeHandshake.js"
import { Dialer } from "./internal/Dialer.js"
import { FramedLink } from "./internal/FramedLink.js"
import { listen } from "./Listener.js"
import type { ListenError } from "./ListenError.js"
import {
  type NodeLink,
  type NodeLinkAcceptor,
  NodeTransport,
  type NodeTransportService,
  NodeUnreachable
} from "./NodeTransport.js"
import type { TlsOptions } from "./TlsOptions.js"

export interface SocketNodeTransportOptions {
  readonly nodeId: number
  /** Where to hear the others; without it this node only calls. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
  /** What all nodes know; empty: anybody who reaches the port may come in, so listen on this machine only. */
  readonly secret: string
  /** With it both sides must show a certificate of `clientAuthorities`. */
  readonly tls?: TlsOptions | undefined
  /** Largest frame taken from another node. Default 32 MiB. */
  readonly frameBytesMax?: number | undefined
  /** Unsent output above which a link is ended. Default 64 MiB. */
  readonly outputBytesMax?: number | undefined
  /** Handshakes under way and links together, from others. Default 1024. */
  readonly linksMax?: number | undefined
  /** For connection and handshake together. Default 5 s. */
  readonly handshakeTimeoutMs?: number | undefined
  /** Default 20 s. */
  readonly idleTimeoutMs?: number | undefined
}

const mebibyte = 1024 * 1024

export const make = (
  options: SocketNodeTransportOptions
): Effect.Effect<NodeTransportService, ListenError, Meters | ConnectionLimits | Scope> =>
  Effect.gen(function* () {
    const { nodeId, secret, tls } = options
    const frameBytesMax = options.frameBytesMax ?? 32 * mebibyte
    const handshakeTimeoutMs = options.handshakeTimeoutMs ?? 5_000
    const idleTimeoutMs = options.idleTimeoutMs ?? 20_000
    const linksMax = options.linksMax ?? 1024
    const connectionOptions: ConnectionOptions = withConnectionDefaults({
      outputBytesMax: options.outputBytesMax ?? 64 * mebibyte,
      connectTimeoutMs: handshakeTimeoutMs,
      drainTimeoutMs: 500
    })
    const meters = yield* Meters
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const refusals = meters.counter("effectmq_cluster_links_refused_total", "Connections of other nodes that were not let in")
    const acceptors = new Map<string, NodeLinkAcceptor>()
    const links = new Set<FramedLink>()
    const hosted = new Set<FramedLink>()
    const warn = (message: string, annotations: Record<string, unknown>) =>
      runFork(Effect.annotateLogs(Effect.logWarning(message), annotations))
    const keep = (link: FramedLink, among: Set<FramedLink>) => {
      among.add(link)
      link.onEnded = () => among.delete(link)
    }

    const host: ConnectionAcceptor = (connection) => {
      const handshake = new HostHandshake({
        nodeId,
        secret,
        nonce: randomBytes(nonceBytes),
        hasChannel: (channel) => acceptors.has(channel)
      })
      const link = new FramedLink(connection, frameBytesMax, idleTimeoutMs, handshake, {
        accepted: (ready, channel) => (acceptors.get(channel) as NodeLinkAcceptor)(ready),
        refused: (reason) => {
          refusals.value += 1
          warn("a connection to the port of the cluster was refused", { address: link.peerAddress, reason })
        }
      })
      keep(link, hosted)
      if (hosted.size > linksMax) link.refuse(`there are ${linksMax} connections of nodes already`)
      return link
    }

    const bound =
      options.listen === undefined
        ? { host: "", port: 0 }
        : yield* listen(
            {
              ...connectionOptions,
              ...options.listen,
              ...(tls === undefined ? { kind: "tcp" } : { kind: "tls", tls: { ...tls, clientCertificate: "required" } }),
              handshakeTimeoutMs
            },
            host
          )

    const onHandlerFault = (error: unknown) =>
      runFork(Effect.logError("what speaks with another node threw; its connection is ended", error))
    const dialer = yield* Dialer.make(
      { connection: connectionOptions, tls, timeoutMs: handshakeTimeoutMs, onHandlerFault },
      meters
    )

    yield* Effect.forkScoped(
      Effect.repeat(
        Effect.sync(() => {
          for (const link of links) link.sendSignOfLife()
          for (const link of hosted) link.sendSignOfLife()
        }),
        Schedule.spaced(Math.max(1, Math.floor(idleTimeoutMs / 4)))
      )
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const link of [...links, ...hosted]) link.close("the node stops")
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
              for (const link of hosted) if (link.channel === channel) link.close("the node stops")
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
            nonce: randomBytes(nonceBytes)
          })
          const cancel = dialer.dial(
            target.address,
            (connection) => {
              const link = new FramedLink(connection, frameBytesMax, idleTimeoutMs, handshake, {
                accepted: (ready) => {
                  const handler = acceptor(ready)
                  resume(Effect.succeed(ready))
                  return handler
                },
                refused: fail
              })
              keep(link, links)
              link.begin(handshake.hello())
              return link
            },
            fail
          )
          return Effect.sync(cancel)
        })
    }
    return service
  })

export const layer = (options: SocketNodeTransportOptions): Layer.Layer<NodeTransport, ListenError, Meters | ConnectionLimits> =>
  Layer.scoped(NodeTransport, make(options))
