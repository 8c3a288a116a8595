/**
 * The one class behind every `Connection`: gathers output in slabs, bounds it, and keeps the deadlines' state.
 *
 * Invariants: at most one buffer is with the carrier (`sending`); what cannot be handed over waits in `queue`, in order, and
 * the newest bytes in `buffer`. A connection that holds a slab is either dirty (written at the end of the tick) or waits for
 * the carrier or for its turn among large messages (`deferred`). Handlers are never called from within a call they make. No timers and no closures here: 16,000 of these idle
 * must cost little more than their sockets.
 */
import { Buffer } from "node:buffer"
import { copyBytes } from "@effectmq/bytes/CopyBytes"
import type { CloseReason, Connection, ConnectionHandler, PeerCertificate, TransportKind } from "../Connection.js"
import type { Carrier } from "./Carrier.js"
import type { ConnectionHome } from "./ConnectionHome.js"
import { largeSlabBytes, noSlab, releaseSlab, scrapSlab, smallSlabBytes, takeLargeSlab, takeSmallSlab } from "./SlabPool.js"

/** Payloads from this size on are not copied by `writeShared`. */
const sharedBytesMin = 32 * 1024

/** Bytes that wait; `slab` goes back to the pool afterwards. */
interface Waiting {
  readonly slab: Buffer
  readonly bytes: Buffer
}

/** Life of a connection: each only goes to a later one. */
export const open = 0
/** `close` was called, output is still on its way out. */
export const closing = 1
/** The carrier was told to end or abort. */
export const ending = 2
export const closed = 3

/** `sinceMs` of a deadline that begins at the next scan. */
export const fromNextScan = -1

let nextId = 1

export interface PeerAddress {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
}

export class StreamConnection implements Connection {
  buffer: Buffer = noSlab
  length = 0
  /** `buffer.length`; 0 while no slab is held. */
  capacity = 0
  saturated = false
  dirty = false
  state: 0 | 1 | 2 | 3 = open
  /** Something was received since the last scan. */
  heard = false
  isEstablished = false
  private aborted = false
  pauseBits = 0
  /** Of a message that is not complete, as its handler was told. */
  unfinishedBytes = 0
  idleTimeoutMs = 0
  sinceMs: number = fromNextScan
  readonly id: number
  readonly transport: TransportKind
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  readonly peerCertificate: PeerCertificate | undefined
  /** Set by whoever accepts, before anything can be received. */
  handler!: ConnectionHandler
  /** The carrier's write callback, made when first needed. */
  sentCallback: ((error?: Error | null) => void) | undefined = undefined
  private closeReason: CloseReason | undefined = undefined
  private sending: Waiting | undefined = undefined
  private queue: Array<Waiting> | undefined = undefined
  /** What is in `queue` waits for a turn among large messages; nothing is with the carrier. */
  private deferred = false
  /** In `sending` and `queue`. */
  private waitingBytes = 0
  /**
   * What `writeRange` has copied ahead: from `length` on, up to where `aheadSource` ends to be copied (`aheadEnd`), the byte at
   * i of `buffer` is the one at i + `aheadShift` of `aheadSource`. Nothing but `writeRange` writes behind `length`; whatever
   * takes `length` back or changes the buffer forgets the source.
   */
  private aheadSource: Buffer | undefined = undefined
  private aheadShift = 0
  /** Where in the source the ranges began that follow one another. */
  private aheadStart = 0
  private aheadEnd = 0

  constructor(
    readonly carrier: Carrier,
    /** What the carrier works on. */
    readonly socket: unknown,
    readonly home: ConnectionHome,
    peer: PeerAddress,
    peerCertificate: PeerCertificate | undefined
  ) {
    this.id = nextId++
    this.transport = home.kind
    this.remoteAddress = peer.remoteAddress
    this.remotePort = peer.remotePort
    this.localPort = peer.localPort
    this.peerCertificate = peerCertificate
  }

  reserve(size: number): void {
    if (this.length + size > this.capacity) this.makeRoom(size)
  }

  write(bytes: Uint8Array): void {
    const size = bytes.length
    if (this.length + size > this.capacity) this.makeRoom(size)
    this.length = copyBytes(this.buffer, this.length, bytes, 0, size)
  }

  writeRange(source: Buffer, start: number, end: number): number {
    const size = end - start
    if (this.length + size > this.capacity) this.makeRoom(size)
    const at = this.length
    if (source !== this.aheadSource || start - at !== this.aheadShift) {
      this.aheadSource = source
      this.aheadShift = start - at
      this.aheadStart = start
      this.aheadEnd = start
    }
    if (end > this.aheadEnd) this.copyAhead(source, start, end)
    this.length = at + size
    return at
  }

