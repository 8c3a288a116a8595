/**
 * One tenant's messages: takes publishes in, decides who gets them and what must be in the log first, and hands them out.
 *
 * Per message, synchronously: route; live subscribers at once; what durable subscribers match goes to the tenant's log and to
 * them when it has committed; retained and stream copies beside it. The publisher's `Acknowledger` is called when all of it
 * is durable: at once where nothing had to be stored.
 */
import * as Effect from "effect/Effect"
import type { StorageError } from "@effectmq/storage/StorageError"
import type { RouteTable, Route } from "./core/RouteTable.js"
import { matchesFilter } from "./core/TopicFilter.js"
import type { Delayed } from "./Delayed.js"
import type { GroupStore } from "./GroupStore.js"
import { type Holder, placeKey } from "./core/GroupRecords.js"
import { type FeedLimits, type FeedReader, LogFeed } from "./LogFeed.js"
import type { MessageLog } from "./MessageLog.js"
import type { Message } from "./Message.js"
import { PendingPublish, type Acknowledger } from "./Publish.js"
import type { Retained } from "./Retained.js"
import { SharedGroup, type SharedStrategy } from "./SharedGroup.js"
import type { Streams } from "./Streams.js"
import type { LogEntry, Match, Subscriber, Subscription } from "./Subscriber.js"
import type { Time } from "./Time.js"
import { WaitingOrder } from "./WaitingOrder.js"

export interface TenantSpaceOptions {
  readonly sharedStrategy: SharedStrategy
  /** Messages a feed holds in memory before it lags. */
  readonly feedQueueMax: number
  readonly feedQueueBytesMax: number
  /** Messages kept for a durable subscriber that is away; the oldest beyond are passed over. */
  readonly offlineMax: number
}

/** A subscription as a protocol asks for it. */
export interface SubscribeRequest {
  readonly filter: string
  /** Name of the shared group; undefined for a subscription of one's own. */
  readonly group: string | undefined
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly subscriptionId: number | undefined
  /** As stored; undefined for a new subscription: it begins now. */
  readonly since: ReadonlyArray<number> | undefined
}

/** What the space counts; read at scrape time. */
export class SpaceCounters {
  messagesIn = 0
  bytesIn = 0
  deliveries = 0
  unmatched = 0
  logged = 0
  sharedDropped = 0
}

const feedLimitsOf = ({ feedQueueBytesMax, feedQueueMax, offlineMax }: TenantSpaceOptions): FeedLimits => ({
  queueMax: feedQueueMax,
  queueBytesMax: feedQueueBytesMax,
  offlineMax
})

/** Holds what a group has given out without the log. */
const nobody: Holder = { clientId: "", incarnation: 0, handOut: 0 }

export class TenantSpace {
  readonly counters = new SpaceCounters()
  private readonly groups = new Set<SharedGroup>()
  /** False until those who were here before have said what they still need. */
  private isRestored = false
  /** Of all feeds. */
  private readonly feedLimits: FeedLimits
  private readonly orders: ReadonlyArray<WaitingOrder<PendingPublish>>

  constructor(
    readonly tenant: string,
    readonly routes: RouteTable,
    readonly log: MessageLog,
    readonly retained: Retained,
    readonly delayed: Delayed,
    readonly streams: Streams,
    readonly groupStore: GroupStore,
    readonly time: Time,
    private options: TenantSpaceOptions,
    private readonly random: () => number
  ) {
    this.feedLimits = feedLimitsOf(options)
    this.orders = Array.from(
      { length: log.sourceCount },
      (_, source) => new WaitingOrder((publish) => this.log.append(source, publish))
    )
  }

  /** Other options from now on, for groups and feeds that are there as well. */
  configure(options: TenantSpaceOptions): void {
    this.options = options
    Object.assign(this.feedLimits, feedLimitsOf(options))
    for (const group of this.groups) group.strategy = options.sharedStrategy
  }

