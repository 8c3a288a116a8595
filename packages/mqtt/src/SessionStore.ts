/**
 * Where persistent sessions are kept: the compacted topic `__sessions` of each tenant, a few shards, by hash of the client id.
 *
 * What is marked within a tick goes into one batch per shard; while one is being written the next gathers, and always holds
 * the newest state. What waited for it is told when it is durable. docs/architecture/mqtt.md says what waits for what.
 *
 * The checkpoint says up to where the log's QoS 2 origins are in progress records; the log is held from there on.
 */
import type { LogHolder, MessageLog } from "@effectmq/messaging/MessageLog"
import { type Time, systemTime } from "@effectmq/messaging/Time"
import { topicHash } from "@effectmq/messaging/core/RouteTable"
import type { EngineName } from "@effectmq/schemas/Ids"
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import type { Durability, Shard } from "@effectmq/storage/Shard"
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Gate, Session } from "./core/Session.js"
import type { SessionJournal } from "./core/SessionPorts.js"
import {
  checkpointKey,
  decodeCheckpoint,
  decodeHeader,
  decodeProgress,
  decodeSubscription,
  encodeCheckpoint,
  encodeHeader,
  encodeProgress,
  encodeSubscription,
  headerKey,
  progressKey,
  readSessionKey,
  type StoredHeader,
  type StoredProgress,
  type StoredSubscription,
  subscriptionKey
} from "./core/SessionRecords.js"

/** One session as the topic holds it. */
export interface LoadedSession {
  header: StoredHeader | undefined
  readonly subscriptionsByFilter: Map<string, StoredSubscription>
  progress: StoredProgress | undefined
}

export interface SessionStoreOptions {
  readonly engine: EngineName
  readonly durability: Durability
  /** Shards of `__sessions`, 1 to 64; fixed when the first session of the tenant is stored. */
  readonly shards: number
}

export const defaultSessionStoreOptions: SessionStoreOptions = { engine: "file", durability: "fsync", shards: 4 }

const topic = "__sessions"
const batchBytesMax = 1024 * 1024
const retryMs = 1000

interface Marks {
  header: boolean
  progress: boolean
  filters: Set<string> | undefined
  /** Filters whose records go with the session. */
  ended: ReadonlyArray<string> | undefined
}

interface Written {
  readonly session: Session
  readonly marks: Marks
  readonly gates: ReadonlyArray<Gate>
}

/** The sessions of one tenant. */
export class TenantSessionStore implements SessionJournal, LogHolder {
  private readonly writers: ReadonlyArray<SessionWriter>
  private moved = new Set<Session>()
  private checkpointing = false
  private again: Array<() => void> = []

  constructor(
    shards: ReadonlyArray<Shard>,
    time: Time,
    private checkpoint: ReadonlyArray<number>
  ) {
    this.writers = shards.map((shard) => new SessionWriter(shard, time))
  }

  headerChanged(session: Session): void {
    if (!session.ended) this.writer(session).marks(session).header = true
  }

  subscriptionChanged(session: Session, filter: string): void {
    if (session.ended) return
    const marks = this.writer(session).marks(session)
    marks.filters ??= new Set()
    marks.filters.add(filter)
  }

  progressChanged(session: Session): void {
    if (!session.ended) this.writer(session).marks(session).progress = true
  }

  progressMoved(session: Session): void {
    this.moved.add(session)
  }

  ended(session: Session, filters: ReadonlyArray<string>): void {
    this.moved.delete(session)
    const marks = this.writer(session).marks(session)
    marks.ended = marks.filters === undefined ? filters : [...new Set([...filters, ...marks.filters])]
  }

  lowestHeld(source: number): number {
    return this.checkpoint[source] ?? 0
  }

  /** Where reading the log for origins begins after a restart. */
  get checkpointPositions(): ReadonlyArray<number> {
    return this.checkpoint
  }

