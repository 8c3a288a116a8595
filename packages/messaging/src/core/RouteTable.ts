/**
 * Who gets a message that is published to a topic: the subscriptions of one tenant, and a cache of what they come to per topic.
 *
 * Invariants
 * - One subscription per subscriber and filter; one shared group per group name and filter.
 * - A `Route` is immutable. A cached one is used while neither its topic's exact subscriptions nor any wildcard changed.
 */
import type { Match, QoS, Subscriber, Subscription } from "../Subscriber.js"
import type { SharedGroup } from "../SharedGroup.js"
import { FilterTree } from "./FilterTree.js"
import { hasWildcard } from "./TopicFilter.js"

/** A stored topic that takes in what is published to its MQTT filter. */
export interface StreamBinding {
  readonly topic: string
  readonly filter: string
}

export interface Route {
  readonly topic: string
  /** Source of the tenant's log for this topic. */
  readonly source: number
  /** Every subscriber, each once, shared groups apart. */
  readonly direct: ReadonlyArray<Match>
  /** Those of `direct` that are fed at once even for QoS 1 and 2. */
  readonly live: ReadonlyArray<Match>
  /** Those of `direct` that QoS 1 and 2 reach by way of the log. */
  readonly logged: ReadonlyArray<Match>
  readonly groups: ReadonlyArray<SharedGroup>
  readonly streams: ReadonlyArray<StreamBinding>
  /** The wildcard version it was made at. */
  readonly version: number
}

/** Told how long the routes took that were not kept: reading the clock twice costs 0.2 of the 5 microseconds that finding one takes. */
export interface RouteTimer {
  nowMs(): number
  found(tookMs: number): void
}

interface Entry {
  subscribers: Map<Subscriber, Subscription> | undefined
  /** The only subscriber, while there is one: a map each would be most of a million subscriptions' memory. */
  single: Subscriber | undefined
  singleSubscription: Subscription | undefined
  groups: Map<string, SharedGroup> | undefined
  streams: Map<string, StreamBinding> | undefined
}

/** Topics whose routes are kept; at the bound the older half goes. */
const cachedRoutesMax = 65_536

/** FNV-1a over UTF-16 code units: the same on every node and in every version, because it places messages. */
export const topicHash = (topic: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < topic.length; at++) hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

export class RouteTable {
  private readonly filters = new FilterTree<Entry>()
  private routes = new Map<string, Route>()
  private olderRoutes = new Map<string, Route>()
  /** The one that was asked for last, until anything changes: messages of one topic come in runs. */
  private recent: Route | undefined = undefined
  private readonly matched: Array<Entry> = []
  private readonly collect = (entry: Entry) => void this.matched.push(entry)
  private version = 0
  private count = 0
  private sysFilters = 0

  constructor(
    private readonly sourceCount: number,
    private readonly timer?: RouteTimer
  ) {}

  /** Subscriptions, those of group members among them. */
  get subscriptionCount(): number {
    return this.count
  }

  /** Whether anything is subscribed below `$SYS/`: what is told only to whoever listens needs not be made where nobody does. */
  get watchesSys(): boolean {
    return this.sysFilters > 0
  }

  /** Adds or replaces the subscriber's subscription; answers whether there was one. */
  subscribe(subscriber: Subscriber, subscription: Subscription): boolean {
    const entry = this.entryFor(subscription.filter)
    this.changed(subscription.filter)
    if (entry.single === subscriber) {
      entry.singleSubscription = subscription
      return true
    }
    if (entry.subscribers !== undefined) {
      const replaced = entry.subscribers.has(subscriber)
      entry.subscribers.set(subscriber, subscription)
      if (!replaced) this.count++
      return replaced
    }
    this.count++
    if (entry.single === undefined) {
      entry.single = subscriber
      entry.singleSubscription = subscription
    } else {
      entry.subscribers = new Map([
        [entry.single, entry.singleSubscription as Subscription],
        [subscriber, subscription]
      ])
      entry.single = undefined
      entry.singleSubscription = undefined
    }
    return false
  }

  /** Answers whether there was such a subscription. */
  unsubscribe(subscriber: Subscriber, filter: string): boolean {
    const entry = this.filters.get(filter)
    if (entry === undefined) return false
    if (entry.single === subscriber) {
      entry.single = undefined
      entry.singleSubscription = undefined
    } else if (entry.subscribers?.delete(subscriber) === true) {
      if (entry.subscribers.size === 0) entry.subscribers = undefined
    } else {
      return false
    }
    this.count--
    this.changed(filter)
    this.drop(filter, entry)
    return true
  }

  group(filter: string, name: string): SharedGroup | undefined {
    return this.filters.get(filter)?.groups?.get(name)
  }

  addGroup(group: SharedGroup): void {
    const entry = this.entryFor(group.filter)
    entry.groups ??= new Map()
    entry.groups.set(group.name, group)
    this.changed(group.filter)
  }

  removeGroup(group: SharedGroup): void {
    const entry = this.filters.get(group.filter)
    if (entry?.groups?.delete(group.name) !== true) return
    if (entry.groups.size === 0) entry.groups = undefined
    this.changed(group.filter)
    this.drop(group.filter, entry)
  }

  memberCountChanged(by: number): void {
    this.count += by
  }

  bindStream(binding: StreamBinding): void {
    const entry = this.entryFor(binding.filter)
    entry.streams ??= new Map()
    entry.streams.set(binding.topic, binding)
    this.changed(binding.filter)
  }

