/**
 * One client's session: its subscriptions, what is on the way to it (`Outbound`) and the QoS 2 identifiers it publishes under.
 *
 * A session is durable when it outlives its connection. Then QoS 1 and 2 messages reach it by way of the tenant's log, and what
 * must survive a restart is written through `SessionJournal`; what may only be sent once that is durable waits in `gates`.
 *
 * Invariants
 * - Whether a session is durable never changes.
 * - A gate opens after the write that holds everything marked before it, in the order of closing.
 * - Subscriptions here and in the tenant's space are the same.
 */
import type { FeedReader } from "@effectmq/messaging/LogFeed"
import type { Message, QoS } from "@effectmq/messaging/Message"
import type { LogHolder } from "@effectmq/messaging/MessageLog"
import type { RetainedRange } from "@effectmq/messaging/RetainedReplay"
import type { SharedGroup } from "@effectmq/messaging/SharedGroup"
import type { LogEntry, Match, Subscriber, Subscription } from "@effectmq/messaging/Subscriber"
import type { ProtocolVersion, Will } from "../codec/Packets.js"
import { Delivery } from "./Delivery.js"
import { InboundQos2 } from "./InboundQos2.js"
import { Outbound } from "./Outbound.js"
import { Replay } from "./Replay.js"
import type { SessionContext, SessionOutput } from "./SessionPorts.js"
import { inflightOf, positionsOf, replaysOf } from "./SessionProgress.js"
import type { StoredHeader, StoredProgress, StoredSubscription } from "./SessionRecords.js"
import type { Timed } from "./TimerHeap.js"

/** Session Expiry Interval that never ends [MQTT5 3.1.2.11.2]. */
export const neverExpires = 0xffffffff

/** What waits for a write: a delivery goes on, anything else is called. */
export type Gate = Delivery | (() => void)

export interface SubscribeOptions {
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionId: number | undefined
}

/** A filter as a client writes it, taken apart. */
export interface SubscribeTarget {
  /** As written, with its prefix. */
  readonly text: string
  readonly filter: string
  readonly group: string | undefined
}

interface Kept {
  readonly subscription: Subscription
  readonly group: SharedGroup | undefined
  readonly retainHandling: 0 | 1 | 2
  replay: boolean
}

export interface SessionIdentity {
  readonly clientId: string
  readonly version: ProtocolVersion
  readonly incarnation: number
  readonly createdAtMs: number
  readonly durable: boolean
}

const noSince: ReadonlyArray<number> = []
const noGates: ReadonlyArray<Gate> = []

export class Session implements Subscriber, FeedReader<Match>, LogHolder, Timed {
  readonly clientId: string
  readonly durable: boolean
  readonly incarnation: number
  readonly createdAtMs: number
  version: ProtocolVersion
  expirySeconds = 0
  /** 0 while connected. */
  disconnectedAtMs = 0
  connectedAtMs = 0
  user: string | undefined = undefined
  address = ""
  will: Will | undefined = undefined
  /** How many connections it has had. */
  connection = 0
  /** Wall-clock ms at which the will is due; 0: it is not pending. */
  willDueMs = 0
  deadlineMs = 0
  heapIndex = -1
  /** The connection that owns the session, also while its CONNACK waits; `outbound.output` once messages may flow. */
  client: SessionOutput | undefined = undefined
  ended = false
  /** Number of the next message that a shared group gives it at QoS 2. */
  nextHandOut = 1
  readonly outbound: Outbound
  private keptByFilter: Map<string, Kept> | undefined
  private inboundUses: InboundQos2 | undefined
  private gates: Array<Gate> = []
  private moved = false
  /** Shared groups it is a member of. */
  private groups: Set<SharedGroup> | undefined
  /** A filter differs from what the client wrote (rewritten, exclusive), so that two texts may stand for one subscription. */
  private hasAliases = false
  /** Retained messages of QoS 2 that are on their way to subscriptions, by filter as written. */
  private replaysByText: Map<string, Replay> | undefined

  constructor(
    identity: SessionIdentity,
    readonly context: SessionContext
  ) {
    this.clientId = identity.clientId
    this.version = identity.version
    this.incarnation = identity.incarnation
    this.createdAtMs = identity.createdAtMs
    this.durable = identity.durable
    this.outbound = new Outbound(this, context)
  }

  // --- Subscriber, FeedReader and LogHolder

  get online(): boolean {
    return this.outbound.output !== undefined
  }

