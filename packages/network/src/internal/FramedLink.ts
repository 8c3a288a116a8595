/**
 * One connection between two nodes: first the handshake, then frames for whoever speaks the channel.
 *
 * Life: shaking -> open -> ended. The handler hears of frames only while it is open, and of the end exactly once. Before it is open
 * nothing larger than a frame of the handshake is held.
 */
import { Buffer } from "node:buffer"
import type { CloseReason, Connection, ConnectionHandler } from "../Connection.js"
import { frameHeaderBytes, FrameReader, FrameTooLarge } from "../core/FrameReader.js"
import { type CallerHandshake, handshakeFrameBytesMax, type HostHandshake } from "../core/NodeHandshake.js"
import { isTlsRecord, speaksTls } from "../core/TlsTrouble.js"
import { type NodeLink, type NodeLinkHandler, nodeFrameBytesMax } from "../NodeTransport.js"

export interface LinkEvents {
  /** The other has proven itself: who takes its frames. */
  readonly accepted: (link: NodeLink, channel: string) => NodeLinkHandler
  /** It came to an end before that. */
  readonly refused: (reason: string) => void
  /** It is no more; after the two above. */
  readonly ended: () => void
}

const peerClosed = "the other node closed it"
const peerReset = "the connection broke"
/** Without a word why. */
export const endedByOther: ReadonlySet<string> = new Set([peerClosed, peerReset])

const reasonTexts: Partial<Record<CloseReason, string>> = {
  "peer-closed": peerClosed,
  "peer-reset": peerReset,
  "idle-timeout": "nothing was heard of the other node",
  "connect-timeout": "the handshake took too long",
  "output-overflow": "the other node does not take what is sent",
  "tls-error": "TLS failed",
  "handler-fault": "what speaks with the other node failed",
  drain: "the node stops"
}

/** A frame of no bytes: a sign of life. */
const signOfLife = Buffer.alloc(0)

export class FramedLink implements NodeLink, ConnectionHandler {
  peerNodeId = 0
  channel = ""
  private handler: NodeLinkHandler | undefined
  private readonly reader = new FrameReader(handshakeFrameBytesMax)
  private endReason: string | undefined

  constructor(
    private readonly connection: Connection,
    private readonly idleTimeoutMs: number,
    private readonly handshake: CallerHandshake | HostHandshake,
    private readonly events: LinkEvents
  ) {}

  get peerAddress(): string {
    return `${this.connection.remoteAddress}:${this.connection.remotePort}`
  }

  get saturated(): boolean {
    return this.connection.saturated
  }

  /** The caller speaks first. */
  begin(hello: Buffer): void {
    this.write(hello)
  }

  send(frame: Uint8Array): void {
    if (frame.length === 0 || frame.length > nodeFrameBytesMax) throw new Error(`a frame of ${frame.length} bytes cannot be sent`)
    this.write(frame)
  }

  private write(frame: Uint8Array): void {
    const { connection } = this
    if (this.endReason !== undefined) return
    connection.reserve(frameHeaderBytes)
    connection.buffer.writeUInt32BE(frame.length, connection.length)
    connection.length += frameHeaderBytes
    connection.writeShared(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength))
  }

  sendSignOfLife(): void {
    if (this.handler !== undefined) this.write(signOfLife)
  }

  close(reason: string): void {
    this.end(reason, "closed-by-broker")
  }

  /** Ends it at once: what is not sent is dropped. */
  abort(reason: string): void {
    this.endReason ??= reason
    this.connection.destroy("closed-by-broker")
  }

  onData(chunk: Buffer): void {
    try {
      this.reader.read(chunk, (frame) => {
        if (frame.length > 0) this.onFrame(frame)
        return this.endReason === undefined
      })
    } catch (error) {
      if (!(error instanceof FrameTooLarge)) throw error
      this.abort(this.handler === undefined && isTlsRecord(error.bytes) ? speaksTls : error.message)
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
        return this.write(step.frame)
      case "refused":
        this.write(step.frame)
        return this.end(step.reason, "protocol-error")
      case "failed":
        return this.abort(step.reason)
      case "done": {
        if (step.frame !== undefined) this.write(step.frame)
        this.peerNodeId = step.peerNodeId
        this.channel = step.channel
        this.reader.bytesMax = nodeFrameBytesMax
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

  onDrain(): void {
    this.handler?.onDrain?.()
  }

  onShutdown(): void {
    this.close("the node stops")
  }

  onClose(reason: CloseReason): void {
    const text = this.endReason ?? reasonTexts[reason] ?? reason
    this.endReason = text
    try {
      if (this.handler === undefined) this.events.refused(text)
      else this.handler.onClose(text)
    } finally {
      this.events.ended()
    }
  }
}
