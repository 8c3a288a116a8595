/**
 * A shared subscription: each message goes to one of the members [MQTT5 4.8.2].
 *
 * Invariants
 * - A group is durable once one of its members is: QoS 1 and 2 messages then come from the log through its `feed`, and are
 *   *outstanding* until a member settled them. What is released by a member that left goes to another before anything newer.
 * - A message that has *begun* to go to a member at QoS 2 goes to nobody else [MQTT-4.8.2-4], [MQTT-4.8.2-5]; it leaves when the
 *   journal says that a restart knows that. Only a member whose session ends may give it back, before it has left.
 * - QoS 0 messages, and all messages of a group that is not durable, are given to a connected member at once, or dropped.
 */
import type { LogFeed } from "./LogFeed.js"
import type { Message, QoS } from "./Message.js"
import type { LogHolder, MessageLog } from "./MessageLog.js"
import type { LogEntry, Match, Subscriber, Subscription } from "./Subscriber.js"
import type { GroupPlace, GroupSnapshot, Holder } from "./core/GroupRecords.js"
import { matchOf, topicHash } from "./core/RouteTable.js"

export type SharedStrategy = "round-robin" | "random" | "sticky" | "hash-client" | "hash-topic"

/** Keeps what a durable group has begun to give at QoS 2; see `GroupStore`. */
export interface HandOutJournal {
  /** The message is the holder's from now on (undefined: nobody's again); `durable` is called when a restart would know it. */
  handedOut(group: SharedGroup, source: number, offset: number, holder: Holder | undefined, durable?: () => void): void
}

interface Member {
  readonly subscriber: Subscriber
  match: Match
  subscription: Subscription
}

export class SharedGroup implements LogHolder {
  private readonly members: Array<Member> = []
  /** By source and offset; undefined where a restored session holds it and its message was not read. */
  private readonly outstanding: ReadonlyArray<Map<number, LogEntry | undefined>>
  /**
   * By source and offset: who has begun to get what is outstanding; after a restart also what the feed will come by that has been
   * begun or done.
   */
  private readonly begun: ReadonlyArray<Map<number, Holder>>
  private returned: Array<LogEntry> = []
  private next = 0
  private sticky: Subscriber | undefined
  /** Set by the tenant's space while the group is durable. */
  feed: LogFeed<SharedGroup> | undefined
  /** True from when a durable member joins until the last member leaves. */
  durable = false
  /** The highest QoS granted to a member. */
  qos: QoS = 0

  constructor(
    readonly name: string,
    readonly filter: string,
    public strategy: SharedStrategy,
    private readonly random: () => number,
    private readonly log: MessageLog,
    private readonly journal: HandOutJournal
  ) {
    this.outstanding = Array.from({ length: log.sourceCount }, () => new Map())
    this.begun = Array.from({ length: log.sourceCount }, () => new Map())
  }

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

  /** Earliest offset by source that a durable member is for: where a restored group begins of which nothing was stored. */
  get since(): ReadonlyArray<number> {
    const members = this.members.filter(({ subscriber }) => subscriber.durable)
    return this.outstanding.map((_, source) => Math.min(...members.map(({ subscription }) => subscription.since[source] ?? 0)))
  }

  /** Looks again at what its members come to: one joined or left. */
  refresh(): void {
    this.durable ||= this.members.some((member) => member.subscriber.durable)
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
    const { source, offset } = entry
    if (this.passes(source, offset)) return
    const member = this.pick(entry.message)
    if (member === undefined) {
      this.returned.push(entry)
      return
    }
    this.outstanding[source]?.set(offset, entry)
    member.subscriber.deliverLogged(entry, member.match)
  }

  /** Whether the message was begun before a restart: the feed comes by it once. */
  private passes(source: number, offset: number): boolean {
    const begun = this.begun[source]
    if (begun === undefined || begun.size === 0 || !begun.has(offset)) return false
    if (this.outstanding[source]?.has(offset) !== true) begun.delete(offset)
    return true
  }