  get capacity(): number {
    return this.outbound.capacity
  }

  deliver(message: Message, match: Match): void {
    // Its subscriptions may still be about to leave.
    if (this.ended) return
    this.outbound.deliver(message, match)
  }

  deliverLogged(entry: LogEntry, match: Match): void {
    if (match.group !== undefined) this.outbound.accept(entry, match)
    else this.outbound.feed?.offer(entry, match)
  }

  accept(entry: LogEntry, match: Match): void {
    this.outbound.accept(entry, match)
  }

  matchLogged(entry: LogEntry): Match | undefined {
    return this.context.space.matchLogged(this, entry)
  }

  wantsTopic(topic: string): boolean {
    return this.context.space.wantsTopic(this, topic)
  }

  lost(count: number): void {
    this.context.counters.droppedLost += count
  }

  lowestHeld(source: number): number {
    return this.outbound.lowestHeld(source)
  }

  onDeadline(nowMs: number): void {
    this.context.deadline(this, nowMs)
  }

  // --- connections

  /** Messages may flow: what was not acknowledged is sent again. CONNACK is written before. */
  attach(output: SessionOutput, receiveMaximum: number): void {
    this.outbound.attach(output, Math.min(receiveMaximum, this.context.options.inflightMax))
    this.pumpGroups()
  }

  detach(): void {
    this.outbound.detach()
  }

  /** The connection has room again. */
  drained(): void {
    this.roomAgain()
  }

  /** An acknowledgement made room. */
  roomAgain(): void {
    this.outbound.pump()
    this.pumpGroups()
  }

  private pumpGroups(): void {
    if (this.groups === undefined) return
    for (const group of this.groups) group.pump()
  }

  // --- subscriptions

  get subscriptionCount(): number {
    return this.keptByFilter?.size ?? 0
  }

  get subscriptions(): ReadonlyMap<string, { readonly subscription: Subscription; readonly retainHandling: 0 | 1 | 2 }> {
    return this.keptByFilter ?? new Map()
  }

  isSubscribed(text: string): boolean {
    return this.keptByFilter?.has(text) ?? false
  }

  /**
   * Adds or replaces a subscription [MQTT-3.8.4-3]. The answer starts its retained messages, to be called behind SUBACK;
   * undefined where there are none to send.
   */
  subscribe(target: SubscribeTarget, options: SubscribeOptions): (() => void) | undefined {
    const { space } = this.context
    const before = this.keptByFilter?.get(target.text)
    const since = before?.subscription.since ?? (this.durable || target.group !== undefined ? undefined : noSince)
    const { subscription } = space.subscribe(this, {
      filter: target.filter,
      group: target.group,
      qos: options.qos,
      noLocal: options.noLocal,
      retainAsPublished: options.retainAsPublished,
      subscriptionId: options.subscriptionId,
      // A replaced subscription loses nothing that waits [MQTT-3.8.4-4].
      since
    })
    const kept = this.keep(target, subscription, options.retainHandling)
    // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]; never for shared subscriptions [MQTT5 4.8.2].
    const wanted =
      target.group === undefined && options.retainHandling !== 2 && !(options.retainHandling === 1 && before !== undefined)
    this.dropReplay(target.text)
    const replay = wanted && space.retained.matchesAny(target.filter) ? this.replayOf(target, options, undefined) : undefined
    kept.replay = this.durable && subscription.qos > 0 && replay !== undefined
    if (this.durable) this.context.journal.subscriptionChanged(this, target.text)
    if (replay === undefined) return undefined
    return () => {
      if (this.keptByFilter?.get(target.text) === kept) this.outbound.replay(replay)
    }
  }

  /** The retained messages of a subscription; those of QoS 2 to a durable session so that a restart can go on with them. */
  private replayOf(
    { filter, text }: SubscribeTarget,
    { qos, subscriptionId }: { readonly qos: QoS; readonly subscriptionId: number | undefined },
    range: RetainedRange | undefined
  ): Replay {
    const { retained } = this.context.space
    const isExact = this.durable && qos === 2
    const entries = isExact ? retained.replay(filter, range) : retained.find(filter)
    const replay = new Replay(entries, qos, subscriptionId === undefined ? undefined : [subscriptionId], text)
    if (isExact) {
      this.replaysByText ??= new Map()
      this.replaysByText.set(text, replay)
    }
    return replay
  }

  private dropReplay(text: string): void {
    this.outbound.dropReplays(text)
    this.replaysByText?.delete(text)
  }

