/**
 * The narrow waist: every protocol publishes and subscribes here, in the space of its tenant.
 *
 * `Messaging.layer(options)` opens a tenant's topics on first use, replays what is kept in memory, follows the metadata for
 * stream bindings, and looks after the log every few seconds.
 */
import { Metadata } from "@effectmq/metadata/Metadata"
import { Meters } from "@effectmq/metrics/Meters"
import type { EngineName } from "@effectmq/schemas/Ids"
import { type Live, liveOf, type Options, sameData } from "@effectmq/schemas/config/Live"
import type { ShardId } from "@effectmq/schemas/ShardId"
import type { ShardEngineService } from "@effectmq/storage/ShardEngine"
import { ShardEngines } from "@effectmq/storage/ShardEngines"
import type { Durability, ShardOptions } from "@effectmq/storage/Shard"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import { RouteTable } from "./core/RouteTable.js"
import { Delayed, type DelayedLimits } from "./Delayed.js"
import { GroupStore } from "./GroupStore.js"
import { MessageLog } from "./MessageLog.js"
import { Retained, type RetainedLimits } from "./Retained.js"
import type { SharedStrategy } from "./SharedGroup.js"
import { Streams } from "./Streams.js"
import { TenantSpace } from "./TenantSpace.js"
import { systemTime, type Time } from "./Time.js"

export interface MessagingOptions {
  /** Engine of the broker's own topics. */
  readonly engine: EngineName
  readonly durability: Durability
  /**
   * Shards of a tenant's MQTT log, 1 to 64; fixed when the tenant's log is made. With one, a durable subscriber gets
   * messages of all topics in the order in which they were published; with more, those of each topic.
   */
  readonly logShards: number
  /** Messages older than this leave the MQTT log even where a subscriber that is away has not had them; undefined: none. */
  readonly logRetentionMs: number | undefined
  /** The same by size, bytes per shard. */
  readonly logRetentionBytes: number | undefined
  readonly retained: RetainedLimits
  readonly delayed: DelayedLimits
  readonly sharedStrategy: SharedStrategy
  /** Messages held in memory for one slow durable subscriber before it reads them from the log. */
  readonly feedQueueMax: number
  /** The same in bytes. */
  readonly feedQueueBytesMax: number
  /** Messages kept for a durable subscriber that is away; beyond it the oldest are dropped. */
  readonly offlineMax: number
  readonly maintainIntervalMs: number
}

export const defaultMessagingOptions: MessagingOptions = {
  engine: "file",
  durability: "fsync",
  logShards: 1,
  logRetentionMs: undefined,
  logRetentionBytes: undefined,
  retained: { messagesMax: 5_000_000, bytesMax: 1024 * 1024 * 1024, payloadBytesMax: 1024 * 1024 },
  delayed: { countMax: 1_000_000, bytesMax: 256 * 1024 * 1024 },
  sharedStrategy: "round-robin",
  feedQueueMax: 1000,
  feedQueueBytesMax: 4 * 1024 * 1024,
  offlineMax: 1_000_000,
  maintainIntervalMs: 2000
}

export interface MessagingService {
  /** The tenant's space; opened on first use. */
  space(tenant: string): Effect.Effect<TenantSpace, StorageError>
  /** Those opened so far. */
  spaces(): ReadonlyArray<TenantSpace>
}

export class Messaging extends Context.Tag("@effectmq/messaging/Messaging")<Messaging, MessagingService>() {}

export const layer = (
  given: Options<Partial<MessagingOptions>> = {},
  time: Time = systemTime
): Layer.Layer<Messaging, never, ShardEngines | Metadata | Meters> => Layer.scoped(Messaging, make(liveOf(given), time))