  /** Writes progress that has moved, then the checkpoint behind it. Called every few seconds; `done` when all is durable. */
  save(log: MessageLog, done?: () => void): void {
    if (this.checkpointing) {
      // Who waits for everything waits for the round after this one.
      if (done !== undefined) this.again.push(() => this.save(log, done))
      return
    }
    const positions = Array.from({ length: log.sourceCount }, (_, source) => log.dispatched(source))
    const { moved } = this
    this.moved = new Set()
    for (const session of moved) this.progressChanged(session)
    this.checkpointing = true
    let open = this.writers.length
    let failed = false
    const written = (ok: boolean) => {
      failed ||= !ok
      if (--open > 0) return
      if (failed) {
        for (const session of moved) if (!session.ended) this.moved.add(session)
        this.saved(done)
      } else {
        this.writeCheckpoint(positions, done)
      }
    }
    for (const writer of this.writers) writer.whenWritten(written)
  }

  private writeCheckpoint(positions: ReadonlyArray<number>, done: (() => void) | undefined): void {
    if (positions.every((position, source) => position === this.checkpoint[source])) {
      this.saved(done)
      return
    }
    ;(this.writers[0] as SessionWriter).put(checkpointKey, encodeCheckpoint(positions), (ok) => {
      if (ok) this.checkpoint = positions
      this.saved(done)
    })
  }

  private saved(done: (() => void) | undefined): void {
    this.checkpointing = false
    const again = this.again
    this.again = []
    done?.()
    for (const save of again) save()
  }

  private writer(session: Session): SessionWriter {
    return this.writers[topicHash(session.clientId) % this.writers.length] as SessionWriter
  }
}

/** Writes the marked sessions of one shard. */
class SessionWriter {
  private marked = new Map<Session, Marks>()
  private puts: Array<{ readonly key: string; readonly value: Buffer; readonly done: (ok: boolean) => void }> = []
  private waiters: Array<(ok: boolean) => void> = []
  private scheduled = false
  private writing = 0
  private failed = false
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

  put(key: string, value: Buffer, done: (ok: boolean) => void): void {
    this.puts.push({ key, value, done })
    this.schedule()
  }

  /** Called when everything marked until now is durable, or has failed once. */
  whenWritten(callback: (ok: boolean) => void): void {
    if (this.marked.size === 0 && this.writing === 0) {
      callback(true)
    } else {
      this.waiters.push(callback)
      this.schedule()
    }
  }

  private schedule(): void {
    if (this.scheduled || this.writing > 0) return
    this.scheduled = true
    this.time.afterTick(() => this.flush())
  }

  private flush(): void {
    this.scheduled = false
    if (this.writing > 0) return
    const { marked, puts, waiters } = this
    this.marked = new Map()
    this.puts = []
    this.waiters = []
    this.failed = false
    // Held up by one until every batch of this round has been handed in.
    this.writing = 1
    const finish = () => {
      if (--this.writing > 0) return
      for (const waiter of waiters) waiter(!this.failed)
      if (this.marked.size > 0 || this.puts.length > 0 || this.waiters.length > 0) this.schedule()
    }
    let batch: Array<Written> = []
    for (const [session, marks] of marked) {
      batch.push({ session, marks, gates: session.takeGates() })
      this.encode(session, marks)
      if (this.builder.sizeBytes >= batchBytesMax) {
        this.append(batch, [], finish)
        batch = []
      }
    }
    for (const { key, value } of puts) this.builder.append(this.time.nowMs(), key, value)
    if (this.builder.count > 0) this.append(batch, puts, finish)
    else for (const { session, gates } of batch) session.openGates(gates)
    finish()
  }