  /** Whether another session has the filter to itself: `$exclusive/`. */
  exclusivelyTaken(target: SubscribeTarget): boolean {
    if (!isExclusive(target.text)) return false
    const holder = this.context.exclusiveByFilter.get(target.filter)
    return holder !== undefined && holder !== this
  }

  private keep(target: SubscribeTarget, subscription: Subscription, retainHandling: 0 | 1 | 2): Kept {
    const group = target.group === undefined ? undefined : this.context.space.group(target.filter, target.group)
    const kept: Kept = { subscription, group, retainHandling, replay: false }
    this.keptByFilter ??= new Map()
    this.keptByFilter.set(target.text, kept)
    if (isExclusive(target.text)) this.context.exclusiveByFilter.set(target.filter, this)
    if (target.text !== (target.group === undefined ? target.filter : `$share/${target.group}/${target.filter}`)) {
      this.hasAliases = true
    }
    if (group !== undefined) {
      this.groups ??= new Set()
      this.groups.add(group)
    } else if (this.durable && this.outbound.feed === undefined) this.makeFeed(subscription.since)
    return kept
  }

  private makeFeed(positions: ReadonlyArray<number>): void {
    const { space } = this.context
    const feed = space.createFeed(this, positions)
    this.outbound.feed = feed
    space.log.hold(this)
    if (this.online) feed.attach()
  }

  /** `kept` is no longer in the table. Answers whether another text stands for the same subscription and takes its place. */
  private leave(text: string, kept: Kept): boolean {
    const { filter } = kept.subscription
    const group = kept.group?.name
    if (isExclusive(text)) this.context.exclusiveByFilter.delete(filter)
    const other = this.hasAliases ? this.sameAs(kept) : undefined
    if (other === undefined) {
      if (this.durable && kept.group !== undefined) this.afterWrite(this.context.space.leavingGroup(kept.group))
      this.context.space.unsubscribe(this, filter, group)
      return false
    }
    const [otherText, { subscription }] = other
    this.context.space.subscribe(this, { ...subscription, group })
    if (isExclusive(otherText)) this.context.exclusiveByFilter.set(filter, this)
    return true
  }

  private sameAs({ group, subscription }: Kept): readonly [text: string, kept: Kept] | undefined {
    for (const entry of this.keptByFilter ?? []) {
      if (entry[1].group === group && entry[1].subscription.filter === subscription.filter) return entry
    }
    return undefined
  }

  /** Answers whether there was such a subscription. */
  unsubscribe(text: string): boolean {
    const kept = this.keptByFilter?.get(text)
    if (kept === undefined) return false
    this.keptByFilter?.delete(text)
    const replaced = this.leave(text, kept)
    if (kept.group !== undefined && !replaced) {
      this.groups?.delete(kept.group)
      this.outbound.leaveGroup(kept.group)
    }
    this.dropReplay(text)
    if (this.durable) this.context.journal.subscriptionChanged(this, text)
    return true
  }

  /** All retained messages of a subscription were handed over. */
  replayed(text: string): void {
    const kept = this.keptByFilter?.get(text)
    if (kept === undefined || !kept.replay) return
    kept.replay = false
    this.replaysByText?.delete(text)
    this.context.journal.subscriptionChanged(this, text)
  }

  // --- QoS 2 from the client

  get inbound(): InboundQos2 {
    return (this.inboundUses ??= new InboundQos2())
  }

  get inboundCount(): number {
    return this.inboundUses?.size ?? 0
  }

  // --- durability

  /** The delivery goes on, or the function is called, once everything marked until now is durable. */
  whenDurable(gate: Gate): void {
    this.gates.push(gate)
    this.context.journal.progressChanged(this)
  }

  /** The same where header or subscriptions have been marked already. */
  afterWrite(gate: () => void): void {
    this.gates.push(gate)
  }

  progressMoved(): void {
    if (this.moved) return
    this.moved = true
    this.context.journal.progressMoved(this)
  }

  /** The journal takes the session's newest state now: what waits for this write. */
  takeGates(): ReadonlyArray<Gate> {
    const { gates } = this
    // What is given away must not grow any more.
    if (gates.length === 0) return noGates
    this.gates = []
    return gates
  }

  /** The write that they waited for has failed: the next holds what it held. */
  putBackGates(gates: ReadonlyArray<Gate>): void {
    this.gates = [...gates, ...this.gates]
  }

