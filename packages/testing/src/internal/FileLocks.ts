/**
 * SQLite's locks on a file, as one machine keeps them between the connections that have it open: none, shared, reserved,
 * exclusive.
 */
export const lockLevel = { none: 0, shared: 1, reserved: 2, exclusive: 4 } as const

export class FileLocks {
  private readonly levels = new Map<number, number>()

  /** Raises the lock of a holder; false where another one's is in the way. */
  take(holder: number, level: number): boolean {
    const mine = this.levels.get(holder) ?? lockLevel.none
    if (mine >= level) return true
    for (const [other, theirs] of this.levels) {
      if (other === holder || theirs === lockLevel.none) continue
      if (level >= lockLevel.exclusive || theirs >= lockLevel.exclusive) return false
      if (level >= lockLevel.reserved && theirs >= lockLevel.reserved) return false
    }
    this.levels.set(holder, level)
    return true
  }

  lower(holder: number, level: number): void {
    if (level === lockLevel.none) this.levels.delete(holder)
    else if ((this.levels.get(holder) ?? lockLevel.none) > level) this.levels.set(holder, level)
  }

  isReserved(): boolean {
    for (const level of this.levels.values()) if (level >= lockLevel.reserved) return true
    return false
  }
}