  unbindStream(binding: StreamBinding): void {
    const entry = this.filters.get(binding.filter)
    if (entry?.streams?.delete(binding.topic) !== true) return
    if (entry.streams.size === 0) entry.streams = undefined
    this.changed(binding.filter)
    this.drop(binding.filter, entry)
  }

  /** Forgets what is cached: a subscriber became durable, or stopped being so. */
  invalidate(): void {
    this.version++
    this.recent = undefined
  }

  route(topic: string): Route {
    if (this.recent?.topic === topic) return this.recent
    this.recent = this.find(topic)
    return this.recent
  }

  private find(topic: string): Route {
    let route = this.routes.get(topic)
    if (route !== undefined && route.version === this.version) return route
    route = this.olderRoutes.get(topic)
    if (route === undefined || route.version !== this.version) route = this.computeTimed(topic)
    if (this.routes.size >= cachedRoutesMax / 2) {
      this.olderRoutes = this.routes
      this.routes = new Map()
    }
    this.routes.set(topic, route)
    return route
  }

  private entryFor(filter: string): Entry {
    let entry = this.filters.get(filter)
    if (entry === undefined) {
      entry = { subscribers: undefined, single: undefined, singleSubscription: undefined, groups: undefined, streams: undefined }
      this.filters.set(filter, entry)
      if (isSysFilter(filter)) this.sysFilters++
    }
    return entry
  }

  private drop(filter: string, entry: Entry): void {
    const used = entry.single ?? entry.subscribers ?? entry.groups ?? entry.streams
    if (used !== undefined) return
    this.filters.delete(filter)
    if (isSysFilter(filter)) this.sysFilters--
  }

  private changed(filter: string): void {
    this.recent = undefined
    if (hasWildcard(filter)) {
      this.version++
    } else {
      this.routes.delete(filter)
      this.olderRoutes.delete(filter)
    }
  }

  private computeTimed(topic: string): Route {
    const { timer } = this
    if (timer === undefined) return this.compute(topic)
    const startMs = timer.nowMs()
    const route = this.compute(topic)
    timer.found(timer.nowMs() - startMs)
    return route
  }

  private compute(topic: string): Route {
    const entries = this.matched
    entries.length = 0
    this.filters.match(topic, this.collect)
    let matches: ReadonlyArray<Match> = none
    let groups: ReadonlyArray<SharedGroup> = none
    let streams: ReadonlyArray<StreamBinding> = none
    const first = entries[0]
    if (entries.length === 1 && first?.single !== undefined) {
      matches = [matchOf(first.single, first.singleSubscription as Subscription, undefined)]
    } else if (entries.length > 0) {
      matches = mergeEntries(entries)
    }
    for (const entry of entries) {
      if (entry.groups !== undefined) groups = [...groups, ...entry.groups.values()]
      if (entry.streams !== undefined) streams = [...streams, ...entry.streams.values()]
    }
    const loggedCount = matches.reduce((count, match) => count + (isLogged(match) ? 1 : 0), 0)
    return {
      topic,
      source: topicHash(topic) % this.sourceCount,
      direct: matches,
      live: loggedCount === 0 ? matches : matches.filter((match) => !isLogged(match)),
      logged: loggedCount === 0 ? none : loggedCount === matches.length ? matches : matches.filter(isLogged),
      groups,
      streams,
      version: this.version
    }
  }
}

const none: ReadonlyArray<never> = []

/** Wildcards in the first level do not match `$SYS` [MQTT-4.7.2-1]. */
const isSysFilter = (filter: string): boolean => filter.startsWith("$SYS/")

const isLogged = (match: Match): boolean => match.subscriber.durable && match.qos > 0

const mergeEntries = (entries: ReadonlyArray<Entry>): ReadonlyArray<Match> => {
  const matches = new Map<Subscriber, Match>()
  for (const entry of entries) {
    if (entry.single !== undefined) addMatch(matches, entry.single, entry.singleSubscription as Subscription)
    if (entry.subscribers !== undefined) {
      for (const [subscriber, subscription] of entry.subscribers) addMatch(matches, subscriber, subscription)
    }
  }
  return [...matches.values()]
}

/** Overlapping subscriptions of one subscriber become one delivery with all their identifiers [MQTT-3.3.4-2], [MQTT-3.3.4-4]. */
const addMatch = (matches: Map<Subscriber, Match>, subscriber: Subscriber, subscription: Subscription): void => {
  const before = matches.get(subscriber)
  matches.set(subscriber, before === undefined ? matchOf(subscriber, subscription, undefined) : merge(before, subscription))
}

/** What one subscription alone comes to. */
export const matchOf = (subscriber: Subscriber, subscription: Subscription, group: SharedGroup | undefined): Match => ({
  subscriber,
  qos: subscription.qos,
  noLocal: subscription.noLocal,
  retainAsPublished: subscription.retainAsPublished,
  subscriptionIds: subscription.subscriptionId === undefined ? undefined : [subscription.subscriptionId],
  since: subscription.since,
  group
})

const merge = (match: Match, subscription: Subscription): Match => ({
  subscriber: match.subscriber,
  qos: Math.max(match.qos, subscription.qos) as QoS,
  // Every one of them has to forbid the publisher's own messages, else one of them wants it.
  noLocal: match.noLocal && subscription.noLocal,
  retainAsPublished: match.retainAsPublished || subscription.retainAsPublished,
  subscriptionIds:
    subscription.subscriptionId === undefined
      ? match.subscriptionIds
      : [...(match.subscriptionIds ?? []), subscription.subscriptionId],
  since: match.since.map((offset, source) => Math.min(offset, subscription.since[source] ?? 0)),
  group: match.group
})