  openGates(gates: ReadonlyArray<Gate>): void {
    for (const gate of gates) {
      if (gate instanceof Delivery) this.outbound.durable(gate)
      else gate()
    }
  }

  /** Nothing of the session can be written for now: its client is told, what waits goes on waiting. */
  storageFailed(message: string): void {
    this.client?.end(0x83, message)
  }

  /** Ends the session for good. Its will is the registry's business. */
  end(): void {
    this.ended = true
    this.outbound.end()
    if (this.durable) this.context.journal.ended(this, [...(this.keptByFilter?.keys() ?? [])])
    this.gates = []
    this.leaveAll()
    this.context.space.log.release(this)
  }

  /** Groups and exclusive filters, which others may want, at once; the rest may take its time, because nothing is delivered. */
  private leaveAll(): void {
    const { context, keptByFilter } = this
    if (keptByFilter === undefined) return
    this.keptByFilter = undefined
    const filters: Array<string> = []
    for (const [text, { subscription, group }] of keptByFilter) {
      if (isExclusive(text)) context.exclusiveByFilter.delete(subscription.filter)
      if (group === undefined) {
        filters.push(subscription.filter)
        continue
      }
      if (this.durable) this.afterWrite(context.space.leavingGroup(group))
      context.space.unsubscribe(this, subscription.filter, group.name)
    }
    context.slices.run({
      step: () => {
        const filter = filters.pop()
        if (filter !== undefined) context.space.unsubscribe(this, filter, undefined)
        return filters.length > 0
      }
    })
  }

  // --- as stored

  header(): StoredHeader {
    const { version, incarnation, expirySeconds, createdAtMs, disconnectedAtMs, user, will, connection } = this
    return { version, incarnation, expirySeconds, createdAtMs, disconnectedAtMs, user, will, connection }
  }

  storedSubscription(text: string): StoredSubscription | undefined {
    const kept = this.keptByFilter?.get(text)
    if (kept === undefined) return undefined
    const { qos, noLocal, retainAsPublished, subscriptionId, since } = kept.subscription
    const filter = kept.subscription.filter === withoutPrefix(text) ? undefined : kept.subscription.filter
    const { retainHandling, replay } = kept
    return { qos, noLocal, retainAsPublished, subscriptionId, since, retainHandling, replay, filter }
  }

  /** The newest progress; from now on `progressMoved` says when there is newer. */
  progress(): StoredProgress {
    this.moved = false
    const { outbound, nextHandOut, inboundUses, replaysByText, context } = this
    return {
      positions: positionsOf(outbound, context.space.log.sourceCount),
      nextUse: inboundUses?.nextUse ?? 1,
      uses: inboundUses === undefined ? [] : [...inboundUses.values()],
      nextHandOut,
      inflight: inflightOf(outbound),
      replays: replaysByText === undefined ? [] : replaysOf(replaysByText)
    }
  }

  /** Takes up what was stored, before the client returns. `deliveries` in the order of `progress().inflight`. */
  restore(
    header: StoredHeader,
    subscriptions: ReadonlyMap<SubscribeTarget, StoredSubscription>,
    progress: StoredProgress | undefined
  ): void {
    this.expirySeconds = header.expirySeconds
    this.disconnectedAtMs = header.disconnectedAtMs
    this.user = header.user
    this.will = header.will
    this.connection = header.connection
    const { space } = this.context
    this.nextHandOut = progress?.nextHandOut ?? 1
    if (progress !== undefined && progress.positions.length > 0) this.makeFeed(progress.positions)
    if (progress !== undefined && (progress.nextUse > 1 || progress.uses.length > 0)) {
      this.inbound.restore(progress.nextUse, progress.uses)
    }
    for (const [target, stored] of subscriptions) {
      const { subscription } = space.subscribe(this, { ...stored, filter: target.filter, group: target.group })
      const kept = this.keep(target, subscription, stored.retainHandling)
      kept.replay = stored.replay
      if (!stored.replay) continue
      const range = progress?.replays.find(({ filter }) => filter === target.text)
      this.outbound.replay(this.replayOf(target, stored, range))
    }
  }
}

/** The filter that a text names: what stands behind `$share/<group>/` or `$exclusive/`. */
const withoutPrefix = (text: string): string =>
  text.startsWith("$share/") ? text.slice(text.indexOf("/", 7) + 1) : isExclusive(text) ? text.slice(11) : text

const isExclusive = (text: string): boolean => text.startsWith("$exclusive/")
