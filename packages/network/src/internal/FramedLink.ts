/**
 * One connection between two nodes: first the handshake, then frames for whoever speaks the channel.
 *
 * Life: shaking -> open -> ended. The handler hears of frames only while it is open, and of the end exactly once.
 */
import { Buffer } from "node:buffer"
import type { CloseReason, Connection, ConnectionHandler } from "../Connection.js"
import { frameHeaderBytes, FrameReader } from "../core/FrameReader.js"
import { type CallerHandshake, handshakeFrameBytesMax, type HostHandshake } from "../core/NodeHandshake.js"
import type { NodeLink, NodeLinkHandler } from "../NodeTransport.js"

export interface LinkEvents {
  /** The other has proven itself: who takes its frames. */
  readonly accepted: (link: NodeLink, channel: string) => NodeLinkHandler
  /** It came to an end before that. */
  readonly refused: (reason: string) => void
}

const closeReasons: Partial<Record<CloseReason, string>> = {
  "peer-closed": "the other node closed it",
  "peer-reset": "the connection broke",
  "idle-timeout": "nothing was heard",
  "connect-timeout": "the handshake took too long",
  "output-overflow": "the other node does not take what is sent",
  "tls-error": "TLS failed"
}

export class FramedLink implements NodeLink, ConnectionHandler {
  peerNodeId = 0
  channel = ""
  onEnded: () => void = () => {}
  private handler: NodeLinkHandler | undefined
  private readonly reader = new FrameReader(handshakeFrameBytesMax)
  private endReason: string | undefined

  constructor(
    private readonly connection: Connection,
    private readonly frameBytesMax: number,
    private readonly idleTimeoutMs: number,
    private readonly handshake: CallerHandshake | HostHandshake,
    private readonly events: LinkEvents
  ) {}

  get peerAddress(): string {
    return `${this.connection.remoteAddress}:${this.connection.remotePort}`
  }

  /** The caller speaks first. */
  begin(hello: Buffer): void {
    this.send(hello)
  }

  send(frame: Uint8Array): void {
    const { connection } = this
    if (this.endReason !== undefined) return
    connection.reserve(frameHeaderBytes)
    connection.buffer.writeUInt32BE(frame.length, connection.length)
    connection.length += frameHeaderBytes
    connection.writeShared(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength))
  }

  sendSignOfLife(): void {
    if (this.handler !== undefined) this.send(Buffer.alloc(0))
  }

  bufferedBytes(): number {
    return this.connection.bufferedBytes()
  }

  close(reason: string): void {
    this.endReason ??= reason
    this.connection.close("closed-by-broker")
  }

  /** Before it is open. */
  refuse(reason: string): void {
    this.close(reason)
  }

  onData(chunk: Buffer): void {
    try {
      this.reader.read(chunk, (frame) => {
        if (frame.length > 0) this.onFrame(frame)
        return this.endReason === undefined
      })
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error), "frame-too-large")
    }
  }

  private onFrame(frame: Buffer): void {
    if (this.handler !== undefined) {
      this.handler.onFrame(frame)
      return
    }
    const step = this.handshake.step(frame)
    switch (step._tag) {
      case "send":
        return this.send(step.frame)
      case "refused":
        this.send(step.frame)
        return this.end(step.reason, "protocol-error")
      case "failed":
        return this.end(step.reason, "protocol-error")
      case "done": {
        if (step.frame !== undefined) this.send(step.frame)
        this.peerNodeId = step.peerNodeId
        this.channel = step.channel
        this.reader.bytesMax = this.frameBytesMax
        this.connection.established()
        this.connection.setIdleTimeout(this.idleTimeoutMs)
        this.handler = this.events.accepted(this, step.channel)
      }
    }
  }

  private end(reason: string, how: CloseReason): void {
    this.endReason ??= reason
    this.connection.close(how)
  }

  onDrain(): void {}

  onShutdown(): void {
    this.close("the node stops")
  }

  onClose(reason: CloseReason): void {
    const text = this.endReason ?? closeReasons[reason] ?? reason
    this.endReason = text
    this.onEnded()
    if (this.handler === undefined) this.events.refused(text)
    else this.handler.onClose(text)
  }
}
