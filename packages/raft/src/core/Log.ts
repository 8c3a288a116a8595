/**
 * The log of a member, in memory back to the point it was compacted to.
 *
 * Invariants (Raft paper, 5.3)
 * - Indexes are dense, terms never fall.
 * - compactIndex <= appliedIndex <= commitIndex <= lastIndex, stableIndex <= lastIndex.
 * - Nothing at or below `commitIndex` is ever replaced.
 * - Of what was compacted only the term of the last entry is known.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import { violated } from "./RaftViolation.js"

/** What an entry counts towards limits: its data and about what its place costs in memory. */
const entryOverheadBytes = 48
const memberBytes = 64

export const entryBytes = (entry: Entry): number => {
  if (entry.kind === "command") return entryOverheadBytes + entry.data.length
  return entry.kind === "membership" ? entryOverheadBytes + memberBytes * entry.membership.members.length : entryOverheadBytes
}

export class Log {
  private entries: Array<Entry>
  compactIndex: number
  private compactTerm: number
  /** Up to here all is durable on this member. */
  stableIndex: number
  commitIndex: number
  /** Up to here entries were given out and applied. */
  appliedIndex: number

  /** `entries` follow `compactIndex` without a gap, all of them durable. */
  constructor(compactIndex: number, compactTerm: number, entries: ReadonlyArray<Entry>) {
    this.compactIndex = compactIndex
    this.compactTerm = compactTerm
    this.entries = [...entries]
    this.stableIndex = this.lastIndex
    this.commitIndex = compactIndex
    this.appliedIndex = compactIndex
    let term = compactTerm
    for (const [at, entry] of entries.entries()) {
      if (entry.index !== compactIndex + 1 + at || entry.term < term)
        violated(`the stored log is not whole at entry ${entry.index}`)
      term = entry.term
    }
  }

  get firstIndex(): number {
    return this.compactIndex + 1
  }

  get lastIndex(): number {
    return this.compactIndex + this.entries.length
  }

  get lastTerm(): number {
    return this.entries.length === 0 ? this.compactTerm : (this.entries[this.entries.length - 1] as Entry).term
  }

  /** -1 where it is not known: compacted, or not there yet. */
  termAt(index: number): number {
    if (index === this.compactIndex) return this.compactTerm
    const entry = this.entries[index - this.compactIndex - 1]
    return entry === undefined ? -1 : entry.term
  }

  entryAt(index: number): Entry | undefined {
    return this.entries[index - this.compactIndex - 1]
  }

  /** `from` to `to`, both included; all of them must be here. */
  between(from: number, to: number): Array<Entry> {
    return this.entries.slice(from - this.compactIndex - 1, to - this.compactIndex)
  }

  /** The last index such that `from` to it are at most `bytesMax`, at least `from`; not beyond `to`. */
  endOf(from: number, to: number, bytesMax: number): number {
    let bytes = 0
    let end = from - 1
    while (end < to) {
      bytes += entryBytes(this.entries[end - this.compactIndex] as Entry)
      if (bytes > bytesMax && end >= from) break
      end++
    }
    return end
  }

  bytesBetween(from: number, to: number): number {
    let bytes = 0
    for (let index = from; index <= to; index++) bytes += entryBytes(this.entries[index - this.compactIndex - 1] as Entry)
    return bytes
  }

  /** The index behind which no more than `entriesMax` entries and `bytesMax` bytes lie up to `index`. */
  tailBefore(index: number, entriesMax: number, bytesMax: number): number {
    let at = index
    let bytes = 0
    while (at > this.compactIndex && index - at < entriesMax) {
      bytes += entryBytes(this.entries[at - this.compactIndex - 1] as Entry)
      if (bytes > bytesMax) break
      at--
    }
    return at
  }

  /** Whether the other's log is at least as new as this one: what a voter demands (paper, 5.4.1). */
  isReachedBy(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /**
   * The last index up to `index` whose term is at most `term`: where two logs may still be the same when one of them has `term` at
   * `index` and the other has not. Not below `compactIndex`.
   */
  lastWithTermUpTo(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex)
    while (at > this.compactIndex && this.termAt(at) > term) at--
    return at
  }

  append(entry: Entry): void {
    this.entries.push(entry)
  }

  /** Forgets entries from `index` on, which must not be committed. */
  truncateFrom(index: number): void {
    if (index <= this.commitIndex) violated(`entry ${index} is to be replaced and is committed (up to ${this.commitIndex})`)
    this.entries.length = index - this.compactIndex - 1
    this.stableIndex = Math.min(this.stableIndex, index - 1)
  }

  /** Forgets entries up to and including `index`, which must be applied. */
  compact(index: number): void {
    if (index <= this.compactIndex) return
    if (index > this.appliedIndex) violated(`entry ${index} is to be compacted and is not applied (up to ${this.appliedIndex})`)
    const term = this.termAt(index)
    this.entries = this.entries.slice(index - this.compactIndex)
    this.compactIndex = index
    this.compactTerm = term
  }

  /** A snapshot takes the place of everything. */
  reset(index: number, term: number): void {
    this.entries = []
    this.compactIndex = index
    this.compactTerm = term
    this.stableIndex = index
    this.commitIndex = index
    this.appliedIndex = index
  }
}