  /**
   * Takes a message in; answers how many subscribers it is for. For QoS 1 and 2 `acknowledger` is called once, perhaps
   * before this returns; for QoS 0 only where something had to be stored.
   */
  publish(message: Message, acknowledger?: Acknowledger, token = 0): number {
    const route = this.routes.route(message.topic)
    const { counters } = this
    counters.messagesIn++
    counters.bytesIn += message.payloadEnd - message.payloadStart
    if (message.qos === 2 && message.origin !== undefined && acknowledger?.deliverLater !== undefined) {
      return this.publishTwoPhased(message, route, acknowledger, token)
    }
    const targets = message.qos === 0 ? route.direct : route.live
    let matched = 0
    for (let index = 0; index < targets.length; index++) {
      const match = targets[index] as Match
      if (match.noLocal && match.subscriber.clientId === message.publisher) continue
      matched++
      match.subscriber.deliver(message, match)
    }
    counters.deliveries += matched
    if (message.qos === 0 && !message.retain && route.streams.length === 0) {
      for (let index = 0; index < route.groups.length; index++) {
        if (this.dispatchToGroup(route.groups[index] as SharedGroup, message)) matched++
      }
      if (matched === 0) counters.unmatched++
      return matched
    }
    if (route.logged.length === 0 && route.groups.length === 0 && route.streams.length === 0 && !message.retain) {
      if (matched === 0) counters.unmatched++
      acknowledger?.acknowledged(token, undefined, matched, -1, -1)
      return matched
    }
    return this.publishStored(message, route, matched, acknowledger, token)
  }

  /** Adds or replaces a subscription; answers it as kept and whether it replaced one. */
  subscribe(
    subscriber: Subscriber,
    request: SubscribeRequest
  ): { readonly subscription: Subscription; readonly replaced: boolean } {
    const subscription: Subscription = {
      filter: request.filter,
      qos: request.qos,
      noLocal: request.noLocal,
      retainAsPublished: request.retainAsPublished,
      subscriptionId: request.subscriptionId,
      since: request.since ?? this.log.ends()
    }
    if (request.group === undefined) {
      return { subscription, replaced: this.routes.subscribe(subscriber, subscription) }
    }
    let group = this.routes.group(request.filter, request.group)
    if (group === undefined) {
      group = new SharedGroup(request.group, request.filter, this.options.sharedStrategy, this.random, this.log, this.groupStore)
      this.groups.add(group)
      this.routes.addGroup(group)
    }
    const replaced = group.join(subscriber, subscription)
    if (!replaced) this.routes.memberCountChanged(1)
    this.feedGroup(group)
    return { subscription, replaced }
  }

  unsubscribe(subscriber: Subscriber, filter: string, groupName: string | undefined): boolean {
    if (groupName === undefined) return this.routes.unsubscribe(subscriber, filter)
    const group = this.routes.group(filter, groupName)
    if (group?.leave(subscriber) !== true) return false
    this.routes.memberCountChanged(-1)
    if (group.size === 0) {
      this.routes.removeGroup(group)
      this.groups.delete(group)
      this.endGroup(group)
    } else {
      this.feedGroup(group)
      group.pump()
    }
    return true
  }

  group(filter: string, name: string): SharedGroup | undefined {
    return this.routes.group(filter, name)
  }

  /** A durable member is about to leave a group; the answer is to be called when no restart brings it back. */
  leavingGroup(group: SharedGroup): () => void {
    return this.groupStore.leaving(group)
  }

  /** A member of shared groups came, went, or has room again. */
  pumpGroups(groups: Iterable<SharedGroup>): void {
    for (const group of groups) group.pump()
  }

  createFeed<M>(reader: FeedReader<M>, positions: ReadonlyArray<number>): LogFeed<M> {
    return new LogFeed(this.log, reader, positions, this.feedLimits)
  }

  /** What a subscriber's own (not shared) subscriptions say of a logged message. */
  matchLogged(subscriber: Subscriber, entry: LogEntry): Match | undefined {
    const { message, source, offset } = entry
    const match = this.routes.route(message.topic).logged.find((match) => match.subscriber === subscriber)
    if (match === undefined || offset < (match.since[source] ?? 0)) return undefined
    return match.noLocal && message.publisher === subscriber.clientId ? undefined : match
  }