/** Engine and number of shards stay as they were first; all else follows. */
const make = (live: Live<Partial<MessagingOptions>>, time: Time) =>
  Effect.gen(function* () {
    let options: MessagingOptions = { ...defaultMessagingOptions, ...live.current }
    const engines = yield* ShardEngines
    const metadata = yield* Metadata
    const meters = yield* Meters
    const runtime = yield* Effect.runtime<never>()
    const run = (effect: Effect.Effect<void>) => void Runtime.runFork(runtime)(effect)
    const spacesByTenant = new Map<string, TenantSpace>()
    const opening = yield* Effect.makeSemaphore(1)
    register(meters, spacesByTenant)
    const routeSeconds = meters.histogram(
      "effectmq_messaging_route_seconds",
      "Time to find who gets a message, for topics whose route was not kept",
      [0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.0005, 0.001, 0.01, 0.1]
    )
    const routeTimer = { nowMs: () => performance.now(), found: (tookMs: number) => routeSeconds.observe(tookMs / 1000) }

    /** Opens a shard; one that is open is given the options of now. */
    const openShard = (engine: ShardEngineService, tenant: string, topic: string, partition = 0) =>
      engine.open({ tenant, topic, partition }, shardOptions(topic, options))
    const openLog = (engine: ShardEngineService, tenant: string, sourceCount: number) =>
      Effect.forEach(
        Array.from({ length: sourceCount }, (_, source) => source),
        (source) => openShard(engine, tenant, logTopic, source)
      )

    const open = (tenant: string) =>
      Effect.gen(function* () {
        const engine = yield* engines.engine(options.engine)
        const shard = (topic: string) => openShard(engine, tenant, topic)
        const madeWith = logShardCount(yield* engine.list, tenant)
        const sourceCount = madeWith ?? options.logShards
        if (sourceCount !== options.logShards) {
          yield* Effect.logWarning("a log keeps the shards it was made with, and not those that are configured").pipe(
            Effect.annotateLogs({ tenant, shards: sourceCount, configured: options.logShards })
          )
        }
        const logShards = yield* openLog(engine, tenant, sourceCount)
        const routes = new RouteTable(sourceCount, routeTimer)
        const log: MessageLog = new MessageLog(logShards, time, run, (publish) => space.committed(publish))
        const retained = yield* Retained.open(yield* shard("__retained"), time, options.retained)
        const delayed = yield* Delayed.open(yield* shard("__delayed"), time, options.delayed)
        const groupStore = yield* GroupStore.open(yield* shard("__groups"), time)
        const streams = new Streams(tenant, engines, routes, time)
        const space: TenantSpace = new TenantSpace(
          tenant,
          routes,
          log,
          retained,
          delayed,
          streams,
          groupStore,
          time,
          options,
          Math.random
        )
        yield* streams.follow(metadata.image())
        return space
      }).pipe(Effect.catchTag("OffsetOutOfRange", (error) => Effect.die(trimmedWhileOpening(error))))

    const followStreams = (space: TenantSpace) =>
      space.streams
        .follow(metadata.image())
        .pipe(
          Effect.catchAll((error) =>
            Effect.logError("a stream binding cannot be opened").pipe(
              Effect.annotateLogs({ tenant: space.tenant, reason: error.reason, error: error.message })
            )
          )
        )

    const configure = (space: TenantSpace) => {
      space.retained.limits = options.retained
      space.delayed.limits = options.delayed
      space.configure(options)
    }
    /** Gives the shards of all tenants the durability and the retention of now. */
    const configureShards = Effect.gen(function* () {
      const engine = yield* engines.engine(options.engine)
      for (const { log, tenant } of spacesByTenant.values()) {
        yield* openLog(engine, tenant, log.sourceCount)
        for (const topic of compactedTopics) yield* openShard(engine, tenant, topic)
      }
    }).pipe(
      Effect.catchAll((error) =>
        Effect.logError("durability and retention stay as they were").pipe(
          Effect.annotateLogs({ reason: error.reason, error: error.message })
        )
      )
    )
    const stopListening = live.onChange((changed) => {
      const before = options
      const { engine, logShards, ...now } = { ...defaultMessagingOptions, ...changed }
      options = { ...now, engine: before.engine, logShards: before.logShards }
      for (const space of spacesByTenant.values()) configure(space)
      if (sameData(shardOptions(logTopic, before), shardOptions(logTopic, options))) return
      // A tenant that is being opened may have been given the old ones.
      run(opening.withPermits(1)(configureShards))
    })

    const stopFollowing = metadata.onChange((delta) => {
      if (delta.before.topicsByName === delta.after.topicsByName) return
      for (const space of spacesByTenant.values()) run(opening.withPermits(1)(followStreams(space)))
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        stopFollowing()
        stopListening()
        for (const space of spacesByTenant.values()) {
          space.delayed.stop()
          space.saveGroups()
          space.flush()
        }
      })
    )

    yield* Effect.suspend(() => Effect.forEach([...spacesByTenant.values()], (space) => space.maintain, { discard: true })).pipe(
      Effect.catchAll((error) =>
        Effect.logError("the MQTT log cannot be trimmed").pipe(
          Effect.annotateLogs({ reason: error.reason, error: error.message })
        )
      ),
      Effect.repeat(Schedule.spaced(options.maintainIntervalMs)),
      Effect.forkScoped
    )

    const service: MessagingService = {
      space: (tenant) =>
        opening.withPermits(1)(
          Effect.suspend(() => {
            const opened = spacesByTenant.get(tenant)
            if (opened !== undefined) return Effect.succeed(opened)
            return Effect.tap(open(tenant), (space) =>
              Effect.sync(() => {
                spacesByTenant.set(tenant, space)
                // They may have changed while it was opened.
                configure(space)
              })
            )
          })
        ),
      spaces: () => [...spacesByTenant.values()]
    }
    return service
  })

