/**
 * The way of messages from the broker to one client: QoS 0, 1 and 2, within the client's receive maximum, in order.
 *
 * Sources of messages, in the order in which they are served when there is room: those to be sent again after a reconnect, the
 * queue of live messages, retained messages of new subscriptions, the feed from the log.
 *
 * Invariants
 * - At most `window` PUBLISH packets of QoS 1 and 2 are out on this connection without PUBACK or PUBCOMP [MQTT-3.3.4-7].
 * - The queue holds at most `queueMax` messages and about `queueBytesMax`; past it one is dropped, by the rule of `queueDrop`.
 * - Once `inflightBytesMax` are in flight, nothing more is sent until something is acknowledged.
 * - In a durable session, PUBLISH of QoS 2 and every PUBREL leave only after the progress that says so is durable. PUBLISH of QoS 2
 *   from a durable shared group leaves only after the group's hand-out is.
 * - Messages of one QoS leave in the order in which they came [MQTT-4.6.0-6]; those sent again in the order of the first time.
 * - Tables and queues are made when they are first needed.
 */
import type { LogFeed } from "@effectmq/messaging/LogFeed"
import type { Message, QoS } from "@effectmq/messaging/Message"
import type { RetainedEntry } from "@effectmq/messaging/Retained"
import type { SharedGroup } from "@effectmq/messaging/SharedGroup"
import type { SlicedWork } from "@effectmq/messaging/core/Slices"
import type { LogEntry, Match } from "@effectmq/messaging/Subscriber"
import { Delivery, handOutGate, notStored, progressGate, retainedSource } from "./Delivery.js"
import { DeliveryQueue } from "./DeliveryQueue.js"
import { Fifo } from "./Fifo.js"
import { PacketTable } from "./PacketTable.js"
import type { Replay } from "./Replay.js"
import type { Session } from "./Session.js"
import type { SessionContext, SessionOutput } from "./SessionPorts.js"

/** What came of a PUBREC or PUBCOMP. */
export type AckResult = "done" | "unknown" | "protocol-error"

const lower = (a: QoS, b: QoS): QoS => (a < b ? a : b)

export class Outbound implements SlicedWork {
  output: SessionOutput | undefined = undefined
  /** The feed from the log, in a durable session. */
  feed: LogFeed<Match> | undefined = undefined
  private window = 0
  /** PUBLISH packets out on this connection. */
  private counted = 0
  private sequence = 0
  private inflight: PacketTable<Delivery> | undefined
  private resends: Fifo<Delivery> | undefined
  private queue: DeliveryQueue | undefined
  /** Payload bytes in `inflight`. */
  private inflightBytes = 0
  private replays: Fifo<Replay> | undefined
  private pumping = false

  constructor(
    private readonly session: Session,
    private readonly context: SessionContext
  ) {}

  get inflightCount(): number {
    return this.inflight?.size ?? 0
  }

  get queuedCount(): number {
    return (this.queue?.size ?? 0) + (this.feed?.queuedCount ?? 0)
  }

  get replaying(): boolean {
    return (this.replays?.size ?? 0) > 0
  }

  get capacity(): number {
    if (this.output === undefined || this.output.saturated || this.inflightBytes >= this.context.options.inflightBytesMax)
      return 0
    const free = this.window - (this.inflight?.size ?? 0) - (this.queue?.size ?? 0)
    return free > 0 ? free : 0
  }

  // --- messages come in

  deliver(message: Message, match: Match): void {
    const qos = lower(message.qos, match.qos)
    // RETAIN as published only where the subscription asks for it [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    const retain = message.retain && match.retainAsPublished
    if (qos === 0) {
      const { output } = this
      if (output === undefined) return
      if (output.saturated) this.context.counters.droppedQos0Saturated++
      else if (!output.publish(message, 0, 0, false, retain, match.subscriptionIds)) this.context.counters.droppedTooLarge++
      return
    }
    this.take(new Delivery(message, qos, retain, match.subscriptionIds, match.group, notStored, -1))
  }

  /** From the log by way of a shared group or the feed, which look at `capacity` first. */
  accept(entry: LogEntry, match: Match): void {
    const { message, source, offset } = entry
    const retain = message.retain && match.retainAsPublished
    const qos = lower(message.qos, match.qos)
    this.take(new Delivery(message, qos, retain, match.subscriptionIds, match.group, source, offset))
  }

  replay(replay: Replay): void {
    this.replays ??= new Fifo()
    this.replays.push(replay)
    this.pump()
  }

  private take(delivery: Delivery): void {
    if (this.capacity > 0) this.send(delivery)
    else this.enqueue(delivery)
  }