  /** Whether a durable subscriber's own subscriptions match the topic. */
  wantsTopic(subscriber: Subscriber, topic: string): boolean {
    return this.routes.route(topic).logged.some((match) => match.subscriber === subscriber)
  }

  /**
   * A restored session has the message in flight at QoS 2. `known`: the group knew of that, or is past it; `unknown`: it did not,
   * so that it waited for that to be written; `another's`: the group has given it to another since.
   */
  claim(group: SharedGroup, source: number, offset: number, holder: Holder): "known" | "unknown" | "another's" {
    const stored = this.groupStore.stored(group)
    const place = stored?.placesByKey.get(placeKey(source, offset))
    if (place === undefined && offset < (stored?.positions[source] ?? 0)) return "known"
    const found = place?.holder
    if (found !== undefined && (found.clientId !== holder.clientId || found.incarnation !== holder.incarnation))
      return "another's"
    group.claim(source, offset, holder)
    return found === undefined ? "unknown" : "known"
  }

  /**
   * Sessions are restored: groups give out again what no member holds, delayed messages begin to fire. `isBegun`: whether the
   * holder of a hand-out knows of it, or has ended; else it was never sent.
   */
  restored(originsInLog: ReadonlySet<string>, isBegun: (holder: Holder) => boolean): void {
    this.isRestored = true
    for (const group of this.groups) this.restoreGroup(group, isBegun)
    this.groupStore.started()
    this.delayed.start((message, acknowledger) => void this.publish(message, acknowledger), originsInLog)
  }

