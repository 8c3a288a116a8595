/**
 * Links between the nodes of one process, for tests: frames are copied and arrive in a later task, in order.
 */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type NodeLink,
  type NodeLinkAcceptor,
  type NodeLinkHandler,
  NodeTransport,
  type NodeTransportService,
  NodeUnreachable
} from "./NodeTransport.js"

class MemoryLink implements NodeLink {
  handler: NodeLinkHandler | undefined
  other: MemoryLink | undefined
  ended = false

  constructor(
    readonly peerNodeId: number,
    readonly peerAddress: string
  ) {}

  send(frame: Uint8Array): void {
    const copy = Buffer.from(frame)
    setImmediate(() => {
      if (!this.ended && this.other?.ended === false) this.other.handler?.onFrame(copy)
    })
  }

  bufferedBytes(): number {
    return 0
  }

  close(reason: string): void {
    setImmediate(() => {
      this.end(reason)
      this.other?.end("the other node closed it")
    })
  }

  private end(reason: string): void {
    if (this.ended) return
    this.ended = true
    this.handler?.onClose(reason)
  }
}

interface Endpoint {
  readonly address: string
  readonly acceptors: Map<string, NodeLinkAcceptor>
}

/** The nodes that can reach each other. */
export class MemoryNodes {
  private readonly endpoints = new Map<number, Endpoint>()
  private readonly links = new Set<readonly [number, number, MemoryLink]>()
  private readonly cuts = new Set<string>()

  /** The node's transport until the scope closes; its address is `node-<id>:1`. */
  layer(nodeId: number): Layer.Layer<NodeTransport> {
    return Layer.scoped(
      NodeTransport,
      Effect.acquireRelease(
        Effect.sync(() => {
          const endpoint: Endpoint = { address: `node-${nodeId}:1`, acceptors: new Map() }
          this.endpoints.set(nodeId, endpoint)
          return this.service(nodeId, endpoint)
        }),
        () =>
          Effect.sync(() => {
            this.endpoints.delete(nodeId)
            this.endLinks((from, to) => from === nodeId || to === nodeId)
          })
      )
    )
  }

  /** Ends links between two nodes and lets no new one through, until `heal`. */
  cut(one: number, other: number): void {
    this.cuts.add(`${one}-${other}`).add(`${other}-${one}`)
    this.endLinks((from, to) => (from === one && to === other) || (from === other && to === one))
  }

  heal(): void {
    this.cuts.clear()
  }

  private endLinks(which: (from: number, to: number) => boolean): void {
    for (const entry of [...this.links]) {
      if (!which(entry[0], entry[1])) continue
      this.links.delete(entry)
      entry[2].close("the connection broke")
    }
  }

  private service(nodeId: number, endpoint: Endpoint): NodeTransportService {
    return {
      nodeId,
      host: `node-${nodeId}`,
      port: 1,
      accept: (channel, acceptor) =>
        Effect.acquireRelease(
          Effect.sync(() => endpoint.acceptors.set(channel, acceptor)),
          () => Effect.sync(() => endpoint.acceptors.delete(channel))
        ),
      connect: (target, channel, acceptor) =>
        Effect.async<NodeLink, NodeUnreachable>((resume) => {
          setImmediate(() => {
            const host = this.endpoints.get(target.nodeId)
            const there = host?.address === target.address ? host.acceptors.get(channel) : undefined
            if (there === undefined || this.cuts.has(`${nodeId}-${target.nodeId}`)) {
              resume(Effect.fail(new NodeUnreachable({ target, message: "nobody answers" })))
              return
            }
            const near = new MemoryLink(target.nodeId, target.address)
            const far = new MemoryLink(nodeId, endpoint.address)
            near.other = far
            far.other = near
            far.handler = there(far)
            near.handler = acceptor(near)
            this.links.add([nodeId, target.nodeId, near])
            resume(Effect.succeed(near))
          })
        })
    }
  }
}