  private enqueue(delivery: Delivery): void {
    const queue = (this.queue ??= new DeliveryQueue())
    const { options, counters } = this.context
    while (queue.isFull(options)) {
      counters.droppedQueueFull++
      if (options.queueDrop === "newest") {
        this.settle(delivery)
        return
      }
      this.settle(queue.shift())
    }
    queue.push(delivery)
  }

  /** Takes out of the queue what `leaves`; the rest keeps its order. */
  private takeFromQueue(leaves: (delivery: Delivery) => boolean): Array<Delivery> {
    const taken = this.queue?.takeOut(leaves) ?? []
    if (this.queue?.size === 0) this.queue = undefined
    return taken
  }

  // --- messages go out

  /** Sends what there is room for; called whenever there may be room. */
  pump(): void {
    const { queue, feed, resends, replays } = this
    if (queue === undefined && feed === undefined && resends === undefined && replays === undefined) return
    if (this.output === undefined || this.pumping) return
    this.pumping = true
    this.pumpResends()
    this.pumpQueue()
    this.pumpReplays()
    this.pumping = false
    if (this.feed !== undefined && this.capacity > 0) this.feed.pump()
  }

  private pumpResends(): void {
    const { resends } = this
    if (resends === undefined) return
    while (resends.size > 0 && this.counted < this.window && this.output?.saturated === false) {
      const delivery = resends.shift() as Delivery
      // It may have been settled or released since.
      if (delivery.state === "unsent" && this.isInFlight(delivery)) this.transmit(delivery)
    }
    if (resends.size === 0) this.resends = undefined
  }

  private pumpQueue(): void {
    const { queue } = this
    if (queue === undefined) return
    while (queue.size > 0 && this.hasRoom()) this.send(queue.shift())
    if (queue.size === 0) this.queue = undefined
  }

  private pumpReplays(): void {
    if (this.replays !== undefined && this.hasRoom()) this.context.slices.run(this)
  }

  /** Sends one retained message: what `pumpReplays` began, with others in turns. */
  step(): boolean {
    const { replays } = this
    if (replays === undefined || !this.hasRoom()) return false
    const replay = replays.peek() as Replay
    const entry = replay.take()
    if (entry !== undefined) {
      this.sendRetained(entry, replay)
    } else if (replay.done) {
      replays.shift()
      if (replays.size === 0) this.replays = undefined
      this.session.replayed(replay.filter)
    }
    return this.replays !== undefined && this.hasRoom()
  }

  private hasRoom(): boolean {
    if (this.output === undefined || this.output.saturated) return false
    return (this.inflight?.size ?? 0) < this.window && this.inflightBytes < this.context.options.inflightBytesMax
  }

  private sendRetained(entry: RetainedEntry, replay: Replay): void {
    const { message } = entry
    const qos = lower(message.qos, replay.qos)
    if (qos > 0) {
      // Its offset is what names it after a restart.
      if (entry.offset < 0) this.context.space.retained.flush()
      this.send(new Delivery(message, qos, true, replay.subscriptionIds, undefined, retainedSource, entry.offset))
    } else {
      if (!(this.output as SessionOutput).publish(message, 0, 0, false, true, replay.subscriptionIds)) {
        this.context.counters.droppedTooLarge++
      }
      message.cache = undefined
    }
  }

  /** Gives a packet identifier and sends, or waits for the identifier to be durable. */
  private send(delivery: Delivery): void {
    const message = delivery.message as Message
    if (message.expiresAtMs !== 0 && message.expiresAtMs <= this.context.nowMs()) {
      // [MQTT-3.3.2-5]
      this.context.counters.droppedExpired++
      this.settle(delivery)
      return
    }
    if (delivery.qos === 0) {
      // A logged message whose subscription became QoS 0 while it waited.
      if (!(this.output as SessionOutput).publish(message, 0, 0, false, delivery.retain, delivery.subscriptionIds)) {
        this.context.counters.droppedTooLarge++
      }
      this.settle(delivery)
      return
    }
    this.inflight ??= new PacketTable()
    this.inflight.allocate(delivery)
    this.inflightBytes += delivery.sizeBytes
    delivery.sequence = ++this.sequence
    if (delivery.qos === 2) this.begin(delivery)
    else this.transmit(delivery)
  }

  /** Sends at QoS 2, once what a restart must know is durable. */
  private begin(delivery: Delivery): void {
    const { session } = this
    const isShared = delivery.group?.durable === true && delivery.source >= 0
    delivery.awaits = (session.durable ? progressGate : 0) | (isShared ? handOutGate : 0)
    if (delivery.awaits === 0) {
      this.transmit(delivery)
      return
    }
    delivery.state = "gated"
    if (isShared) {
      delivery.handOut = session.nextHandOut++
      this.handOut(delivery)
    }
    if (session.durable) session.whenDurable(delivery)
  }

