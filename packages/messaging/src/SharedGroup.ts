/**
 * A shared subscription: each message goes to one of the members [MQTT5 4.8.2].
 *
 * Invariants
 * - A group is durable while one of its members is: QoS 1 and 2 messages then come from the log through its `feed`, and are
 *   *outstanding* until a member settled them. What is released by a member that left goes to another before anything newer.
 * - QoS 0 messages, and all messages of a group that is not durable, are given to a connected member at once, or dropped.
 */
import type { LogFeed } from "./LogFeed.js"
import type { Message, QoS } from "./Message.js"
import type { LogHolder, MessageLog } from "./MessageLog.js"
import type { LogEntry, Match, Subscriber, Subscription } from "./Subscriber.js"
import { matchOf, topicHash } from "./core/RouteTable.js"

export type SharedStrategy = "round-robin" | "random" | "sticky" | "hash-client" | "hash-topic"

interface Member {
  readonly subscriber: Subscriber
  match: Match
  subscription: Subscription
}

export class SharedGroup implements LogHolder {
  private readonly members: Array<Member> = []
  /** By place in the log; undefined where a restored session holds it and its message was not read. */
  private readonly outstandingByPlace = new Map<string, LogEntry | undefined>()
  private returned: Array<LogEntry> = []
  private next = 0
  private sticky: Subscriber | undefined
  /** Set by the tenant's space while the group is durable. */
  feed: LogFeed<SharedGroup> | undefined
  /** True while a member is durable. */
  durable = false
  /** The highest QoS granted to a member. */
  qos: QoS = 0

  constructor(
    readonly name: string,
    readonly filter: string,
    readonly strategy: SharedStrategy,
    private readonly random: () => number,
    private readonly log: MessageLog
  ) {}

  get size(): number {
    return this.members.length
  }

  get online(): boolean {
    return this.members.some((member) => member.subscriber.online)
  }

  get capacity(): number {
    let capacity = 0
    for (const member of this.members) if (member.subscriber.online) capacity += member.subscriber.capacity
    return capacity
  }

  get clientIds(): ReadonlyArray<string> {
    return this.members.map((member) => member.subscriber.clientId)
  }

  /** Earliest offset by source that the group is for: where its first member joined. */
  get since(): ReadonlyArray<number> {
    return this.members[0]?.subscription.since ?? []
  }

  /** Looks again at what its members come to: one joined, left, or became durable. */
  refresh(): void {
    this.durable = this.members.some((member) => member.subscriber.durable)
    this.qos = this.members.reduce<QoS>((highest, { match }) => (match.qos > highest ? match.qos : highest), 0)
  }

  /** Adds a member or replaces its subscription; answers whether it was one. */
  join(subscriber: Subscriber, subscription: Subscription): boolean {
    const match = matchOf(subscriber, subscription, this)
    const member = this.members.find((member) => member.subscriber === subscriber)
    if (member === undefined) {
      this.members.push({ subscriber, match, subscription })
      return false
    }
    member.match = match
    member.subscription = subscription
    return true
  }

  /** Answers whether it was a member. What it holds it releases itself. */
  leave(subscriber: Subscriber): boolean {
    const index = this.members.findIndex((member) => member.subscriber === subscriber)
    if (index === -1) return false
    this.members.splice(index, 1)
    if (this.sticky === subscriber) this.sticky = undefined
    return true
  }

  /** Gives a message that is not in the log to one member; false where nobody is connected. */
  dispatch(message: Message): boolean {
    const member = this.pick(message)
    if (member === undefined) return false
    member.subscriber.deliver(message, member.match)
    return true
  }

  /** Gives a logged message to one member with capacity; it is outstanding until settled. */
  accept(entry: LogEntry): void {
    const member = this.pick(entry.message)
    if (member === undefined) {
      this.returned.push(entry)
      return
    }
    this.outstandingByPlace.set(keyOf(entry.source, entry.offset), entry)
    member.subscriber.deliverLogged(entry, member.match)
  }