const logTopic = "__mqtt"
const compactedTopics = ["__retained", "__delayed", "__groups"] as const

const shardOptions = (topic: string, options: MessagingOptions): ShardOptions =>
  topic === logTopic
    ? {
        durability: options.durability,
        cleanup: "delete",
        retentionMs: options.logRetentionMs,
        retentionBytes: options.logRetentionBytes
      }
    : { durability: options.durability, cleanup: "compact" }

/** How many shards the tenant's log has; undefined where it has none yet. */
const logShardCount = (shards: ReadonlyArray<ShardId>, tenant: string): number | undefined => {
  const partitions = shards.filter((id) => id.tenant === tenant && id.topic === logTopic).map((id) => id.partition)
  return partitions.length === 0 ? undefined : Math.max(...partitions) + 1
}

const trimmedWhileOpening = (error: OffsetOutOfRange) =>
  new Error(`a compacted shard lost offset ${error.offset} while it was being read`)

/** Figures over all tenants: a label each would not be bounded. */
const register = (meters: typeof Meters.Service, spaces: ReadonlyMap<string, TenantSpace>): void => {
  const sum = (of: (space: TenantSpace) => number) => () => {
    let sum = 0
    for (const space of spaces.values()) sum += of(space)
    return sum
  }
  const counter = (name: string, help: string, of: (space: TenantSpace) => number) =>
    meters.observableCounter(`effectmq_messaging_${name}_total`, help, sum(of))
  const gauge = (name: string, help: string, of: (space: TenantSpace) => number) =>
    meters.gauge(`effectmq_messaging_${name}`, help, sum(of))
  counter("messages_in", "Messages published", ({ counters }) => counters.messagesIn)
  counter("payload_bytes_in", "Payload bytes published", ({ counters }) => counters.bytesIn)
  counter("deliveries", "Messages handed to subscribers without the log", ({ counters }) => counters.deliveries)
  counter("logged", "Messages appended to the MQTT log", ({ counters }) => counters.logged)
  counter("unmatched", "Messages that no subscription matched", ({ counters }) => counters.unmatched)
  counter("shared_dropped", "Messages that no member of a shared group could take", ({ counters }) => counters.sharedDropped)
  gauge("subscriptions", "Subscriptions now", ({ routes }) => routes.subscriptionCount)
  gauge("retained_messages", "Retained messages now", ({ retained }) => retained.count)
  gauge("retained_bytes", "Bytes of retained messages now, with topics and properties", ({ retained }) => retained.bytes)
  counter("retained_refused", "Retained messages refused at a bound", ({ retained }) => retained.refusedCount)
  gauge("delayed_messages", "Delayed messages waiting now", ({ delayed }) => delayed.count)
  gauge("delayed_bytes", "Bytes of delayed messages now, with topics and properties", ({ delayed }) => delayed.bytes)
}