  /** Has the shared group write down that the delivery is this session's: also what a crash has left unwritten. */
  handOut(delivery: Delivery): void {
    const { clientId, incarnation } = this.session
    const { group, source, offset, handOut } = delivery
    group?.begin(source, offset, { clientId, incarnation, handOut }, () => this.opened(delivery, handOutGate))
  }

  private transmit(delivery: Delivery): void {
    const { message, qos, packetId, dup, retain, subscriptionIds } = delivery
    const output = this.output as SessionOutput
    if (message === undefined || !output.publish(message, qos, packetId, dup, retain, subscriptionIds)) {
      // Too large for the client: as if it had been sent and acknowledged [MQTT-3.1.2-25].
      if (message !== undefined) this.context.counters.droppedTooLarge++
      if (dup && qos === 2) {
        // An earlier connection took it: the client has to let go of the identifier.
        delivery.state = "released"
        output.pubrel(packetId)
      } else {
        this.complete(delivery)
      }
      return
    }
    // It is kept, its encoded forms are not: they would double what a million of them take.
    if (delivery.source === retainedSource) message.cache = undefined
    if (dup) this.context.counters.resent++
    delivery.state = "sent"
    delivery.counted = true
    this.counted++
    if (this.session.durable) this.session.progressMoved()
  }

  /** Progress with this delivery's state is durable: what waited for it goes out. */
  durable(delivery: Delivery): void {
    if (delivery.state === "gated") {
      this.opened(delivery, progressGate)
    } else if (delivery.state === "releasing" && this.output !== undefined && this.isInFlight(delivery)) {
      delivery.state = "released"
      this.output.pubrel(delivery.packetId)
    }
  }

  private opened(delivery: Delivery, gate: number): void {
    delivery.awaits &= ~gate
    if (delivery.awaits === 0 && delivery.state === "gated" && this.output !== undefined && this.isInFlight(delivery)) {
      this.sendInTurn(delivery)
    }
  }

  private isInFlight(delivery: Delivery): boolean {
    return this.inflight?.get(delivery.packetId) === delivery
  }

  /** Behind what is being sent again. */
  private sendInTurn(delivery: Delivery): void {
    if (this.resends === undefined && this.counted < this.window && this.output?.saturated === false) {
      this.transmit(delivery)
      return
    }
    delivery.state = "unsent"
    this.resends ??= new Fifo()
    this.resends.push(delivery)
    this.pumpResends()
  }

  // --- acknowledgements; `nowMs`: when they came

  puback(packetId: number, nowMs: number): AckResult {
    const delivery = this.inflight?.get(packetId)
    if (delivery === undefined || !wasSent(delivery)) return "unknown"
    if (delivery.qos !== 1) return "protocol-error"
    this.finish(delivery, nowMs)
    return "done"
  }

  pubrec(packetId: number, reasonCode: number, nowMs: number): AckResult {
    const delivery = this.inflight?.get(packetId)
    if (delivery === undefined || !wasSent(delivery)) return "unknown"
    if (delivery.qos !== 2) return "protocol-error"
    if (reasonCode >= 0x80) {
      // The receiver refused it: the identifier is free again [MQTT-4.9.0-2].
      if (delivery.state === "sent") this.finish(delivery, nowMs)
      return "done"
    }
    if (delivery.state === "released") {
      ;(this.output as SessionOutput).pubrel(packetId)
    } else if (delivery.state === "sent" || delivery.state === "unsent") {
      if (this.session.durable) {
        delivery.state = "releasing"
        this.session.whenDurable(delivery)
      } else {
        delivery.state = "released"
        ;(this.output as SessionOutput).pubrel(packetId)
      }
    }
    return "done"
  }

  pubcomp(packetId: number, nowMs: number): AckResult {
    const delivery = this.inflight?.get(packetId)
    if (delivery === undefined) return "unknown"
    if (delivery.state !== "released") return delivery.qos === 2 ? "unknown" : "protocol-error"
    this.finish(delivery, nowMs)
    return "done"
  }

  private finish(delivery: Delivery, nowMs: number): void {
    // A retained message may be old; how long it was kept says nothing of its reader.
    if (delivery.message !== undefined && !delivery.dup && delivery.source !== retainedSource) {
      const { topic, publishedAtMs } = delivery.message
      this.context.observeLatency(this.session, topic, nowMs - publishedAtMs)
    }
    this.complete(delivery)
    this.session.roomAgain()
  }

  /** Out of the table, and out of its group's care. */
  private complete(delivery: Delivery): void {
    this.landed(delivery)
    if (delivery.counted) this.counted--
    if (this.session.durable) this.session.progressMoved()
    this.settle(delivery)
  }

