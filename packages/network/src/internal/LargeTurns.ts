/**
 * Shares the process between large messages on their way to many readers and everything else: in one turn of the event loop so
 * many bytes of them are written and no more. Who comes later waits for a turn, in order; between turns others are served.
 *
 * A connection whose chunk has made others wait is not read from until nobody waits any more: one that publishes faster than
 * its readers can be written to is slowed, and what waits does not grow.
 */
export interface LargeWriter {
  /** Its turn has come: writes what waits, and gives how many bytes that were. */
  writeLarge(): number
}

export interface HeldBack {
  pause(reason: number): void
  resume(reason: number): void
}

/** Bytes of large messages that are written in one turn. */
export const largeBytesPerTurn = 8 * 1024 * 1024

/** The reason to pause a connection that has made others wait; protocols have the lower bits. */
export const heldBack = 1 << 16

export class LargeTurns {
  /** How many writers have begun to wait, since start. */
  deferrals = 0
  private spent = 0
  private scheduled = false
  private waiting: Array<LargeWriter> = []
  private head = 0
  private held: Array<HeldBack> = []

  constructor(
    private readonly schedule: (run: () => void) => void,
    private readonly bytesPerTurn: number = largeBytesPerTurn
  ) {}

  /** Whether so many bytes may be written in this turn. The first of a turn always may, whatever its size. */
  allows(bytes: number): boolean {
    if (this.waiting.length > 0 || (this.spent > 0 && this.spent + bytes > this.bytesPerTurn)) return false
    this.spent += bytes
    this.next()
    return true
  }

  /** Gives the writer a turn later; it is not called twice for one `defer`. */
  defer(writer: LargeWriter): void {
    this.deferrals++
    this.waiting.push(writer)
    this.next()
  }

  /** Reads nothing from the connection until nobody waits any more. */
  holdBack(connection: HeldBack): void {
    connection.pause(heldBack)
    this.held.push(connection)
  }

  private next(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.schedule(this.turn)
  }

  private readonly turn = (): void => {
    this.scheduled = false
    this.spent = 0
    const { waiting } = this
    while (this.head < waiting.length && this.spent < this.bytesPerTurn) {
      this.spent += (waiting[this.head++] as LargeWriter).writeLarge()
    }
    this.spent = 0
    if (this.head < waiting.length) {
      this.next()
      return
    }
    this.waiting = []
    this.head = 0
    const { held } = this
    this.held = []
    for (const connection of held) connection.resume(heldBack)
  }
}
