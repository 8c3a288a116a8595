/**
 * What one packet may be made of, and how much memory all unfinished packets may take together: shared by all parsers of a server.
 *
 * Counted is the buffer of each packet that came in pieces, once it is larger than `uncountedMax`: so much is every connection's
 * own, and a small packet gets through however many large ones others leave unfinished.
 */
export class PacketLimits {
  /** Taken by unfinished packets now. */
  unfinishedBytes = 0
  /** Packets that would have taken more than there is. */
  unfinishedRefused = 0

  constructor(
    /** User properties of one packet; those of a will count apart. */
    public userPropertiesMax: number,
    public unfinishedBytesMax: number,
    /** Filters of one SUBSCRIBE or UNSUBSCRIBE. */
    public filtersMax: number
  ) {}

  /** False, with nothing taken, where there is no room. */
  take(bytes: number): boolean {
    if (this.unfinishedBytes + bytes > this.unfinishedBytesMax) {
      this.unfinishedRefused++
      return false
    }
    this.unfinishedBytes += bytes
    return true
  }

  give(bytes: number): void {
    this.unfinishedBytes -= bytes
  }
}

/** The buffer of an unfinished packet up to this size is not counted. */
export const uncountedMax = 4096

export const defaultPacketLimits = { userPropertiesMax: 1024, unfinishedBytesMax: 256 * 1024 * 1024, filtersMax: 10_000 } as const
