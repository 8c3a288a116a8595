/** Nodes that talk over sockets, what they write into their logs, and strangers that knock at their ports. */
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { Scope } from "effect/Scope"
import { connect, createServer, type Socket } from "node:net"
import * as SocketNodeTransport from "../../src/SocketNodeTransport.js"
import { nodeOf, type TestNode } from "../NodeTransportSuite.js"

export const secret = "a secret of the tests"

/** Lines of nodes under test: the message, then its annotations. */
export class Lines {
  readonly all: Array<string> = []
  readonly layer: Layer.Layer<never> = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ annotations, message }) => {
      const about = HashMap.toEntries(annotations).map(([key, value]) => `${key}=${String(value)}`)
      this.all.push([...(Array.isArray(message) ? message : [message]).map(String), ...about].join(" "))
    })
  )

  with(text: string): ReadonlyArray<string> {
    return this.all.filter((line) => line.includes(text))
  }
}

export type NodeOptions = Partial<SocketNodeTransport.SocketNodeTransportOptions>

export const socketNode = (
  nodeId: number,
  options: NodeOptions = {},
  lines = new Lines(),
  addressHost?: string
): Effect.Effect<TestNode, unknown, Scope> =>
  nodeOf(
    SocketNodeTransport.layer({ nodeId, secret, listen: { host: "127.0.0.1", port: 0 }, ...options }).pipe(
      Layer.provide(PrometheusMeters.layerMemory),
      Layer.provide(lines.layer)
    ),
    ({ host, port }) => `${addressHost ?? host}:${port}`
  )

export interface Knock {
  readonly socket: Socket
  readonly received: () => Buffer
  readonly closed: () => boolean
}

/** A connection that sends what it is told. Ends with the scope. */
export const knock = (port: number, bytes?: Uint8Array, host = "127.0.0.1"): Effect.Effect<Knock, never, Scope> =>
  Effect.acquireRelease(
    Effect.async<Knock>((resume) => {
      const chunks: Array<Buffer> = []
      let isClosed = false
      const socket = connect({ port, host })
      const made: Knock = { socket, received: () => Buffer.concat(chunks), closed: () => isClosed }
      socket.on("data", (chunk) => chunks.push(chunk))
      socket.on("error", () => {})
      socket.on("close", () => {
        isClosed = true
        resume(Effect.succeed(made))
      })
      socket.once("connect", () => {
        if (bytes !== undefined) socket.write(bytes)
        resume(Effect.succeed(made))
      })
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

export interface Wire {
  readonly address: string
  /** From now on nothing passes, and nobody is told. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Bytes that passed towards the node. */
  readonly passed: () => number
}

/** A wire to a port that can be frozen, as a network does that drops what it should carry. */
export const wireTo = (port: number): Effect.Effect<Wire, never, Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly wire: Wire; readonly end: () => void }>((resume) => {
      const sockets = new Set<Socket>()
      let frozen = false
      let passed = 0
      const server = createServer({ allowHalfOpen: true }, (near) => {
        const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
        for (const [from, to] of [
          [near, far],
          [far, near]
        ] as const) {
          sockets.add(from)
          from.on("data", (chunk: Buffer) => {
            if (to === far) passed += chunk.length
            to.write(chunk)
          })
          from.on("end", () => to.end())
          from.on("error", () => to.destroy())
          from.on("close", () => sockets.delete(from))
          if (frozen) from.pause()
        }
      })
      const each = (act: (socket: Socket) => void) => {
        for (const socket of sockets) act(socket)
      }
      server.listen(0, "127.0.0.1", () => {
        const { port: bound } = server.address() as { port: number }
        resume(
          Effect.succeed({
            wire: {
              address: `127.0.0.1:${bound}`,
              freeze: () => {
                frozen = true
                each((socket) => socket.pause())
              },
              thaw: () => {
                frozen = false
                each((socket) => socket.resume())
              },
              passed: () => passed
            },
            end: () => {
              server.close()
              each((socket) => socket.destroy())
            }
          })
        )
      })
    }),
    ({ end }) => Effect.sync(end)
  ).pipe(Effect.map(({ wire }) => wire))
