/**
 * The port that connects the nodes of a cluster: links that carry frames both ways, in order, between two nodes that have proven
 * who they are. Each link is for one channel, a named and versioned protocol such as `raft/1`.
 * Adapters: `SocketNodeTransport.layer`, `MemoryNodeTransport`.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"

/** The largest frame, on every transport and the same for all nodes. */
export const nodeFrameBytesMax = 16 * 1024 * 1024

export interface NodeLink {
  readonly peerNodeId: number
  /** For logs. */
  readonly peerAddress: string
  /**
   * Never waits. The frame has at most `nodeFrameBytesMax` bytes, at least one, and must not change afterwards. Whoever sends on
   * while the link is saturated has it ended.
   */
  send(frame: Uint8Array): void
  /** The other takes more slowly than this side sends: send no more until `onDrain`. */
  readonly saturated: boolean
  /** Ends the link; `onClose` follows, never from within this call. */
  close(reason: string): void
}

export interface NodeLinkHandler {
  /** Owned by the handler from now on. */
  onFrame(frame: Uint8Array): void
  /** The link was saturated and is no more. */
  onDrain?(): void
  /** The last call. */
  onClose(reason: string): void
}

export type NodeLinkAcceptor = (link: NodeLink) => NodeLinkHandler

export interface NodeTarget {
  readonly nodeId: number
  /** `host:port` */
  readonly address: string
}

/** Nobody answers there, or whoever does is not who was looked for. */
export class NodeUnreachable extends Data.TaggedError("NodeUnreachable")<{
  readonly target: NodeTarget
  readonly message: string
}> {}

export interface NodeTransportService {
  readonly nodeId: number
  /** Where this node hears the others; port 0 where it does not. */
  readonly host: string
  readonly port: number
  /** Takes links of a channel until the scope closes; those that are open then are ended. One acceptor a channel. */
  accept(channel: string, acceptor: NodeLinkAcceptor): Effect.Effect<void, never, Scope>
  /** Succeeds once both sides have proven themselves. Who connects closes the link. */
  connect(target: NodeTarget, channel: string, acceptor: NodeLinkAcceptor): Effect.Effect<NodeLink, NodeUnreachable>
}

export class NodeTransport extends Context.Tag("@effectmq/network/NodeTransport")<NodeTransport, NodeTransportService>() {}
