/**
 * Which rows hold the entries of a log, where each row's entries replace those at and behind its first: what compaction may drop.
 *
 * Invariant: rows are in the order they were written, and the entries that still count in them are dense.
 */
interface LogRow {
  readonly slot: number
  readonly firstIndex: number
  /** Of the last entry in it that counts. */
  lastIndex: number
}

export class LogRows {
  private rows: Array<LogRow> = []

  constructor(
    /** The first entry that is not forgotten, or would be the first. */
    public firstIndex: number
  ) {}

  get lastIndex(): number {
    return this.rows.at(-1)?.lastIndex ?? this.firstIndex - 1
  }

  /** A row with so many entries was written. */
  append(slot: number, index: number, count: number): void {
    const { rows } = this
    while (rows.length > 0 && (rows.at(-1) as LogRow).firstIndex >= index) rows.pop()
    const last = rows.at(-1)
    if (last !== undefined) last.lastIndex = Math.min(last.lastIndex, index - 1)
    rows.push({ slot, firstIndex: index, lastIndex: index + count - 1 })
  }

  /** Where the row lies that holds the first entry behind `index`; undefined where there is none. */
  slotBehind(index: number): number | undefined {
    return this.rows.find((row) => row.lastIndex > index)?.slot
  }

  /** All entries are forgotten; the next one has this index. */
  discard(nextIndex: number): void {
    this.rows = []
    this.firstIndex = nextIndex
  }

  /** Entries before `firstIndex` are forgotten. */
  forgetBefore(firstIndex: number): void {
    this.firstIndex = firstIndex
    const kept = this.rows.findIndex((row) => row.lastIndex >= firstIndex)
    this.rows.splice(0, kept === -1 ? this.rows.length : kept)
  }
}
