/**
 * Writes every connection that has gathered output, once per tick: after all sockets that were readable have been handled.
 *
 * `setImmediate` runs right behind the poll phase that called the handlers, so a message waits for the rest of its batch and
 * not longer. When very many connections are dirty they are written at once, which bounds the slabs in use.
 *
 * While ticks bring only a chunk or two there is no batch to wait for: what a chunk has caused is written as soon as it has been
 * handled. After some chunks one tick is done the other way again, to see how many chunks a tick brings by now.
 */
import { LargeTurns } from "./LargeTurns.js"

export interface Flushable {
  /** In the list of this tick. */
  dirty: boolean
  flushGathered(): void
}

const dirtyMax = 1024
/** A tick of no more chunks is a quiet one. */
const quietChunksMax = 2
/** How many chunks are answered at once after a quiet tick. */
const atOnceChunks = 64

export class TickFlush {
  private dirty: Array<Flushable> = []
  private spare: Array<Flushable> = []
  private scheduled = false
  /** Chunks since the last end of a tick, but for those that were answered at once. */
  private chunks = 0
  /** Chunks that are still to be answered at once. */
  private atOnce = 0
  private inChunk = false
  private readonly run = (): void => {
    this.scheduled = false
    if (this.chunks > 0 && this.chunks <= quietChunksMax) this.atOnce = atOnceChunks
    this.chunks = 0
    this.flushAll()
  }

  /** Of the connections that this flushes. */
  readonly large: LargeTurns

  /**
   * @param schedule runs a function at the end of the tick; the memory network has its own
   * @param largeBytes bytes of large messages in one turn
   */
  constructor(
    private readonly schedule: (run: () => void) => void,
    largeBytes?: number
  ) {
    this.large = new LargeTurns(schedule, largeBytes)
  }

  /** Called while the connection's output is being written: this never flushes the connection itself. */
  mark(connection: Flushable): void {
    if (this.dirty.length >= dirtyMax) this.flushAll()
    connection.dirty = true
    this.dirty.push(connection)
    if (this.scheduled || (this.inChunk && this.atOnce > 0)) return
    this.scheduled = true
    this.schedule(this.run)
  }

  /** A received chunk is handled between these two. */
  beginChunk(): void {
    this.inChunk = true
  }

  endChunk(): void {
    this.inChunk = false
    if (this.atOnce === 0) {
      this.chunks++
    } else {
      this.atOnce--
      this.flushAll()
    }
  }

  /** Runs something after the current turn, in the order of the flushes. */
  later(run: () => void): void {
    this.schedule(run)
  }

  flushAll(): void {
    const batch = this.dirty
    this.dirty = this.spare
    for (let i = 0; i < batch.length; i++) {
      const connection = batch[i] as Flushable
      connection.dirty = false
      connection.flushGathered()
    }
    batch.length = 0
    this.spare = batch
  }
}

/** The one of all sockets of the process. */
export const socketFlush = new TickFlush((run) => {
  setImmediate(run)
})
