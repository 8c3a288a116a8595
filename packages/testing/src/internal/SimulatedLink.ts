/**
 * One end of a link between two simulated nodes, in one start of the process that it is of.
 */
import { Buffer } from "node:buffer"
import { type NodeLink, type NodeLinkAcceptor, type NodeLinkHandler, nodeFrameBytesMax } from "@effectmq/network/NodeTransport"
import type { VirtualProcess } from "../VirtualProcess.js"
import type { Segment, SimulatedWire } from "./SimulatedWire.js"

/** Sent and not arrived, above which a link is saturated; below the second it is no more. */
const highWaterMarkBytes = 4 * 1024 * 1024
const lowWaterMarkBytes = 1024 * 1024
/** A link of which nothing is heard for so long is ended; signs of life go out four times as often. */
export const idleTimeoutMs = 6_000
export const signOfLife = Buffer.alloc(0)

/** One start of a node. */
export interface Endpoint {
  readonly nodeId: number
  readonly address: string
  readonly process: VirtualProcess
  readonly incarnation: number
  readonly acceptors: Map<string, NodeLinkAcceptor>
  readonly links: Set<SimulatedLink>
  /** Its machine has no power. */
  isSilent: boolean
}

export const lives = ({ process, incarnation }: Endpoint): boolean => process.alive && process.incarnation === incarnation

export class SimulatedLink implements NodeLink {
  handler: NodeLinkHandler | undefined
  saturated = false
  private heardMs: number
  private isClosing = false
  private ended = false

  constructor(
    readonly home: Endpoint,
    /** What it was called for; undefined on the side of who called. */
    readonly hosts: string | undefined,
    readonly peerNodeId: number,
    readonly peerAddress: string,
    private readonly wire: SimulatedWire
  ) {
    this.heardMs = home.process.uptimeMs()
    home.links.add(this)
  }

  send(frame: Uint8Array): void {
    if (frame.length === 0 || frame.length > nodeFrameBytesMax) throw new Error(`a frame of ${frame.length} bytes cannot be sent`)
    if (this.isClosing || this.ended) return
    this.wire.send({ frame: Buffer.from(frame) })
    if (this.wire.bytesUnderWay > highWaterMarkBytes) this.saturated = true
  }

  close(reason: string): void {
    if (this.isClosing || this.ended) return
    this.isClosing = true
    this.wire.send({ end: "the other node closed it" })
    this.home.process.post(() => this.end(reason))
  }

  /** Something that it sent has arrived. Called from another process. */
  arrived(): void {
    if (!this.saturated || this.wire.bytesUnderWay > lowWaterMarkBytes) return
    this.home.process.post(() => {
      if (this.ended || !this.saturated || !lives(this.home)) return
      this.saturated = false
      this.handler?.onDrain?.()
    })
  }

  take(segment: Segment): void {
    if (this.ended) return
    this.heardMs = this.home.process.uptimeMs()
    if ("end" in segment) this.end(segment.end)
    else if (segment.frame.length > 0) this.handler?.onFrame(segment.frame)
  }

  /** A sign of life, or the end where none came. */
  beat(): void {
    if (this.home.process.uptimeMs() - this.heardMs <= idleTimeoutMs) return this.wire.send({ frame: signOfLife })
    this.wire.drop()
    this.end("nothing was heard of the other node")
  }

  /** Its process was killed. `tells`: the system ends the link for it. */
  died(tells: boolean): void {
    this.ended = true
    if (tells) this.wire.send({ end: "the connection broke" })
    else this.wire.drop()
  }

  /** Nothing that it sent and did not arrive does. */
  break(): void {
    this.wire.drop()
    this.home.process.post(() => this.end("the connection broke"))
  }

  /** In its process. */
  end(reason: string): void {
    if (this.ended || !lives(this.home)) return
    this.ended = true
    this.home.links.delete(this)
    this.handler?.onClose(reason)
  }
}
