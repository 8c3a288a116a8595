/**
 * What a leader knows of one follower, and how much it may send it.
 *
 * Invariants
 * - The follower's log is the leader's up to `matchIndex`; `matchIndex < nextIndex`.
 * - probe: one message with entries until an answer or a heartbeat. replicate: messages follow each other unanswered within the
 *   inflight window, `nextIndex` runs ahead. snapshot: chunks one after another, no entries.
 */
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"

/** Messages on their way: the last index and the size of each, oldest first, in a ring. */
class Inflight {
  private readonly lastIndexes: Array<number>
  private readonly sizes: Array<number>
  private start = 0
  count = 0
  bytes = 0

  constructor(
    private readonly messagesMax: number,
    private readonly bytesMax: number
  ) {
    this.lastIndexes = new Array<number>(messagesMax).fill(0)
    this.sizes = new Array<number>(messagesMax).fill(0)
  }

  get isFull(): boolean {
    return this.count >= this.messagesMax || this.bytes >= this.bytesMax
  }

  add(lastIndex: number, bytes: number): void {
    const at = (this.start + this.count) % this.messagesMax
    this.lastIndexes[at] = lastIndex
    this.sizes[at] = bytes
    this.count++
    this.bytes += bytes
  }

  /** All up to `index` arrived. */
  freeTo(index: number): void {
    while (this.count > 0 && (this.lastIndexes[this.start] as number) <= index) {
      this.bytes -= this.sizes[this.start] as number
      this.start = (this.start + 1) % this.messagesMax
      this.count--
    }
  }

  clear(): void {
    this.start = 0
    this.count = 0
    this.bytes = 0
  }
}

/** A snapshot on its way to a follower. */
export interface Sending {
  readonly snapshot: SnapshotMeta
  /** The chunk that the follower needs next. */
  chunk: number
  /** It was not sent yet, or too long ago. */
  due: boolean
  /** Ticks since it was sent. */
  ticks: number
}

export class Progress {
  state: "probe" | "replicate" | "snapshot" = "probe"
  matchIndex = 0
  readonly inflight: Inflight
  /** In probe: a message is on its way. */
  probeSent = false
  sending: Sending | undefined
  /** Whether it answered this leader at all. */
  heardEver = false
  /** Since it answered, or since this leader was elected. */
  silentTicks = 0
  /** The latest round of reads that it confirmed, and that it was sent. */
  readRound = 0
  sentReadRound = 0
  /** The commit index it was told last. */
  sentCommit = 0
  /** `matchIndex` at the last heartbeat: where it stands still with messages on their way, some were lost. */
  matchAtHeartbeat = 0
  /** 0, or the index of the entry that takes it out of the group: it is served until that is committed. */
  leavingIndex = 0

  constructor(
    readonly nodeId: number,
    public nextIndex: number,
    messagesMax: number,
    bytesMax: number
  ) {
    this.inflight = new Inflight(messagesMax, bytesMax)
  }

  heard(): void {
    this.heardEver = true
    this.silentTicks = 0
  }

  becomeProbe(): void {
    this.state = "probe"
    this.nextIndex = this.matchIndex + 1
    this.probeSent = false
    this.sending = undefined
    this.inflight.clear()
  }

  becomeReplicate(): void {
    this.state = "replicate"
    this.nextIndex = this.matchIndex + 1
    this.sending = undefined
    this.inflight.clear()
  }

  becomeSnapshot(snapshot: SnapshotMeta): void {
    this.state = "snapshot"
    this.sending = { snapshot, chunk: 0, due: true, ticks: 0 }
    this.inflight.clear()
  }

  /** Its log is ours up to `index`. */
  accepted(index: number): void {
    if (index > this.matchIndex) this.matchIndex = index
    if (this.nextIndex <= this.matchIndex) this.nextIndex = this.matchIndex + 1
    if (this.state === "probe") this.becomeReplicate()
    else if (this.state === "replicate") this.inflight.freeTo(index)
    else if (this.sending !== undefined && this.matchIndex >= this.sending.snapshot.index) this.becomeProbe()
  }

  /** It does not have `index`; `mayMatch` is the last index where the logs may be the same. Whether that is news. */
  refused(index: number, mayMatch: number): boolean {
    if (index <= this.matchIndex || this.state === "snapshot") return false
    if (this.state === "replicate") {
      this.becomeProbe()
      return true
    }
    if (index !== this.nextIndex - 1) return false
    this.nextIndex = Math.max(Math.min(index, mayMatch + 1), this.matchIndex + 1)
    this.probeSent = false
    return true
  }
}
