/**
 * The entries applied last, with the chain's hash at each: from here followers are fed and hashes are compared. Bounded in number
 * and in bytes; who needs older ones loads a snapshot.
 */
import { type ChainPoint, chainStart } from "./EntryChain.js"

export interface AppliedEntry {
  readonly index: number
  readonly data: Uint8Array
  /** Of the chain up to this entry. */
  readonly hash: Uint8Array
}

export interface RecentEntriesLimits {
  readonly entriesMax: number
  readonly bytesMax: number
}

export const recentEntriesLimits: RecentEntriesLimits = { entriesMax: 65_536, bytesMax: 16 * 1024 * 1024 }

export class RecentEntries {
  private entries: Array<AppliedEntry> = []
  /** Of the first kept one in `entries`; what is before it is gone and is cut off now and then. */
  private first = 0
  private bytes = 0

  constructor(
    /** The point behind which the kept entries begin. */
    private floorPoint: ChainPoint = chainStart,
    private readonly limits: RecentEntriesLimits = recentEntriesLimits
  ) {}

  get floor(): ChainPoint {
    return this.floorPoint
  }

  push(entry: AppliedEntry): void {
    this.entries.push(entry)
    this.bytes += entry.data.length
    while (this.entries.length - this.first > this.limits.entriesMax || this.bytes > this.limits.bytesMax) this.forgetFirst()
    if (this.first > 1024 && this.first > this.entries.length / 2) {
      this.entries = this.entries.slice(this.first)
      this.first = 0
    }
  }

  /** The chain's hash at exactly this index; undefined where it is not known, or where no entry of the chain has it. */
  hashAt(index: number): Uint8Array | undefined {
    if (index === this.floorPoint.index) return this.floorPoint.hash
    const entry = this.entries[this.positionBehind(index - 1)]
    return entry?.index === index ? entry.hash : undefined
  }

  /** Entries behind `index`, at most so many bytes but at least one; undefined where some of them are gone. */
  behind(index: number, bytesMax: number): ReadonlyArray<AppliedEntry> | undefined {
    if (index < this.floorPoint.index) return undefined
    const found: Array<AppliedEntry> = []
    let bytes = 0
    for (let at = this.positionBehind(index); at < this.entries.length; at++) {
      const entry = this.entries[at] as AppliedEntry
      bytes += entry.data.length
      if (found.length > 0 && bytes > bytesMax) break
      found.push(entry)
    }
    return found
  }

  /** Of the first entry whose index is greater, by halving. */
  private positionBehind(index: number): number {
    let low = this.first
    let high = this.entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.entries[middle] as AppliedEntry).index > index) high = middle
      else low = middle + 1
    }
    return low
  }

  private forgetFirst(): void {
    const entry = this.entries[this.first++] as AppliedEntry
    this.bytes -= entry.data.length
    this.floorPoint = { index: entry.index, hash: entry.hash }
  }
}
