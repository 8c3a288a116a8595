/**
 * A connection without a network: what the machine writes is gathered, and cut into packets by `mqtt-packet`.
 */
import type { CloseReason, Connection, ConnectionHandler, PeerCertificate, TransportKind } from "@effectmq/network/Connection"
import * as mqtt from "mqtt-packet"

export type Packet = mqtt.Packet & { readonly [field: string]: unknown }

let nextId = 1

export class MemoryConnection implements Connection {
  readonly id = nextId++
  readonly transport: TransportKind = "tcp"
  readonly remoteAddress = "127.0.0.1"
  readonly remotePort = 1
  readonly localPort = 2
  readonly peerCertificate: PeerCertificate | undefined = undefined
  buffer: Buffer = Buffer.alloc(1024)
  length = 0
  saturated = false
  closedWith: CloseReason | undefined = undefined
  isEstablished = false
  idleTimeoutMs = 0
  paused = 0
  handler: ConnectionHandler | undefined
  /** Packets written and not yet taken by the test. */
  readonly received: Array<Packet> = []
  private readonly parser: mqtt.Parser

  constructor(version: 3 | 4 | 5) {
    this.parser = mqtt.parser({ protocolVersion: version })
    this.parser.on("packet", (packet) => this.received.push(packet as Packet))
    this.parser.on("error", (error: Error) => {
      throw error
    })
  }

  reserve(size: number): void {
    if (this.length + size <= this.buffer.length) return
    const grown = Buffer.alloc((this.length + size) * 2)
    this.buffer.copy(grown, 0, 0, this.length)
    this.buffer = grown
  }
  write(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }
  writeRange(source: Buffer, start: number, end: number): number {
    this.reserve(end - start)
    const at = this.length
    source.copy(this.buffer, at, start, end)
    this.length += end - start
    return at
  }
  writeShared(bytes: Buffer): void {
    this.write(bytes)
  }
  flush(): void {
    if (this.length === 0) return
    const bytes = Buffer.from(this.buffer.subarray(0, this.length))
    this.length = 0
    this.parser.parse(bytes)
  }
  bufferedBytes(): number {
    return this.length
  }
  established(): void {
    this.isEstablished = true
  }
  setIdleTimeout(timeoutMs: number): void {
    this.idleTimeoutMs = timeoutMs
  }
  pause(reason: number): void {
    this.paused |= reason
  }
  resume(reason: number): void {
    this.paused &= ~reason
  }
  close(reason: CloseReason): void {
    if (this.closedWith !== undefined) return
    this.flush()
    this.closedWith = reason
  }
  destroy(reason: CloseReason): void {
    this.close(reason)
  }

  /** The network breaks. */
  cut(): void {
    if (this.closedWith === undefined) this.closedWith = "peer-reset"
    this.handler?.onClose("peer-reset")
    this.handler = undefined
  }

  /** Packets since the last call. */
  take(): Array<Packet> {
    this.flush()
    return this.received.splice(0)
  }
}
