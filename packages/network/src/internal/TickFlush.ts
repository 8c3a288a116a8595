/**
 * Writes every connection that has gathered output, once per tick: after all sockets that were readable have been handled.
 *
 * `setImmediate` runs right behind the poll phase that called the handlers, so a message waits for the rest of its batch and
 * not longer. When very many connections are dirty they are written at once, which bounds the slabs in use.
 */
export interface Flushable {
  /** In the list of this tick. */
  dirty: boolean
  flushGathered(): void
}

const dirtyMax = 1024

export class TickFlush {
  private dirty: Array<Flushable> = []
  private spare: Array<Flushable> = []
  private readonly run = (): void => this.flushAll()

  /** @param schedule runs a function at the end of the tick; the memory network has its own */
  constructor(private readonly schedule: (run: () => void) => void) {}

  /** Called while the connection's output is being written: this never flushes the connection itself. */
  mark(connection: Flushable): void {
    if (this.dirty.length >= dirtyMax) this.flushAll()
    connection.dirty = true
    if (this.dirty.push(connection) === 1) this.schedule(this.run)
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