  /**
   * Writes the progress of durable groups and lets go of what nobody needs. Called every few seconds; does nothing before
   * `restored`, when sessions and groups may still hold what is not known here.
   */
  get maintain(): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => {
      if (!this.isRestored) return Effect.void
      this.saveGroups()
      this.retained.sweep()
      return this.log.trim
    })
  }

  /** Appends what has gathered in this tick: the last thing before the engine closes. */
  flush(): void {
    this.log.flush()
    this.retained.flush()
    this.delayed.flush()
    this.groupStore.flush()
  }

  saveGroups(): void {
    if (!this.isRestored) return
    for (const group of this.groups) this.groupStore.save(group)
  }

  /** A logged message has committed: durable subscribers get it. */
  committed(publish: PendingPublish): void {
    const { logged, groups } = publish.route
    const { publisher } = publish.message
    for (let index = 0; index < logged.length; index++) {
      const match = logged[index] as Match
      if (match.noLocal && match.subscriber.clientId === publisher) continue
      match.subscriber.deliverLogged(publish, match)
    }
    for (const group of groups) {
      const { feed } = group
      if (feed === undefined) continue
      if (publish.fed?.includes(group) === true) feed.offer(publish, group)
      // It was given to a member when it was published: the group became durable, or of QoS 1, since.
      else if (feed.safePosition(publish.source) <= publish.offset) group.pass(publish.source, publish.offset, nobody)
    }
  }

  /** QoS 2 that a restart may find not to have been received: what is not stored is given to nobody before that is certain. */
  private publishTwoPhased(message: Message, route: Route, acknowledger: Acknowledger, token: number): number {
    const live = route.live.filter((match) => !match.noLocal || match.subscriber.clientId !== message.publisher)
    const groups = route.groups.filter((group) => group.feed === undefined || group.qos === 0)
    const counted = live.length + groups.filter(({ online }) => online).length
    if (live.length > 0 || groups.length > 0) {
      acknowledger.deliverLater?.(token, () => {
        this.counters.deliveries += live.length
        for (const match of live) match.subscriber.deliver(message, match)
        for (const group of groups) this.dispatchToGroup(group, message)
      })
    }
    return this.publishStored(message, route, counted, acknowledger, token, false)
  }

  private publishStored(
    message: Message,
    route: Route,
    live: number,
    acknowledger: Acknowledger | undefined,
    token: number,
    dispatches = true
  ): number {
    let matched = live + route.streams.length
    let logged = false
    let fed: Array<SharedGroup> | undefined
    if (message.qos > 0) {
      for (const match of route.logged) {
        if (match.noLocal && match.subscriber.clientId === message.publisher) continue
        matched++
        logged = true
      }
    }
    for (const group of route.groups) {
      if (message.qos > 0 && group.feed !== undefined && group.qos > 0) {
        matched++
        logged = true
        fed ??= []
        fed.push(group)
      } else if (dispatches && this.dispatchToGroup(group, message)) {
        matched++
      }
    }
    const waits = message.qos > 0
    const publish = new PendingPublish(message, route, matched, acknowledger, token)
    // Held up by one until everything has been handed in, so that it cannot be done too early.
    publish.waiting = 1
    publish.fed = fed
    const append = logged ? this.appendLogged(publish) : undefined
    if (message.retain) this.storeRetained(publish, append)
    for (const binding of route.streams) {
      if (waits) publish.waiting++
      this.streams.append(binding, message, waits ? publish : undefined)
    }
    if (matched === 0) this.counters.unmatched++
    publish.done(undefined)
    return matched
  }

  /** Appends in the order of publishing; gives how to go on where that has to wait. */
  private appendLogged(publish: PendingPublish): ((isAppended: boolean) => void) | undefined {
    const { message, route } = publish
    const order = this.orders[route.source] as WaitingOrder<PendingPublish>
    this.counters.logged++
    publish.waiting++
    // With an origin the message in the log is what says "received": its retained copy must be durable before it.
    if (message.retain && message.origin !== undefined) return order.hold(publish)
    order.push(publish)
    return undefined
  }

  private storeRetained(publish: PendingPublish, append: ((isAppended: boolean) => void) | undefined): void {
    const { message } = publish
    const waits = message.qos > 0
    if (waits) publish.waiting++
    const done = (error: StorageError | undefined) => {
      append?.(error === undefined)
      if (append !== undefined && error !== undefined) publish.done(error)
      publish.done(error)
    }
    if (!this.retained.publish(message, waits ? done : undefined) && waits) done(undefined)
  }

  private dispatchToGroup(group: SharedGroup, message: Message): boolean {
    if (group.dispatch(message)) {
      this.counters.deliveries++
      return true
    }
    this.counters.sharedDropped++
    return false
  }

  /** A member joined or left: a group that is durable has a feed, from the end of the log on. */
  private feedGroup(group: SharedGroup): void {
    group.refresh()
    if (!this.isRestored) return
    if (group.durable && group.feed === undefined) this.beginGroup(group, this.log.ends())
    else group.pump()
  }

  /** The group goes on from before a restart. */
  private restoreGroup(group: SharedGroup, isBegun: (holder: Holder) => boolean): void {
    if (!group.durable) return
    const stored = this.groupStore.stored(group)
    const positions = stored?.positions ?? group.since
    const unheld: Array<{ readonly source: number; readonly offset: number }> = []
    for (const { source, offset, holder } of stored?.placesByKey.values() ?? []) {
      if (group.isClaimed(source, offset)) continue
      const isRead = offset < (positions[source] ?? 0)
      if (holder === undefined || !isBegun(holder)) {
        if (isRead) unheld.push({ source, offset })
      } else if (!isRead) {
        group.pass(source, offset, holder)
      }
    }
    this.beginGroup(group, positions)
    group.recover(unheld)
  }

  private beginGroup(group: SharedGroup, positions: ReadonlyArray<number>): void {
    const reader: FeedReader<SharedGroup> = {
      get capacity() {
        return group.capacity
      },
      accept: (entry) => group.accept(entry),
      matchLogged: (entry) => (matchesFilter(group.filter, entry.message.topic) ? group : undefined),
      wantsTopic: (topic) => matchesFilter(group.filter, topic),
      lost: (count) => {
        this.counters.sharedDropped += count
      }
    }
    const feed = this.createFeed(reader, positions)
    group.feed = feed
    this.log.hold(group)
    this.groupStore.keep(group, () => group.snapshot(feed))
    feed.attach()
  }

  private endGroup(group: SharedGroup): void {
    if (group.feed === undefined) return
    group.feed.detach()
    group.feed = undefined
    this.log.release(group)
    this.groupStore.retire(group, this.log.ends())
  }
}