  private encode(session: Session, marks: Marks): void {
    const { builder } = this
    const nowMs = this.time.nowMs()
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

  private append(
    batch: ReadonlyArray<Written>,
    puts: ReadonlyArray<{ readonly done: (ok: boolean) => void }>,
    finish: () => void
  ): void {
    this.writing++
    this.shard.append(this.builder.finish(), (error) => {
      if (error === undefined) {
        for (const { session, gates } of batch) session.openGates(gates)
      } else {
        this.refused(batch, error)
      }
      for (const { done } of puts) done(error === undefined)
      finish()
    })
  }

  /** Clients that wait for the write are told, others go on; the state is written again as soon as that works. */
  private refused(batch: ReadonlyArray<Written>, error: StorageError): void {
    this.failed = true
    for (const { session, gates } of batch) if (gates.length > 0) session.storageFailed(error.message)
    this.time.after(retryMs, () => {
      for (const { session, marks } of batch) {
        const again = this.marks(session)
        again.header ||= marks.header
        again.progress ||= marks.progress
        again.ended ??= marks.ended
        for (const filter of marks.filters ?? []) {
          again.filters ??= new Set()
          again.filters.add(filter)
        }
      }
    })
  }
}

export interface OpenedSessions {
  readonly store: TenantSessionStore
  readonly sessionsByClientId: ReadonlyMap<string, LoadedSession>
}

export interface SessionStoreService {
  /** Opens the tenant's topic and reads what it holds. Once per tenant. */
  open(tenant: string): Effect.Effect<OpenedSessions, StorageError>
  /** Tenants that have been opened before. */
  readonly tenants: Effect.Effect<ReadonlyArray<string>, StorageError>
}

export class SessionStore extends Context.Tag("@effectmq/mqtt/SessionStore")<SessionStore, SessionStoreService>() {}

export const layer = (
  given: Partial<SessionStoreOptions> = {},
  time: Time = systemTime
): Layer.Layer<SessionStore, never, ShardEngines> =>
  Layer.effect(
    SessionStore,
    Effect.map(ShardEngines, (engines) => {
      const options = { ...defaultSessionStoreOptions, ...given }
      return {
        open: (tenant) => open(engines, options, time, tenant),
        tenants: Effect.gen(function* () {
          const engine = yield* engines.engine(options.engine)
          return [...new Set((yield* engine.list).filter((id) => id.topic === topic).map((id) => id.tenant))]
        })
      }
    })
  )

/** Sessions that a restart of the process forgets. */
export const layerMemory: Layer.Layer<SessionStore, never, ShardEngines> = layer({ engine: "memory" })

const open = (engines: typeof ShardEngines.Service, options: SessionStoreOptions, time: Time, tenant: string) =>
  Effect.gen(function* () {
    const engine = yield* engines.engine(options.engine)
    const existing = (yield* engine.list).filter((id) => id.tenant === tenant && id.topic === topic)
    const count = existing.reduce((most, id) => Math.max(most, id.partition + 1), 0) || options.shards
    const shards = yield* Effect.forEach(
      Array.from({ length: count }, (_, partition) => partition),
      (partition) => engine.open({ tenant, topic, partition }, { durability: options.durability, cleanup: "compact" })
    )
    const loaded: Loaded = { sessionsByClientId: new Map(), checkpoint: [] }
    for (const shard of shards) yield* load(shard, loaded)
    for (const [clientId, session] of loaded.sessionsByClientId) {
      // Parts of a session whose header is gone: it had ended.
      if (session.header === undefined) loaded.sessionsByClientId.delete(clientId)
    }
    const store = new TenantSessionStore(shards, time, loaded.checkpoint)
    return { store, sessionsByClientId: loaded.sessionsByClientId }
  }).pipe(Effect.catchTag("OffsetOutOfRange", (error) => Effect.die(error)))

interface Loaded {
  readonly sessionsByClientId: Map<string, LoadedSession>
  checkpoint: ReadonlyArray<number>
}

const load = (shard: Shard, loaded: Loaded): Effect.Effect<void, StorageError | OffsetOutOfRange> =>
  Effect.gen(function* () {
    let position = shard.startOffset()
    while (position < shard.committedOffset()) {
      const result = yield* shard.read(position, { bytesMax: 4 * 1024 * 1024 })
      for (const batch of result.batches) {
        forEachRecord(batch, (record) => {
          if (record.offset >= position) take(loaded, record.key?.toString("utf8") ?? "", record.value)
        })
      }
      position = result.nextOffset
    }
  })

const take = (loaded: Loaded, recordKey: string, value: Buffer | undefined): void => {
  const key = readSessionKey(recordKey)
  if (key.part === "checkpoint") {
    loaded.checkpoint = value === undefined ? [] : decodeCheckpoint(value)
    return
  }
  let session = loaded.sessionsByClientId.get(key.clientId)
  if (session === undefined) {
    session = { header: undefined, subscriptionsByFilter: new Map(), progress: undefined }
    loaded.sessionsByClientId.set(key.clientId, session)
  }
  if (key.part === "header") session.header = value && decodeHeader(value)
  else if (key.part === "progress") session.progress = value && decodeProgress(value)
  else if (value === undefined) session.subscriptionsByFilter.delete(key.filter)
  else session.subscriptionsByFilter.set(key.filter, decodeSubscription(value))
}
