/**
 * Which membership is in force where along the log. A membership counts as soon as its entry is in the log, committed or not, and
 * no more when the entry is replaced (Raft dissertation, 4.1).
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"

interface Point {
  /** Of the entry, or of the snapshot that holds it. */
  readonly index: number
  readonly membership: Membership
}

export class MembershipHistory {
  /** By rising index, at least one. */
  private points: Array<Point>

  constructor(index: number, membership: Membership) {
    this.points = [{ index, membership }]
  }

  private get newest(): Point {
    return this.points[this.points.length - 1] as Point
  }

  /** In force now. */
  get current(): Membership {
    return this.newest.membership
  }

  get currentIndex(): number {
    return this.newest.index
  }

  at(index: number): Membership {
    return (this.points.findLast((point) => point.index <= index) ?? (this.points[0] as Point)).membership
  }

  /** The one in force at `index` and all that came after it: whoever is in one of them may still matter. */
  since(index: number): ReadonlyArray<Membership> {
    const start = this.points.findLastIndex((point) => point.index <= index)
    return this.points.slice(Math.max(0, start)).map((point) => point.membership)
  }

  appended(entry: Entry): void {
    if (entry.kind === "membership") this.points.push({ index: entry.index, membership: entry.membership })
  }

  truncatedFrom(index: number): void {
    while (this.points.length > 1 && this.newest.index >= index) this.points.pop()
  }

  /** Nobody asks for what was in force before `index` any more. */
  forgetBefore(index: number): void {
    const start = this.points.findLastIndex((point) => point.index <= index)
    if (start > 0) this.points = this.points.slice(start)
  }

  reset(index: number, membership: Membership): void {
    this.points = [{ index, membership }]
  }
}
