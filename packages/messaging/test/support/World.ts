/**
 * A tenant's space over manual shards, and a subscriber that writes down what it gets.
 */
import type { Holder } from "@effectmq/messaging/core/GroupRecords"
import { RouteTable } from "@effectmq/messaging/core/RouteTable"
import { Delayed } from "@effectmq/messaging/Delayed"
import { GroupStore } from "@effectmq/messaging/GroupStore"
import type { LogFeed } from "@effectmq/messaging/LogFeed"
import { Message, type QoS } from "@effectmq/messaging/Message"
import { MessageLog } from "@effectmq/messaging/MessageLog"
import type { Acknowledger } from "@effectmq/messaging/Publish"
import { Retained } from "@effectmq/messaging/Retained"
import type { SharedStrategy } from "@effectmq/messaging/SharedGroup"
import { Streams } from "@effectmq/messaging/Streams"
import type { LogEntry, Match, Subscriber } from "@effectmq/messaging/Subscriber"
import { TenantSpace } from "@effectmq/messaging/TenantSpace"
import { StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import { ManualShard } from "@effectmq/testing/ManualShard"
import { ManualTime } from "@effectmq/testing/ManualTime"

export interface Shards {
  readonly log: ReadonlyArray<ManualShard>
  readonly retained: ManualShard
  readonly delayed: ManualShard
  readonly groups: ManualShard
}

export const newShards = (sources = 2): Shards => ({
  log: Array.from({ length: sources }, () => new ManualShard()),
  retained: new ManualShard(),
  delayed: new ManualShard(),
  groups: new ManualShard()
})

const noEngines = {
  all: [],
  engine: () => Effect.fail(new StorageError({ reason: "closed", message: "no engine in this test" }))
}

export interface WorldOptions {
  readonly feedQueueMax?: number
  readonly feedQueueBytesMax?: number
  readonly retainedBytesMax?: number
  readonly delayedBytesMax?: number
  readonly offlineMax?: number
  readonly strategy?: SharedStrategy
  readonly random?: () => number
  readonly shards?: Shards
}

export class World {
  readonly time = new ManualTime()
  readonly acknowledged: Array<number> = []
  readonly failed: Array<number> = []
  private sequence = 0
  private readonly acknowledger: Acknowledger = {
    acknowledged: (token, error) => void (error === undefined ? this.acknowledged : this.failed).push(token)
  }

  private constructor(
    readonly shards: Shards,
    options: WorldOptions
  ) {
    const routes = new RouteTable(shards.log.length)
    const run = (effect: Effect.Effect<void>) => void Effect.runFork(effect)
    const log = new MessageLog(shards.log, this.time, run, (publish) => this.space.committed(publish))
    this.space = new TenantSpace(
      "default",
      routes,
      log,
      Effect.runSync(
        Retained.open(shards.retained, this.time, {
          messagesMax: 3,
          bytesMax: options.retainedBytesMax ?? 100_000,
          payloadBytesMax: 100
        })
      ),
      Effect.runSync(Delayed.open(shards.delayed, this.time, { countMax: 2, bytesMax: options.delayedBytesMax ?? 100_000 })),
      new Streams("default", noEngines, routes, this.time),
      Effect.runSync(GroupStore.open(shards.groups, this.time)),
      this.time,
      {
        sharedStrategy: options.strategy ?? "round-robin",
        feedQueueMax: options.feedQueueMax ?? 100,
        feedQueueBytesMax: options.feedQueueBytesMax ?? 100_000,
        offlineMax: options.offlineMax ?? 1000
      },
      options.random ?? (() => 0.5)
    )
  }

  readonly space: TenantSpace

  /** A new one; with `shards` one that starts again, and waits for `restored`. */
  static make(options: WorldOptions = {}): World {
    const world = new World(options.shards ?? newShards(), options)
    if (options.shards === undefined) world.restored()
    return world
  }

  /** Who was here before has said what it needs; `isBegun`: which hand-outs at QoS 2 their holders know of. */
  restored(isBegun: (holder: Holder) => boolean = () => true): void {
    this.space.restored(new Set(), isBegun)
  }

  message(
    topic: string,
    text: string,
    options: Partial<{
      qos: QoS
      retain: boolean
      publisher: string
      origin: string
      expiresAtMs: number
      userProperties: ReadonlyArray<readonly [string, string]>
    }> = {}
  ) {
    const bytes = Buffer.from(text)
    return new Message(
      topic,
      bytes,
      0,
      bytes.length,
      options.qos ?? 1,
      options.retain ?? false,
      options.userProperties === undefined ? undefined : { userProperties: options.userProperties },
      this.time.nowMs(),
      options.expiresAtMs ?? 0,
      options.publisher ?? "publisher",
      options.origin
    )
  }

  /** Publishes and answers the token that its acknowledgement will have. */
  publish(topic: string, text: string, options: Parameters<World["message"]>[2] = {}): number {
    const token = ++this.sequence
    this.space.publish(this.message(topic, text, options), this.acknowledger, token)
    return token
  }

  /** Ends the tick and makes everything durable. */
  commit(): void {
    this.time.endTick()
    for (const shard of [...this.shards.log, this.shards.retained, this.shards.delayed, this.shards.groups]) shard.commit()
  }
}

/** Takes `room` messages and then no more until `acknowledge`. */
export class TestSubscriber implements Subscriber {
  readonly received: Array<string> = []
  readonly held: Array<LogEntry & { readonly match: Match }> = []
  lostCount = 0
  online = true
  feed: LogFeed<Match> | undefined

  constructor(
    private readonly world: World,
    readonly clientId: string,
    readonly durable: boolean,
    public room = Number.POSITIVE_INFINITY
  ) {}

  get capacity(): number {
    return this.online ? this.room - this.held.length : 0
  }

  deliver(message: Message): void {
    this.received.push(message.payload.toString())
  }

  deliverLogged(entry: LogEntry, match: Match): void {
    if (match.group !== undefined) this.accept(entry, match)
    else this.feed?.offer(entry, match)
  }

  accept(entry: LogEntry, match: Match): void {
    this.received.push(entry.message.payload.toString())
    this.held.push({ ...entry, match })
  }

  /** Acknowledges the oldest held ones. */
  acknowledge(count = this.held.length): void {
    for (const { source, offset, match } of this.held.splice(0, count)) match.group?.settle(source, offset)
    this.feed?.pump()
  }

  subscribe(
    filter: string,
    options: Partial<{ group: string; qos: QoS; noLocal: boolean; since: ReadonlyArray<number> }> = {}
  ): this {
    this.world.space.subscribe(this, {
      filter,
      group: options.group,
      qos: options.qos ?? 1,
      noLocal: options.noLocal ?? false,
      retainAsPublished: false,
      subscriptionId: undefined,
      since: options.since
    })
    return this
  }

  /** Reads from the log, from the positions on (or from its end). */
  follow(positions: ReadonlyArray<number> = this.world.space.log.ends()): this {
    const subscriber = this
    this.feed = this.world.space.createFeed<Match>(
      {
        get capacity() {
          return subscriber.capacity
        },
        accept: (entry, match) => this.accept(entry, match),
        matchLogged: (entry) => this.world.space.matchLogged(this, entry),
        wantsTopic: (topic) => this.world.space.wantsTopic(this, topic),
        lost: (count) => void (this.lostCount += count)
      },
      positions
    )
    this.feed.attach()
    return this
  }
}
