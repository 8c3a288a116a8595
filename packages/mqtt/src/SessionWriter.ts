/**
 * Writes what has changed of persistent sessions into one shard of `__sessions`.
 *
 * What is marked within a tick goes into one batch; while one is being written the next gathers, and always holds the newest
 * state. What waited for it is told when it is durable.
 *
 * Invariants
 * - One round is on its way at a time. What a round could not write is written again, before anything newer.
 * - A gate opens when everything that was marked before it is durable, however often it takes.
 * - A will that is being published is in the shard before the session that it was of is without it.
 */
import type { Time } from "@effectmq/messaging/Time"
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import type { Shard } from "@effectmq/storage/Shard"
import type { StorageError } from "@effectmq/storage/StorageError"
import type { Will } from "./codec/Packets.js"
import type { Gate, Session } from "./core/Session.js"
import {
  encodeHeader,
  encodeProgress,
  encodeSubscription,
  encodeWill,
  headerKey,
  progressKey,
  subscriptionKey
} from "./core/SessionRecords.js"

const batchBytesMax = 1024 * 1024
const retryMs = 1000

interface Marks {
  header: boolean
  progress: boolean
  filters: Set<string> | undefined
  /** Filters whose records go with the session. */
  ended: ReadonlyArray<string> | undefined
}

interface WillWrite {
  readonly will: Will | undefined
  readonly done: (() => void) | undefined
}

interface Put {
  readonly key: string
  readonly value: Buffer
  readonly done: (ok: boolean) => void
}

interface Batch {
  readonly sessions: Array<{ readonly session: Session; readonly marks: Marks; readonly gates: ReadonlyArray<Gate> }>
  readonly wills: ReadonlyMap<string, WillWrite>
  readonly puts: ReadonlyArray<Put>
}

export class SessionWriter {
  private marked = new Map<Session, Marks>()
  private willsByOrigin = new Map<string, WillWrite>()
  private puts: Array<Put> = []
  private waiters: Array<(ok: boolean) => void> = []
  private scheduled = false
  private writing = 0
  private failed = false
  /** A round was refused; the next waits a while. */
  private resting = false
  private readonly builder = new RecordBatchBuilder()

  constructor(
    private readonly shard: Shard,
    private readonly time: Time
  ) {}

  marks(session: Session): Marks {
    let marks = this.marked.get(session)
    if (marks === undefined) {
      marks = { header: false, progress: false, filters: undefined, ended: undefined }
      this.marked.set(session, marks)
    }
    this.schedule()
    return marks
  }

  /** The will is being published, or (undefined) that is over; `done` when that is durable. */
  putWill(origin: string, will: Will | undefined, done: (() => void) | undefined): void {
    this.willsByOrigin.set(origin, { will, done })
    this.schedule()
  }

  put(key: string, value: Buffer, done: (ok: boolean) => void): void {
    this.puts.push({ key, value, done })
    this.schedule()
  }

  /** Called when everything marked until now is durable, or has failed once. */
  whenWritten(callback: (ok: boolean) => void): void {
    if (this.isIdle && this.writing === 0) {
      callback(true)
    } else {
      this.waiters.push(callback)
      this.schedule()
    }
  }

  private get isIdle(): boolean {
    return this.marked.size === 0 && this.willsByOrigin.size === 0 && this.puts.length === 0
  }

  private schedule(): void {
    if (this.scheduled || this.resting || this.writing > 0) return
    this.scheduled = true
    this.time.afterTick(() => this.flush())
  }

  private flush(): void {
    this.scheduled = false
    if (this.writing > 0) return
    const { builder, marked, puts, waiters, willsByOrigin } = this
    const nowMs = this.time.nowMs()
    this.marked = new Map()
    this.willsByOrigin = new Map()
    this.puts = []
    this.waiters = []
    this.failed = false
    // Held up by one until every batch of this round has been handed in.
    this.writing = 1
    const finish = () => {
      if (--this.writing > 0) return
      for (const waiter of waiters) waiter(!this.failed)
      if (!this.isIdle || this.waiters.length > 0) this.schedule()
    }
    let batch: Batch = { sessions: [], wills: willsByOrigin, puts: [] }
    for (const [origin, { will }] of willsByOrigin) builder.append(nowMs, origin, will && encodeWill(will))
    for (const [session, marks] of marked) {
      batch.sessions.push({ session, marks, gates: session.takeGates() })
      this.encode(session, marks, nowMs)
      if (builder.sizeBytes >= batchBytesMax) {
        this.append(batch, finish)
        batch = { sessions: [], wills: new Map(), puts: [] }
      }
    }
    for (const { key, value } of puts) builder.append(nowMs, key, value)
    this.append({ ...batch, puts }, finish)
    finish()
  }

  private encode(session: Session, marks: Marks, nowMs: number): void {
    const { builder } = this
    const { clientId } = session
    if (marks.ended !== undefined) {
      builder.append(nowMs, headerKey(clientId), undefined)
      builder.append(nowMs, progressKey(clientId), undefined)
      for (const filter of marks.ended) builder.append(nowMs, subscriptionKey(clientId, filter), undefined)
      return
    }
    if (marks.header) builder.append(nowMs, headerKey(clientId), encodeHeader(session.header()))
    for (const filter of marks.filters ?? []) {
      const stored = session.storedSubscription(filter)
      builder.append(nowMs, subscriptionKey(clientId, filter), stored && encodeSubscription(stored))
    }
    // A new subscription may have made the feed: where it begins must be known.
    if (marks.progress || marks.filters !== undefined)
      builder.append(nowMs, progressKey(clientId), encodeProgress(session.progress()))
  }

  private append(batch: Batch, finish: () => void): void {
    if (this.builder.count === 0) {
      this.written(batch)
      return
    }
    this.writing++
    this.shard.append(this.builder.finish(), (error) => {
      if (error === undefined) this.written(batch)
      else this.refused(batch, error)
      for (const { done } of batch.puts) done(error === undefined)
      finish()
    })
  }

  private written({ sessions, wills }: Batch): void {
    for (const { session, gates } of sessions) session.openGates(gates)
    for (const { done } of wills.values()) done?.()
  }

  /** Clients that wait for the write are told, others go on; the state is written again as soon as that works. */
  private refused({ sessions, wills }: Batch, error: StorageError): void {
    this.failed = true
    const marked = new Map<Session, Marks>()
    // The older first: where a client has a new session, the end of the one before must not come behind it.
    for (const { session, marks } of sessions) marked.set(session, marks)
    for (const [session, marks] of this.marked) marked.set(session, merge(marked.get(session), marks))
    this.marked = marked
    this.willsByOrigin = new Map([...wills, ...this.willsByOrigin])
    for (const { session, gates } of sessions) {
      if (gates.length === 0) continue
      session.putBackGates(gates)
      session.storageFailed(error.message)
    }
    if (this.resting) return
    this.resting = true
    this.time.after(retryMs, () => {
      this.resting = false
      this.schedule()
    })
  }
}

const merge = (before: Marks | undefined, marks: Marks): Marks => {
  if (before === undefined) return marks
  const filters = [...(before.filters ?? []), ...(marks.filters ?? [])]
  return {
    header: before.header || marks.header,
    progress: before.progress || marks.progress,
    filters: filters.length === 0 ? undefined : new Set(filters),
    ended: marks.ended ?? before.ended
  }
}