  /** A member has acknowledged the message. */
  settle(source: number, offset: number): void {
    this.outstandingByPlace.delete(keyOf(source, offset))
    this.pump()
  }

  /** A member left without having acknowledged the message: it goes to another, before newer ones. */
  release(source: number, offset: number): void {
    const key = keyOf(source, offset)
    if (!this.outstandingByPlace.has(key)) return
    const entry = this.outstandingByPlace.get(key)
    if (entry === undefined) {
      this.recover([{ source, offset }])
      return
    }
    this.outstandingByPlace.delete(key)
    this.returned.push(entry)
    this.pump()
  }

  /** The same for a message that is not in the log; false where there is nobody left to take it. */
  releaseLive(message: Message): boolean {
    return this.dispatch(message)
  }

  /** A restored session holds the message in flight: it is outstanding there. */
  claim(source: number, offset: number): void {
    this.outstandingByPlace.set(keyOf(source, offset), undefined)
  }

  isClaimed(source: number, offset: number): boolean {
    return this.outstandingByPlace.has(keyOf(source, offset))
  }

  /** Reads messages that nobody holds any more from the log, and gives them out. */
  recover(places: ReadonlyArray<{ readonly source: number; readonly offset: number }>): void {
    for (const { source, offset } of places) {
      const key = keyOf(source, offset)
      this.outstandingByPlace.set(key, undefined)
      this.log.fetch(source, offset, (message) => {
        this.outstandingByPlace.delete(key)
        if (message !== undefined) this.returned.push({ message, source, offset })
        this.pump()
      })
    }
  }

  /** The lowest offset of the log that the group still needs. */
  lowestHeld(source: number): number {
    return Math.min(this.held(source)[0] ?? Number.POSITIVE_INFINITY, this.feed?.safePosition(source) ?? Number.POSITIVE_INFINITY)
  }

  /** Takes up what was returned, then goes on with the feed. */
  pump(): void {
    while (this.returned.length > 0 && this.capacity > 0) this.accept(this.returned.shift() as LogEntry)
    this.feed?.pump()
  }

  /** Offsets that are given out or returned, lowest first: what has to stay in the log. */
  held(source: number): ReadonlyArray<number> {
    const offsets: Array<number> = []
    const prefix = `${source}:`
    for (const key of this.outstandingByPlace.keys()) if (key.startsWith(prefix)) offsets.push(Number(key.slice(prefix.length)))
    for (const entry of this.returned) if (entry.source === source) offsets.push(entry.offset)
    return offsets.sort((a, b) => a - b)
  }

  private pick(message: Message): Member | undefined {
    const count = this.members.length
    if (count === 0) return undefined
    const first = this.firstChoice(message, count)
    let queueing: Member | undefined
    for (let step = 0; step < count; step++) {
      const member = this.members[(first + step) % count] as Member
      if (!member.subscriber.online) continue
      if (member.subscriber.capacity > 0) return this.picked(member, first + step)
      queueing ??= member
    }
    return queueing === undefined ? undefined : this.picked(queueing, first)
  }

  private picked(member: Member, index: number): Member {
    if (this.strategy === "round-robin") this.next = index + 1
    this.sticky = member.subscriber
    return member
  }

  private firstChoice(message: Message, count: number): number {
    switch (this.strategy) {
      case "round-robin":
        return this.next % count
      case "random":
        return Math.floor(this.random() * count)
      case "sticky": {
        const index = this.members.findIndex((member) => member.subscriber === this.sticky)
        return index === -1 ? Math.floor(this.random() * count) : index
      }
      case "hash-client":
        return topicHash(message.publisher) % count
      case "hash-topic":
        return topicHash(message.topic) % count
    }
  }
}

const keyOf = (source: number, offset: number): string => `${source}:${offset}`
