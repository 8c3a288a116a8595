/**
 * Where persistent sessions are kept: the compacted topic `__sessions` of each tenant, a few shards, by hash of the client id.
 *
 * docs/architecture/mqtt.md says what waits for what; `SessionWriter` writes.
 *
 * The checkpoint says up to where the log's QoS 2 origins are in progress records; the log is held from there on.
 */
import type { LogHolder, MessageLog } from "@effectmq/messaging/MessageLog"
import { type Time, systemTime } from "@effectmq/messaging/Time"
import { topicHash } from "@effectmq/messaging/core/RouteTable"
import type { EngineName } from "@effectmq/schemas/Ids"
import { type Live, liveOf, type Options } from "@effectmq/schemas/config/Live"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import { replayShard } from "@effectmq/storage/replayShard"
import type { Durability, Shard } from "@effectmq/storage/Shard"
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type { Will } from "./codec/Packets.js"
import type { Session } from "./core/Session.js"
import type { SessionJournal } from "./core/SessionPorts.js"
import {
  checkpointKey,
  decodeCheckpoint,
  decodeHeader,
  decodeProgress,
  decodeSubscription,
  decodeWill,
  encodeCheckpoint,
  readSessionKey,
  type StoredHeader,
  type StoredProgress,
  type StoredSubscription
} from "./core/SessionRecords.js"
import { SessionWriter } from "./SessionWriter.js"

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

  willChanged(clientId: string, origin: string, will: Will | undefined, done?: () => void): void {
    this.writerOf(clientId).putWill(origin, will, done)
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
    const positions = Array.from({ length: log.sourceCount }, (_, source) => log.told(source))
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
    return this.writerOf(session.clientId)
  }

  private writerOf(clientId: string): SessionWriter {
    return this.writers[topicHash(clientId) % this.writers.length] as SessionWriter
  }
}

export interface OpenedSessions {
  readonly store: TenantSessionStore
  readonly sessionsByClientId: ReadonlyMap<string, LoadedSession>
  /** Wills whose publishing had begun. */
  readonly willsByOrigin: ReadonlyMap<string, Will>
}

export interface SessionStoreService {
  /** Opens the tenant's topic and reads what it holds. Once per tenant. */
  open(tenant: string): Effect.Effect<OpenedSessions, StorageError>
  /** Tenants that have been opened before. */
  readonly tenants: Effect.Effect<ReadonlyArray<string>, StorageError>
}

export class SessionStore extends Context.Tag("@effectmq/mqtt/SessionStore")<SessionStore, SessionStoreService>() {}

export const layer = (
  given: Options<Partial<SessionStoreOptions>> = {},
  time: Time = systemTime
): Layer.Layer<SessionStore, never, ShardEngines> => Layer.scoped(SessionStore, make(liveOf(given), time))

/** Engine and number of shards stay as they were first; durability follows. */
const make = (live: Live<Partial<SessionStoreOptions>>, time: Time) =>
  Effect.gen(function* () {
    const engines = yield* ShardEngines
    const runtime = yield* Effect.runtime<never>()
    const first: SessionStoreOptions = { ...defaultSessionStoreOptions, ...live.current }
    const now = (): SessionStoreOptions => ({
      ...first,
      durability: live.current.durability ?? defaultSessionStoreOptions.durability
    })
    const tenants = Effect.gen(function* () {
      const engine = yield* engines.engine(first.engine)
      return [...new Set((yield* engine.list).filter((id) => id.topic === topic).map((id) => id.tenant))]
    })
    const configureShards = Effect.suspend(() =>
      Effect.flatMap(tenants, (all) => Effect.forEach(all, (tenant) => openShards(engines, now(), tenant), { discard: true }))
    ).pipe(
      Effect.catchAll((error) =>
        Effect.logError("the durability of sessions stays as it was").pipe(
          Effect.annotateLogs({ reason: error.reason, error: error.message })
        )
      )
    )
    const stop = live.onChange(() => void Runtime.runFork(runtime)(configureShards))
    yield* Effect.addFinalizer(() => Effect.sync(stop))
    const service: SessionStoreService = { open: (tenant) => open(engines, now(), time, tenant), tenants }
    return service
  })

/** Sessions that a restart of the process forgets. */
export const layerMemory: Layer.Layer<SessionStore, never, ShardEngines> = layer({ engine: "memory" })

/** Opens the shards of the tenant's sessions; those that are open are given the options. */
const openShards = (engines: typeof ShardEngines.Service, options: SessionStoreOptions, tenant: string) =>
  Effect.gen(function* () {
    const engine = yield* engines.engine(options.engine)
    const existing = (yield* engine.list).filter((id) => id.tenant === tenant && id.topic === topic)
    const count = existing.reduce((most, id) => Math.max(most, id.partition + 1), 0) || options.shards
    return yield* Effect.forEach(
      Array.from({ length: count }, (_, partition) => partition),
      (partition) => engine.open({ tenant, topic, partition }, { durability: options.durability, cleanup: "compact" })
    )
  })

const open = (engines: typeof ShardEngines.Service, options: SessionStoreOptions, time: Time, tenant: string) =>
  Effect.gen(function* () {
    const shards = yield* openShards(engines, options, tenant)
    const loaded: Loaded = { sessionsByClientId: new Map(), willsByOrigin: new Map(), checkpoint: [] }
    for (const shard of shards) yield* load(shard, loaded)
    for (const [clientId, session] of loaded.sessionsByClientId) {
      // Parts of a session whose header is gone: it had ended.
      if (session.header === undefined) loaded.sessionsByClientId.delete(clientId)
    }
    const store = new TenantSessionStore(shards, time, loaded.checkpoint)
    return { store, sessionsByClientId: loaded.sessionsByClientId, willsByOrigin: loaded.willsByOrigin }
  }).pipe(Effect.catchTag("OffsetOutOfRange", (error) => Effect.die(error)))

interface Loaded {
  readonly sessionsByClientId: Map<string, LoadedSession>
  readonly willsByOrigin: Map<string, Will>
  checkpoint: ReadonlyArray<number>
}

const load = (shard: Shard, loaded: Loaded): Effect.Effect<void, StorageError | OffsetOutOfRange> =>
  Effect.suspend(() =>
    replayShard(shard, shard.startOffset(), (batch, fromOffset) =>
      forEachRecord(batch, (record) => {
        if (record.offset >= fromOffset) take(loaded, record.key?.toString("utf8") ?? "", record.value)
      })
    )
  )

const take = (loaded: Loaded, recordKey: string, value: Buffer | undefined): void => {
  const key = readSessionKey(recordKey)
  if (key.part === "checkpoint") {
    loaded.checkpoint = value === undefined ? [] : decodeCheckpoint(value)
    return
  }
  if (key.part === "will") {
    if (value === undefined) loaded.willsByOrigin.delete(key.origin)
    else loaded.willsByOrigin.set(key.origin, decodeWill(value))
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
