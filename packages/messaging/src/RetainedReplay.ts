/**
 * What a filter matched of the retained messages when it was asked for, in the order of their offsets: so one number says how far
 * it has come, and a restart can go on there.
 *
 * The index of topics knows no such order. It is gone through once for so many of the lowest offsets that are left: once in all
 * where no more match, and about once for every 65,536 matches where more do.
 *
 * Invariants
 * - Every message of `position` to `until` that the filter matches, and that nothing has replaced since, is given once.
 * - What has no offset (`$SYS/`, and what could not be stored) is given while the index is gone through for the first time.
 */
import { LowestOffsets } from "./core/LowestOffsets.js"
import type { TopicCursor } from "./core/TopicIndex.js"
import type { RetainedCursor, RetainedEntry } from "./Retained.js"

export const windowMax = 65_536

export interface RetainedRange {
  /** Next offset to give. */
  readonly position: number
  /** One past the last. */
  readonly until: number
}

/** Of the retained messages. */
export interface RetainedLookup {
  find(): TopicCursor<RetainedEntry>
  /** Whether it is still its topic's message, and has not expired. */
  isCurrent(entry: RetainedEntry): boolean
}

export class RetainedReplay implements RetainedCursor {
  position: number
  readonly until: number
  private scan: TopicCursor<RetainedEntry> | undefined
  private window: LowestOffsets<RetainedEntry>
  private isFirst = true
  private isSorted = false

  constructor(
    private readonly lookup: RetainedLookup,
    range: RetainedRange,
    /** Of the newest message there was. */
    private readonly sequenceMax: number,
    private readonly countMax = windowMax
  ) {
    this.position = range.position
    this.until = range.until
    this.window = new LowestOffsets(countMax)
    this.scan = lookup.find()
  }

  get done(): boolean {
    return this.scan === undefined && this.isSorted && this.window.size === 0 && !this.window.isFull
  }

  next(stepsMax: number): RetainedEntry | undefined {
    if (this.scan !== undefined) return this.look(this.scan, stepsMax)
    if (!this.isSorted) {
      this.isSorted = this.window.sort(stepsMax)
      return undefined
    }
    for (let steps = 0; steps < stepsMax; steps++) {
      const found = this.window.take()
      if (found === undefined) {
        if (this.window.isFull) this.lookAgain()
        return undefined
      }
      this.position = found.offset + 1
      if (this.lookup.isCurrent(found.entry)) return found.entry
    }
    return undefined
  }

  private look(scan: TopicCursor<RetainedEntry>, stepsMax: number): RetainedEntry | undefined {
    const entry = scan.next(stepsMax)
    if (scan.done) this.scan = undefined
    if (entry === undefined || entry.sequence > this.sequenceMax) return undefined
    if (entry.offset >= this.position && entry.offset < this.until) {
      this.window.add(entry.offset, entry)
      return undefined
    }
    return entry.offset < 0 && this.isFirst && this.lookup.isCurrent(entry) ? entry : undefined
  }

  private lookAgain(): void {
    this.isFirst = false
    this.isSorted = false
    this.window = new LowestOffsets(this.countMax)
    this.scan = this.lookup.find()
  }
}
