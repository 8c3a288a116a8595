/**
 * The log of one member as its store was told, seen from outside: what was handed to the store, and what the store said is durable.
 */
import type { RaftWrite, StoredRaft } from "@effectmq/raft/RaftStore"
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { sayMembership } from "./Majorities.js"

/** What an entry is, for comparing: equal entries give equal digests. */
export interface Seen {
  readonly index: number
  readonly term: number
  readonly digest: string
  readonly kind: Entry["kind"]
  readonly membership: Membership | undefined
}

/** A membership and where in the log it is. */
export interface PlacedMembership {
  readonly index: number
  readonly membership: Membership
}

const fnv = (bytes: Uint8Array): string => {
  let hash = 0x811c9dc5
  for (let index = 0; index < bytes.length; index++) hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193)
  return `${(hash >>> 0).toString(16)}/${bytes.length}`
}

const digestOf = (entry: Entry): string => {
  switch (entry.kind) {
    case "noop":
      return "noop"
    case "command":
      return fnv(entry.data)
    case "membership":
      return sayMembership(entry.membership)
  }
}

export const seenOf = (entry: Entry): Seen => ({
  index: entry.index,
  term: entry.term,
  kind: entry.kind,
  digest: digestOf(entry),
  membership: entry.kind === "membership" ? entry.membership : undefined
})

export class LogView {
  term = 0
  votedFor = 0
  lastIndex = 0
  lastTerm = 0
  /** Everything up to here is in the snapshot. */
  snapshotIndex = 0
  snapshotTerm = 0
  readonly entries = new Map<number, Seen>()
  /** Those of the log and that of the snapshot, by rising index. */
  private memberships: Array<PlacedMembership> = []

  /** As a store says when it is opened. */
  static of({ hardState, snapshot, entries }: Omit<StoredRaft, "storeId">): LogView {
    const view = new LogView()
    // Entries may begin before the snapshot, whose membership holds then.
    view.write({ hardState, entries })
    if (snapshot !== undefined) view.snapshotTaken(snapshot, "keep")
    return view
  }

  write({ hardState, entries = [] }: RaftWrite): void {
    if (hardState !== undefined) {
      this.term = hardState.term
      this.votedFor = hardState.votedFor
    }
    const first = entries[0]
    if (first === undefined) return
    for (let index = first.index; index <= this.lastIndex; index++) this.entries.delete(index)
    this.memberships = this.memberships.filter(({ index }) => index < first.index)
    for (const entry of entries) {
      this.entries.set(entry.index, seenOf(entry))
      if (entry.kind === "membership") this.memberships.push(entry)
    }
    const last = entries[entries.length - 1] as Entry
    this.lastIndex = last.index
    this.lastTerm = last.term
  }

  snapshotTaken({ index, term, membership }: SnapshotMeta, log: "keep" | "discard"): void {
    this.snapshotIndex = index
    this.snapshotTerm = term
    if (log === "discard") this.entries.clear()
    const behind = this.memberships.filter((one) => log === "keep" && one.index > index)
    this.memberships = [{ index, membership }, ...behind]
    if (log === "discard" || this.lastIndex < index) {
      this.lastIndex = index
      this.lastTerm = term
    }
  }

  /** undefined where the log does not say. */
  termAt(index: number): number | undefined {
    if (index === 0) return 0
    return this.entries.get(index)?.term ?? (index === this.snapshotIndex ? this.snapshotTerm : undefined)
  }

  /** Whether an entry is in the log, or was and is in the snapshot. */
  holds(index: number, term: number): boolean {
    return index <= this.snapshotIndex || this.entries.get(index)?.term === term
  }

  /** The newest membership; undefined where there is none yet. */
  get membership(): Membership | undefined {
    return this.memberships.at(-1)?.membership
  }

  /** The newest one at an index below. */
  membershipBefore(index: number): PlacedMembership | undefined {
    return this.memberships.findLast((one) => one.index < index)
  }

  membershipsBehind(index: number): ReadonlyArray<PlacedMembership> {
    return this.memberships.filter((one) => one.index > index)
  }
}