  /** A member begins to get the message at QoS 2; `durable` is called when it may leave. */
  begin(source: number, offset: number, holder: Holder, durable: () => void): void {
    this.begun[source]?.set(offset, holder)
    this.journal.handedOut(this, source, offset, holder, durable)
  }

  /** A member has acknowledged the message, or its session has ended when it had begun. */
  settle(source: number, offset: number): void {
    this.outstanding[source]?.delete(offset)
    const begun = this.begun[source]
    if (begun !== undefined && begun.size > 0 && offset < (this.feed?.safePosition(source) ?? Number.POSITIVE_INFINITY)) {
      begun.delete(offset)
    }
    this.pump()
  }

  /** A member left without having acknowledged the message: it goes to another, before newer ones. */
  release(source: number, offset: number): void {
    const outstanding = this.outstanding[source]
    if (outstanding?.has(offset) !== true) return
    if (this.begun[source]?.delete(offset) === true) this.journal.handedOut(this, source, offset, undefined)
    const entry = outstanding.get(offset)
    if (entry === undefined) {
      this.recover([{ source, offset }])
      return
    }
    outstanding.delete(offset)
    this.returned.push(entry)
    this.pump()
  }

  /** The same for a message that is not in the log; false where there is nobody left to take it. */
  releaseLive(message: Message): boolean {
    return this.dispatch(message)
  }

  /** A restored session holds the message in flight: it is outstanding there. */
  claim(source: number, offset: number, holder: Holder): void {
    this.outstanding[source]?.set(offset, undefined)
    this.begun[source]?.set(offset, holder)
  }

  isClaimed(source: number, offset: number): boolean {
    return this.outstanding[source]?.has(offset) === true
  }

  /** The feed will come by a message that was done before a restart. */
  pass(source: number, offset: number, holder: Holder): void {
    this.begun[source]?.set(offset, holder)
  }

  /** Reads messages that nobody holds any more from the log, and gives them out. */
  recover(places: ReadonlyArray<{ readonly source: number; readonly offset: number }>): void {
    for (const { source, offset } of places) {
      this.outstanding[source]?.set(offset, undefined)
      this.log.fetch(source, offset, (message) => {
        this.outstanding[source]?.delete(offset)
        if (message !== undefined) this.returned.push({ message, source, offset })
        this.pump()
      })
    }
  }

  /** The lowest offset of the log that the group still needs. */
  lowestHeld(source: number): number {
    let lowest = this.feed?.safePosition(source) ?? Number.POSITIVE_INFINITY
    for (const offset of this.outstanding[source]?.keys() ?? []) if (offset < lowest) lowest = offset
    for (const entry of this.returned) if (entry.source === source && entry.offset < lowest) lowest = entry.offset
    return lowest
  }

  /** What a restart must know. */
  snapshot(feed: LogFeed<SharedGroup>): GroupSnapshot {
    const places: Array<GroupPlace> = []
    this.outstanding.forEach((offsets, source) => {
      const begun = this.begun[source] as Map<number, Holder>
      for (const offset of offsets.keys()) places.push({ source, offset, holder: begun.get(offset) })
      const position = feed.safePosition(source)
      for (const [offset, holder] of begun) {
        if (offsets.has(offset)) continue
        if (offset >= position) places.push({ source, offset, holder })
        // The feed has passed it without it: it is no longer in the log.
        else begun.delete(offset)
      }
    })
    for (const { source, offset } of this.returned) places.push({ source, offset, holder: undefined })
    return { positions: this.outstanding.map((_, source) => feed.safePosition(source)), places }
  }

  /** Takes up what was returned, then goes on with the feed. */
  pump(): void {
    while (this.returned.length > 0 && this.capacity > 0) this.accept(this.returned.shift() as LogEntry)
    this.feed?.pump()
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
