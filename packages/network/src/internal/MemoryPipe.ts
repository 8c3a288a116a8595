/**
 * The client's end of a connection in memory, and the carrier of the broker's end.
 *
 * Models what a socket has: a window of bytes that the broker may send ahead of a client that does not read, chunks as small
 * as wished, ends in both directions. Whatever crosses from one end to the other does so as a task of the network's queue,
 * in order, never from within the call that caused it.
 */
import { Buffer } from "node:buffer"
import type { Carrier } from "./Carrier.js"
import type { StreamConnection } from "./StreamConnection.js"

export interface MemoryClientOptions {
  /** Default `127.0.0.1`. */
  readonly remoteAddress?: string
  /** Received chunks have at most so many bytes. Default: as written. */
  readonly chunkBytes?: number
  /** What the broker can send ahead of a client that does not read. Default 64 KiB. */
  readonly windowBytes?: number
}

export class MemoryClient {
  /** What the client wrote and the broker has not read, in order. */
  private outgoing: Array<Buffer> = []
  private incoming: Array<Buffer> = []
  private incomingBytes = 0
  private receivedChunks: Array<Buffer> = []
  /** What did not fit into the window, from the last `send`. */
  private unsent: Buffer | undefined = undefined
  private reading = true
  private brokerReads = true
  private clientEnded = false
  private brokerSawEnd = false
  private brokerEnded = false
  private isClosed = false
  private deliveryDue = false
  private connection: StreamConnection | undefined = undefined
  /** @internal gives the place back */
  onFinished: () => void = () => {}
  private readonly chunkBytes: number
  private readonly windowBytes: number

  /** @internal use `MemoryNetwork.connect` */
  constructor(
    private readonly schedule: (task: () => void) => void,
    options: MemoryClientOptions
  ) {
    this.chunkBytes = options.chunkBytes ?? Number.MAX_SAFE_INTEGER
    this.windowBytes = options.windowBytes ?? 64 * 1024
  }

  /** Sends; after `end` or the connection's end, into nothing. */
  write(bytes: Uint8Array): void {
    if (this.clientEnded || this.isClosed) return
    this.outgoing.push(Buffer.from(bytes))
    this.deliverSoon()
  }

  /** All that was read until now. */
  received(): Buffer {
    if (this.receivedChunks.length > 1) this.receivedChunks = [Buffer.concat(this.receivedChunks)]
    return this.receivedChunks[0] ?? Buffer.alloc(0)
  }

  /** All that was read, which then is forgotten. */
  take(): Buffer {
    const bytes = this.received()
    this.receivedChunks = []
    return bytes
  }

  /** Written, but not read by the broker: grows while the broker pauses. */
  unreadBytes(): number {
    return this.outgoing.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  /** Stops reading: the window fills, then the broker's output waits. */
  pause(): void {
    this.reading = false
  }

  resume(): void {
    this.reading = true
    this.schedule(() => this.read())
  }

  /** Says that no more will come; what the broker sends is still read. */
  end(): void {
    if (this.clientEnded) return
    this.clientEnded = true
    this.deliverSoon()
  }

  /** Breaks the connection off. */
  reset(): void {
    this.clientEnded = true
    this.schedule(() => {
      this.connection?.onFailed("peer-reset")
      this.finish()
    })
  }

  /** The connection is no more, or was refused. */
  closed(): boolean {
    return this.isClosed
  }

  /** @internal the broker accepted */
  attach(connection: StreamConnection): void {
    this.connection = connection
    this.deliverSoon()
  }

  /** @internal the connection is gone, or never was */
  finish(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.outgoing = []
    this.unsent = undefined
    this.connection?.onClosed()
    this.onFinished()
  }

  private deliverSoon(): void {
    if (this.deliveryDue) return
    this.deliveryDue = true
    this.schedule(() => {
      this.deliveryDue = false
      this.deliver()
    })
  }

  /** One chunk to the broker for each task, so that connections take turns. */
  private deliver(): void {
    if (this.connection === undefined || !this.brokerReads || this.isClosed) return
    const first = this.outgoing.shift()
    if (first !== undefined) {
      if (first.length > this.chunkBytes) this.outgoing.unshift(first.subarray(this.chunkBytes))
      this.connection.onReceived(first.subarray(0, this.chunkBytes))
      this.deliverSoon()
    } else if (this.clientEnded && !this.brokerSawEnd) {
      this.brokerSawEnd = true
      this.connection.close("peer-closed")
      this.finishIfEnded()
    }
  }

  /** @internal */
  setBrokerReads(reads: boolean): void {
    this.brokerReads = reads
    if (reads) this.deliverSoon()
  }

  /** @internal true when all of it fits the window */
  accept(bytes: Buffer): boolean {
    const rest = this.fill(bytes)
    this.schedule(() => this.read())
    if (rest.length === 0) return true
    this.unsent = rest
    return false
  }

  /** @internal */
  brokerEnds(): void {
    this.brokerEnded = true
    this.schedule(() => this.read())
  }

  private fill(bytes: Buffer): Buffer {
    const size = Math.min(bytes.length, this.windowBytes - this.incomingBytes)
    if (size > 0) {
      this.incoming.push(Buffer.from(bytes.subarray(0, size)))
      this.incomingBytes += size
    }
    return bytes.subarray(size)
  }

  private read(): void {
    if (!this.reading || this.isClosed) return
    this.receivedChunks.push(...this.incoming)
    this.incoming = []
    this.incomingBytes = 0
    if (this.unsent !== undefined) {
      const rest = this.fill(this.unsent)
      this.unsent = rest.length === 0 ? undefined : rest
      this.schedule(() => this.read())
      if (this.unsent === undefined) this.schedule(() => this.connection?.onSent())
    } else if (this.brokerEnded) {
      // Clients answer the broker's end with their own.
      this.end()
      this.finishIfEnded()
    }
  }

  private finishIfEnded(): void {
    if (this.brokerEnded && this.brokerSawEnd && this.incomingBytes === 0) this.schedule(() => this.finish())
  }
}

export const memoryCarrier: Carrier = {
  send: (connection, bytes) => (connection.socket as MemoryClient).accept(bytes),
  end: (connection) => (connection.socket as MemoryClient).brokerEnds(),
  abort: (connection) => {
    const client = connection.socket as MemoryClient
    connection.home.flush.later(() => client.finish())
  },
  pauseReading: (connection) => (connection.socket as MemoryClient).setBrokerReads(false),
  resumeReading: (connection) => (connection.socket as MemoryClient).setBrokerReads(true)
}
