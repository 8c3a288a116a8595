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
  NodeUnreachable,
  nodeFrameBytesMax
} from "./NodeTransport.js"

/** Sent and not arrived, above which a link is saturated; below the second it is no more. */
const highWaterMarkBytes = 4 * 1024 * 1024
const lowWaterMarkBytes = 1024 * 1024

class MemoryLink implements NodeLink {
  handler: NodeLinkHandler | undefined
  other: MemoryLink | undefined
  saturated = false
  private ended = false
  private bytesUnderWay = 0

  constructor(
    readonly peerNodeId: number,
    readonly peerAddress: string,
    private readonly onEnded: () => void
  ) {}

  send(frame: Uint8Array): void {
    if (frame.length === 0 || frame.length > nodeFrameBytesMax) throw new Error(`a frame of ${frame.length} bytes cannot be sent`)
    const copy = Buffer.from(frame)
    this.bytesUnderWay += copy.length
    if (this.bytesUnderWay > highWaterMarkBytes) this.saturated = true
    setImmediate(() => {
      if (this.ended || this.other === undefined || this.other.ended) return
      this.other.handler?.onFrame(copy)
      this.arrived(copy.length)
    })
  }

  private arrived(bytes: number): void {
    this.bytesUnderWay -= bytes
    if (!this.saturated || this.bytesUnderWay > lowWaterMarkBytes) return
    this.saturated = false
    if (!this.ended) this.handler?.onDrain?.()
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
    this.onEnded()
    this.handler?.onClose(reason)
  }
}

interface Endpoint {
  readonly address: string
  readonly acceptors: Map<string, NodeLinkAcceptor>
}

interface Connected {
  readonly from: number
  readonly to: number
  readonly channel: string
  readonly near: MemoryLink
  readonly far: MemoryLink
}

const stopping = "the node stops"

/** The nodes that can reach each other. */
export class MemoryNodes {
  private readonly endpointsByNode = new Map<number, Endpoint>()
  private readonly connected = new Set<Connected>()
  private readonly cuts = new Set<string>()

  /** The node's transport until the scope closes; its address is `node-<id>:1`. */
  layer(nodeId: number): Layer.Layer<NodeTransport> {
    return Layer.scoped(
      NodeTransport,
      Effect.acquireRelease(
        Effect.sync(() => {
          const endpoint: Endpoint = { address: `node-${nodeId}:1`, acceptors: new Map() }
          this.endpointsByNode.set(nodeId, endpoint)
          return this.service(nodeId, endpoint)
        }),
        () =>
          Effect.sync(() => {
            this.endpointsByNode.delete(nodeId)
            for (const { far, from, near, to } of this.connected) {
              if (from === nodeId) near.close(stopping)
              else if (to === nodeId) far.close(stopping)
            }
          })
      )
    )
  }

  /** Ends links between two nodes and lets no new one through, until `heal`. */
  cut(one: number, other: number): void {
    this.cuts.add(`${one}-${other}`).add(`${other}-${one}`)
    for (const { far, from, near, to } of this.connected) {
      if ((from !== one || to !== other) && (from !== other || to !== one)) continue
      near.close("the connection broke")
      far.close("the connection broke")
    }
  }

  heal(): void {
    this.cuts.clear()
  }

  private service(nodeId: number, endpoint: Endpoint): NodeTransportService {
    return {
      nodeId,
      host: `node-${nodeId}`,
      port: 1,
      accept: (channel, acceptor) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            if (endpoint.acceptors.has(channel)) throw new Error(`channel ${channel} is taken`)
            endpoint.acceptors.set(channel, acceptor)
          }),
          () =>
            Effect.sync(() => {
              endpoint.acceptors.delete(channel)
              for (const connected of this.connected) {
                if (connected.to === nodeId && connected.channel === channel) connected.far.close(stopping)
              }
            })
        ),
      connect: (target, channel, acceptor) =>
        Effect.async<NodeLink, NodeUnreachable>((resume) => {
          const attempt = setImmediate(() => {
            const host = this.endpointsByNode.get(target.nodeId)
            const there = host?.address === target.address ? host.acceptors.get(channel) : undefined
            if (there === undefined || this.cuts.has(`${nodeId}-${target.nodeId}`)) {
              resume(Effect.fail(new NodeUnreachable({ target, message: "nobody answers" })))
              return
            }
            resume(Effect.succeed(this.link(nodeId, endpoint, target.nodeId, target.address, channel, there, acceptor)))
          })
          return Effect.sync(() => clearImmediate(attempt))
        })
    }
  }

  private link(
    from: number,
    caller: Endpoint,
    to: number,
    address: string,
    channel: string,
    there: NodeLinkAcceptor,
    here: NodeLinkAcceptor
  ): NodeLink {
    const near = new MemoryLink(to, address, () => this.connected.delete(connected))
    const far = new MemoryLink(from, caller.address, () => {})
    const connected: Connected = { from, to, channel, near, far }
    near.other = far
    far.other = near
    this.connected.add(connected)
    far.handler = there(far)
    near.handler = here(near)
    return near
  }
}
