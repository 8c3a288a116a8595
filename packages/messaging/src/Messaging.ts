/**
 * The narrow waist: every protocol publishes and subscribes here, in the space of its tenant.
 *
 * `Messaging.layer(options)` opens a tenant's topics on first use, replays what is kept in memory, follows the metadata for
 * stream bindings, and looks after the log every few seconds.
 */
import { Metadata } from "@effectmq/metadata/Metadata"
import { Meters } from "@effectmq/metrics/Meters"
import type { EngineName } from "@effectmq/schemas/Ids"
import { type Live, liveOf, type Options } from "@effectmq/schemas/config/Live"
import type { ShardId } from "@effectmq/schemas/ShardId"
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

/** What a tenant's topics are opened with stays as it was first; bounds and strategy follow. */
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

    const open = (tenant: string) =>
      Effect.gen(function* () {
        const engine = yield* engines.engine(options.engine)
        const shard = (topic: string, partition: number, shardOptions: Partial<ShardOptions>) =>
          engine.open({ tenant, topic, partition }, { durability: options.durability, cleanup: "compact", ...shardOptions })
        const sourceCount = logShardCount(yield* engine.list, tenant) ?? options.logShards
        const logShards = yield* Effect.forEach(
          Array.from({ length: sourceCount }, (_, index) => index),
          (index) =>
            shard("__mqtt", index, {
              cleanup: "delete",
              retentionMs: options.logRetentionMs,
              retentionBytes: options.logRetentionBytes
            })
        )
        const routes = new RouteTable(sourceCount, routeTimer)
        const log: MessageLog = new MessageLog(logShards, time, run, (publish) => space.committed(publish))
        const retained = yield* Retained.open(yield* shard("__retained", 0, {}), time, options.retained)
        const delayed = yield* Delayed.open(yield* shard("__delayed", 0, {}), time, options.delayed)
        const groupStore = yield* GroupStore.open(yield* shard("__groups", 0, {}), time)
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
    const stopListening = live.onChange((changed) => {
      const { delayed, offlineMax, retained, sharedStrategy } = { ...defaultMessagingOptions, ...changed }
      options = { ...options, delayed, offlineMax, retained, sharedStrategy }
      for (const space of spacesByTenant.values()) configure(space)
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

/** How many shards the tenant's log has; undefined where it has none yet. */
const logShardCount = (shards: ReadonlyArray<ShardId>, tenant: string): number | undefined => {
  const partitions = shards.filter((id) => id.tenant === tenant && id.topic === "__mqtt").map((id) => id.partition)
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