  /** Copies a range, and behind it as much as has followed on before it: the copies of a long run double in size. */
  private copyAhead(source: Buffer, start: number, end: number): void {
    const { buffer, aheadShift } = this
    const from = Math.max(start, this.aheadEnd)
    const until = Math.min(end + start - this.aheadStart, source.length, buffer.length + aheadShift)
    copyBytes(buffer, from - aheadShift, source, from, until)
    this.aheadEnd = until
  }

  writeShared(bytes: Buffer): void {
    if (bytes.length < sharedBytesMin) {
      this.write(bytes)
      return
    }
    if (this.state !== open) return
    const { large } = this.home.flush
    if (this.sending === undefined && !this.deferred && !large.allows(bytes.length)) {
      this.deferred = true
      large.defer(this)
    }
    this.handOver()
    if (this.state !== open) return
    this.dropSlab()
    this.sendOrWait(noSlab, bytes)
  }

  /** Called when it is its turn among large messages. */
  writeLarge(): number {
    if (!this.deferred || this.state !== open) return 0
    const waitedBytes = this.waitingBytes
    this.deferred = false
    this.giveQueue()
    this.flushGathered()
    this.noteDrained()
    return waitedBytes
  }

  flush(): void {
    this.flushGathered()
  }

  bufferedBytes(): number {
    return this.state === open ? this.waitingBytes + this.length : this.waitingBytes
  }

  established(): void {
    if (this.isEstablished) return
    this.isEstablished = true
    this.sinceMs = fromNextScan
  }

  setIdleTimeout(timeoutMs: number): void {
    this.idleTimeoutMs = timeoutMs
    this.heard = true
  }

  pause(reason: number): void {
    if (this.pauseBits === 0 && this.state === open) this.carrier.pauseReading(this)
    this.pauseBits |= reason
  }

  resume(reason: number): void {
    if (this.pauseBits === 0) return
    this.pauseBits &= ~reason
    if (this.pauseBits !== 0 || this.state !== open) return
    this.heard = true
    this.carrier.resumeReading(this)
  }

  close(reason: CloseReason): void {
    if (this.state !== open) return
    if (this.deferred) {
      this.deferred = false
      this.giveQueue()
    }
    this.handOver()
    // Handing over may have found that the peer is too slow, and ended the connection.
    if (this.state !== open) return
    if (this.length > 0) this.queueGathered()
    this.closeReason = reason
    this.state = closing
    this.sinceMs = fromNextScan
    this.dropSlab()
    this.useScrap(0)
    // What still arrives is dropped, but the peer's end must be seen.
    if (this.pauseBits !== 0) this.carrier.resumeReading(this)
    if (this.sending === undefined) this.endCarrier()
  }

  destroy(reason: CloseReason): void {
    if (this.aborted || this.state === closed) return
    this.aborted = true
    this.closeReason ??= reason
    this.state = ending
    this.dropSlab()
    this.useScrap(0)
    this.carrier.abort(this)
  }

  /** The reason that was given to `close` or `destroy`, for carriers that tell their peer. */
  reasonGiven(): CloseReason {
    return this.closeReason ?? "closed-by-broker"
  }

  /** Called by the carrier with each chunk. */
  onReceived(chunk: Buffer): void {
    this.heard = true
    this.home.receivedBytes.value += chunk.length
    if (this.state !== open) return
    const { flush } = this.home
    const { deferrals } = flush.large
    flush.beginChunk()
    try {
      this.handler.onData(chunk)
    } catch (error) {
      this.home.onHandlerFault(error, this)
      this.destroy("handler-fault")
    }
    flush.endChunk()
    if (flush.large.deferrals !== deferrals && this.state === open) flush.large.holdBack(this)
  }

  /** Called by the carrier when the buffer it holds is free again. */
  onSent(): void {
    const sent = this.sending
    if (sent === undefined || this.state === closed) return
    this.sending = undefined
    this.waitingBytes -= sent.bytes.length
    releaseSlab(sent.slab)
    this.giveQueue()
    if (this.state !== open) {
      if (this.state === closing && this.sending === undefined) this.endCarrier()
      return
    }
    if (this.sending === undefined) this.flushGathered()
    this.noteDrained()
  }

  /** Gives the carrier what waits, until it keeps something. */
  private giveQueue(): void {
    const queue = this.queue
    while (queue !== undefined && queue.length > 0) {
      const next = queue.shift() as Waiting
      if (!this.give(next.bytes)) {
        this.sending = next
        break
      }
      this.waitingBytes -= next.bytes.length
      releaseSlab(next.slab)
    }
  }