  private landed(delivery: Delivery): void {
    if (this.inflight?.delete(delivery.packetId) === true) this.inflightBytes -= delivery.sizeBytes
  }

  private settle(delivery: Delivery): void {
    if (delivery.group !== undefined && delivery.source >= 0) delivery.group.settle(delivery.source, delivery.offset)
  }

  // --- connections come and go

  /** A client is connected: sends again what it has not acknowledged [MQTT-4.4.0-1], then goes on. */
  attach(output: SessionOutput, window: number): void {
    this.output = output
    this.window = window
    this.counted = 0
    const inflight = this.inOrder()
    for (const delivery of inflight) {
      delivery.counted = false
      if (delivery.state === "released") {
        output.pubrel(delivery.packetId)
      } else if (delivery.state === "releasing") {
        this.session.whenDurable(delivery)
      } else if (delivery.state === "gated" && delivery.awaits !== 0) {
        if ((delivery.awaits & progressGate) !== 0) this.session.whenDurable(delivery)
      } else if (delivery.message === undefined) {
        this.complete(delivery)
      } else {
        delivery.state = "unsent"
        this.resends ??= new Fifo()
        this.resends.push(delivery)
      }
    }
    this.pump()
    this.feed?.attach()
  }

  /** The client has gone. What it holds of shared groups at QoS 1, and what it was not yet sent, goes to other members. */
  detach(): void {
    this.output = undefined
    this.feed?.detach()
    this.resends = undefined
    const released: Array<Delivery> = []
    for (const delivery of this.inOrder()) {
      if (delivery.state === "sent") {
        delivery.state = "unsent"
        delivery.dup = true
      }
      delivery.counted = false
      // QoS 2 stays with a session that has begun it [MQTT-4.8.2-4]; it may return, or a restart may find it there.
      if (delivery.group !== undefined && (delivery.qos === 1 || (!this.session.durable && !wasSent(delivery)))) {
        this.landed(delivery)
        released.push(delivery)
      } else {
        delivery.compact()
      }
    }
    released.push(...this.takeFromQueue(({ group }) => group !== undefined))
    for (const delivery of released) release(delivery)
  }

  /** The session has ended: nothing is kept. What a group gave at QoS 2 and was sent goes to nobody else [MQTT-4.8.2-5]. */
  end(): void {
    if (this.output !== undefined) this.detach()
    for (const delivery of this.inOrder()) {
      if (wasSent(delivery)) this.settle(delivery)
      else release(delivery)
    }
    this.inflight = undefined
    this.inflightBytes = 0
    this.queue = undefined
    this.replays = undefined
    this.feed = undefined
  }

  /** A subscription has ended: what waits of its retained messages is not sent [MQTT-3.10.4-2]. */
  dropReplays(filter: string): void {
    const { replays } = this
    if (replays === undefined) return
    const kept = new Fifo<Replay>()
    for (const replay of replays.values()) if (replay.filter !== filter) kept.push(replay)
    this.replays = kept.size === 0 ? undefined : kept
  }

  /** What a group gave and is not sent yet goes to its other members. */
  leaveGroup(group: SharedGroup): void {
    for (const delivery of this.takeFromQueue((waiting) => waiting.group === group)) release(delivery)
  }

  /** In the order in which their identifiers were given. */
  inOrder(): Array<Delivery> {
    return this.inflight === undefined ? [] : this.inflight.values().sort((a, b) => a.sequence - b.sequence)
  }

  /** Puts back what was in flight before a restart, in order. */
  restore(deliveries: ReadonlyArray<Delivery>): void {
    if (deliveries.length === 0) return
    this.inflight = new PacketTable()
    for (const delivery of deliveries) {
      delivery.sequence = ++this.sequence
      this.inflight.restore(delivery)
      delivery.compact()
      this.inflightBytes += delivery.sizeBytes
    }
  }

  /** The lowest offset of the log that this client still needs. */
  lowestHeld(source: number): number {
    let lowest = this.feed?.safePosition(source) ?? Number.POSITIVE_INFINITY
    for (const delivery of this.inflight?.values() ?? []) {
      if (delivery.source === source && delivery.offset < lowest) lowest = delivery.offset
    }
    return lowest
  }
}

/** Whether PUBLISH has ever left: only then can the client acknowledge it. */
const wasSent = (delivery: Delivery): boolean =>
  delivery.state === "sent" || delivery.state === "releasing" || delivery.state === "released" || delivery.dup

const release = (delivery: Delivery): void => {
  if (delivery.group === undefined) return
  if (delivery.source >= 0) delivery.group.release(delivery.source, delivery.offset)
  else if (delivery.message !== undefined) delivery.group.releaseLive(delivery.message)
}