  private noteDrained(): void {
    if (this.saturated && this.waitingBytes + this.length <= this.home.lowWaterMarkBytes) {
      this.saturated = false
      this.handler.onDrain()
    }
  }

  /** Called by the carrier when it has noticed an error or the peer's end; the first reason that is known counts. */
  onFailed(reason: CloseReason): void {
    this.closeReason ??= reason
  }

  /** Called by the carrier, once, when nothing is left. */
  onClosed(): void {
    if (this.state === closed) return
    this.state = closed
    // A slab that the carrier may still look at is left to the collector.
    this.sending = undefined
    this.queue = undefined
    this.waitingBytes = 0
    this.dropSlab()
    this.useScrap(0)
    const reason = this.closeReason ?? "peer-closed"
    try {
      this.handler.onClose(reason)
    } finally {
      this.home.onConnectionClosed(this, reason)
    }
  }

  flushGathered(): void {
    if (this.state !== open) return
    if (this.length > 0 && this.sending === undefined && !this.deferred) this.handOver()
    if (this.length === 0) this.dropSlab()
    this.noteSaturation()
  }

  /** The slow path of `reserve`. */
  private makeRoom(size: number): void {
    if (this.state !== open) {
      this.useScrap(size)
      return
    }
    const wanted = this.length + size
    if (this.capacity === smallSlabBytes && wanted <= largeSlabBytes) {
      const large = takeLargeSlab()
      this.buffer.copy(large, 0, 0, this.length)
      releaseSlab(this.buffer)
      this.buffer = large
      this.capacity = largeSlabBytes
      this.aheadSource = undefined
      return
    }
    const wasFull = this.length > 0
    if (wasFull) {
      this.handOver()
      if (this.length > 0) this.queueGathered()
      // Handing over may have found that the peer is too slow, and ended the connection.
      if (this.state !== open) {
        this.useScrap(size)
        return
      }
      this.noteSaturation()
      if (size <= this.capacity) return
    }
    this.dropSlab()
    this.buffer =
      size > largeSlabBytes ? Buffer.allocUnsafeSlow(size) : wasFull || size > smallSlabBytes ? takeLargeSlab() : takeSmallSlab()
    this.capacity = this.buffer.length
    if (!this.dirty) this.home.flush.mark(this)
  }

  /** Gives what has gathered to the carrier if that is free; if it takes it at once, the slab is kept and empty. */
  private handOver(): void {
    if (this.length === 0) return
    if (this.sending !== undefined || this.deferred) {
      this.queueGathered()
      return
    }
    const { buffer, length } = this
    const bytes = length === buffer.length ? buffer : buffer.subarray(0, length)
    if (this.give(bytes)) {
      this.length = 0
      this.aheadSource = undefined
      return
    }
    this.sending = { slab: buffer, bytes }
    this.waitingBytes += length
    this.forgetSlab()
  }

  private queueGathered(): void {
    const { buffer, length } = this
    this.forgetSlab()
    this.sendOrWait(buffer, buffer.subarray(0, length))
  }

  private sendOrWait(slab: Buffer, bytes: Buffer): void {
    const waiting: Waiting = { slab, bytes }
    if (this.sending === undefined && !this.deferred) {
      if (this.give(bytes)) {
        releaseSlab(slab)
        return
      }
      this.sending = waiting
      this.waitingBytes += bytes.length
      this.noteSaturation()
      return
    }
    this.waitingBytes += bytes.length
    this.queue ??= []
    this.queue.push(waiting)
    this.noteSaturation()
    if (this.waitingBytes > this.home.outputBytesMax) this.destroy("output-overflow")
  }

  private give(bytes: Buffer): boolean {
    this.home.sentBytes.value += bytes.length
    return this.carrier.send(this, bytes)
  }

  private noteSaturation(): void {
    if (!this.saturated && this.waitingBytes + this.length > this.home.highWaterMarkBytes) this.saturated = true
  }

  private endCarrier(): void {
    this.state = ending
    this.carrier.end(this)
  }

  private dropSlab(): void {
    if (this.capacity > 0) releaseSlab(this.buffer)
    this.forgetSlab()
  }

  private forgetSlab(): void {
    this.buffer = noSlab
    this.capacity = 0
    this.length = 0
    this.aheadSource = undefined
  }

  /** Lets writers to a closed connection write on, into nothing. */
  private useScrap(size: number): void {
    this.buffer = size > largeSlabBytes ? Buffer.allocUnsafeSlow(size) : scrapSlab
    this.capacity = 0
    this.length = 0
    this.aheadSource = undefined
  }
}
