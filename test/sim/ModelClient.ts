/**
 * An MQTT client that obeys the specification, as plain state: no timers, nothing happens but by its calls.
 *
 * Its half of the session outlives its connections [MQTT-4.4.0-1]: what it sent and is not acknowledged goes out again in order;
 * a QoS 2 message counts once per packet identifier until PUBREL. It acknowledges at once, or late where it is `lazy`, always
 * in the order of arrival [MQTT-4.6.0-2]. What the broker may never do is told to the ledger as a fault.
 */
import type { MemoryClient, MemoryNetworkService } from "@effectmq/network/MemoryNetwork"
import mqttPacket, { type IConnackPacket, type IPublishPacket, type Packet } from "mqtt-packet"
import type { Epoch, Ledger, QoS, Sent, SubscriptionRecord } from "./Ledger.js"

export interface WillProfile {
  readonly topic: string
  readonly qos: QoS
  readonly delaySeconds: number
}

export interface ClientProfile {
  readonly clientId: string
  readonly version: 4 | 5
  /** 0: the session ends with its connection. Before version 5 anything else is for ever. */
  readonly expirySeconds: number
  /** PUBLISH packets it takes unacknowledged; version 5 only. */
  readonly receiveMaximum: number
  readonly chunkBytes: number
  readonly windowBytes: number
  readonly will: WillProfile | undefined
  /** Subscribes again where its session has not been kept, as client libraries do. */
  readonly resubscribes: boolean
}

interface Outgoing {
  readonly sent: Sent
  readonly topic: string
  released: boolean
}

export interface PublishRequest {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  /** 0: at once. */
  readonly delaySeconds: number
  /** Undefined removes a retained message. */
  readonly padding: number | undefined
}

const port = 1883
/** How late the broker may notice that a connection is gone, and look at its deadlines. */
const slackMs = 1000
export const neverExpires = 100_000

export class ModelClient {
  state: "offline" | "connecting" | "online" = "offline"
  /** Acknowledges only when told to. */
  lazy = false
  /** It was refused, or told to go, since the last call of `connect`. */
  refusals = 0
  epoch: Epoch | undefined
  readonly outgoing = new Map<number, Outgoing>()
  /** QoS 2 packet identifiers it has received and that are not released: the message by each. */
  readonly incoming = new Map<number, string>()
  readonly acknowledgements: Array<Packet> = []
  private link: MemoryClient | undefined
  private parser = mqttPacket.parser({ protocolVersion: 5 })
  /** Messages by packet identifier that this connection has not acknowledged. */
  private readonly open = new Map<number, string>()
  private readonly subscribing = new Map<number, SubscriptionRecord>()
  private readonly unsubscribing = new Map<number, ReadonlyArray<SubscriptionRecord>>()
  private lastId = 0
  private sendMaximum = 65_535
  private wantsCleanStart = false
  private connectSentMs = 0
  private will: Sent | undefined
  /** Of the connection before, where it broke. */
  private willWaits: { readonly label: string; readonly delayMs: number } | undefined
  /** When the last connection that was accepted broke, and when the last of all did. */
  private lostMs = 0
  private lastGoneMs = 0
  private lastRestartMs = 0
  paused = false

  constructor(
    readonly profile: ClientProfile,
    private readonly ledger: Ledger
  ) {}

  get clientId(): string {
    return this.profile.clientId
  }

  get durable(): boolean {
    return this.profile.expirySeconds > 0
  }

  /** Nothing is on its way as far as this client can know. */
  get idle(): boolean {
    return (
      this.state === "online" &&
      this.outgoing.size === 0 &&
      this.incoming.size === 0 &&
      this.acknowledgements.length === 0 &&
      this.subscribing.size === 0 &&
      this.unsubscribing.size === 0
    )
  }

  /** What keeps it from being idle, in words. */
  get busy(): string {
    const { state, outgoing, incoming, subscribing, unsubscribing } = this
    const open = [...outgoing].map(([id, { sent, released }]) => `${sent.label} id ${id}${released ? " released" : ""}`)
    return `${state}, sends ${open.join(", ")}; receives ${[...incoming.keys()]}; waits for ${subscribing.size + unsubscribing.size}`
  }

  get canPublish(): boolean {
    return this.state === "online" && this.outgoing.size < Math.min(this.sendMaximum, 30)
  }

  // --- connections

  /** Opens a connection and sends CONNECT; where there is one already, that is left to the broker to end. */
  connect(network: MemoryNetworkService, cleanStart: boolean): void {
    if (this.state !== "offline") this.lost("takes over")
    const { clientId, version, expirySeconds, receiveMaximum, chunkBytes, windowBytes, will } = this.profile
    // Until CONNACK it cannot know that its session was forgotten. Before version 5 a clean session cannot be kept.
    this.wantsCleanStart ||= cleanStart && version === 5
    const clean = !this.durable || this.wantsCleanStart
    this.expectWill()
    if (clean && this.epoch !== undefined) this.epoch.endedAt ??= this.ledger.next()
    this.refusals = 0
    this.connectSentMs = this.ledger.now()
    this.link = network.connect(port, { chunkBytes, windowBytes })
    this.parser = mqttPacket.parser({ protocolVersion: version })
    this.parser.on("packet", (packet: Packet) => this.take(packet))
    this.parser.on("error", (error: Error) => this.ledger.fault(`${clientId}: unreadable: ${error.message}`))
    this.state = "connecting"
    this.will = undefined
    if (will !== undefined) {
      const label = this.ledger.newLabel()
      const { topic, qos } = will
      const message = {
        label,
        publisher: clientId,
        kind: "will",
        topic,
        payload: `${label}:will`,
        qos,
        retain: false,
        dueMs: 0
      } as const
      this.will = this.ledger.sent(message, undefined)
    }
    this.ledger.note(`${clientId} -> CONNECT${clean ? " clean" : ""}${this.will === undefined ? "" : ` will ${this.will.label}`}`)
    this.write({
      cmd: "connect",
      clientId,
      protocolId: "MQTT",
      protocolVersion: version,
      clean,
      keepalive: 0,
      ...(this.will === undefined || will === undefined
        ? {}
        : {
            will: {
              topic: will.topic,
              payload: Buffer.from(this.will.payload),
              qos: will.qos,
              retain: false,
              ...(version === 5 ? { properties: { willDelayInterval: will.delaySeconds } } : {})
            }
          }),
      ...(version === 5 ? { properties: { sessionExpiryInterval: expirySeconds, receiveMaximum } } : {})
    })
  }

  /** Says goodbye. */
  disconnect(): void {
    this.ledger.note(`${this.clientId} -> DISCONNECT`)
    this.write({ cmd: "disconnect", reasonCode: 0 })
    this.link?.end()
    this.lost("goodbye")
  }

  /** Breaks the connection off. */
  reset(): void {
    this.link?.reset()
    this.lost("reset")
  }

  /** The node is gone, and what had not arrived with it. */
  nodeDied(readsOn: boolean): void {
    if (readsOn) this.poll()
    if (this.state !== "offline") this.lost("node died")
  }

  /** The node is there again: from now on sessions without a connection count their time. */
  nodeStarted(): void {
    this.lastRestartMs = this.ledger.now()
  }

  pause(): void {
    this.paused = true
    this.link?.pause()
  }

  resume(): void {
    this.paused = false
    this.link?.resume()
  }

  /** Reads what has come. */
  poll(): void {
    const { link } = this
    if (link === undefined || this.state === "offline") return
    const bytes = link.take()
    if (bytes.length > 0) this.parser.parse(bytes)
    if (link.closed() && this.link === link && (this.state as string) !== "offline") this.lost("closed by the broker")
  }

  private lost(why: string): void {
    this.ledger.note(`${this.clientId} offline: ${why}`)
    if (this.will !== undefined && this.state === "online" && why !== "goodbye") {
      this.ledger.broke(this.will.label)
      const { delaySeconds = 0 } = this.profile.will ?? {}
      const delayMs = this.profile.version === 5 && delaySeconds > 0 ? delaySeconds * 1000 + slackMs : 0
      if (this.durable) this.willWaits = { label: this.will.label, delayMs }
    }
    const wasOnline = this.state === "online"
    this.state = "offline"
    this.will = undefined
    this.link = undefined
    this.paused = false
    this.acknowledgements.length = 0
    this.open.clear()
    this.subscribing.clear()
    this.unsubscribing.clear()
    this.lastGoneMs = this.ledger.now()
    if (wasOnline) this.lostMs = this.lastGoneMs
    if (!this.durable && this.epoch !== undefined) this.epoch.endedAt ??= this.ledger.next()
  }

  /** A will whose delay has passed before its client comes back must be published [MQTT-3.1.2-8]. */
  expectWill(): void {
    const { willWaits } = this
    // A node that was down counts the delay from its start.
    const sinceMs = Math.max(this.lostMs, this.lastRestartMs)
    if (willWaits !== undefined && sinceMs + willWaits.delayMs <= this.ledger.now()) this.ledger.acked(willWaits.label)
    this.willWaits = undefined
  }

  // --- what it does

  publish(request: PublishRequest): void {
    const { qos, retain, delaySeconds, padding } = request
    const label = this.ledger.newLabel()
    const payload = padding === undefined ? "" : `${label}:${"~".repeat(padding)}`
    const dueMs = delaySeconds === 0 ? 0 : this.ledger.now() + delaySeconds * 1000
    const sent = this.ledger.sent(
      { label, publisher: this.clientId, kind: "publish", topic: request.topic, payload, qos, retain, dueMs },
      this.ledger.next()
    )
    const topic = delaySeconds === 0 ? request.topic : `$delayed/${delaySeconds}/${request.topic}`
    const messageId = qos === 0 ? 0 : this.nextId()
    const flags = `${retain ? " retain" : ""}${payload === "" ? " removes" : ""}`
    this.ledger.note(`${this.clientId} -> PUBLISH ${label} ${topic} q${qos} id ${messageId}${flags}`)
    if (qos > 0) this.outgoing.set(messageId, { sent, topic, released: false })
    this.write({ cmd: "publish", topic, payload, qos, retain, dup: false, messageId })
  }

  subscribe(filter: string, group: string | undefined, qos: QoS): void {
    if (this.epoch === undefined) return
    const messageId = this.nextId()
    const topic = group === undefined ? filter : `$share/${group}/${filter}`
    this.ledger.note(`${this.clientId} -> SUBSCRIBE ${topic} q${qos} id ${messageId}`)
    this.subscribing.set(messageId, this.ledger.subscribing(this.epoch, filter, group, qos))
    this.write({ cmd: "subscribe", messageId, subscriptions: [{ topic, qos, nl: false, rap: false, rh: 0 }] })
  }

  unsubscribe(filter: string, group: string | undefined): void {
    if (this.epoch === undefined) return
    const messageId = this.nextId()
    const topic = group === undefined ? filter : `$share/${group}/${filter}`
    this.ledger.note(`${this.clientId} -> UNSUBSCRIBE ${topic} id ${messageId}`)
    this.unsubscribing.set(messageId, this.ledger.unsubscribing(this.epoch, filter, group))
    this.write({ cmd: "unsubscribe", messageId, unsubscriptions: [topic] })
  }

  /** Sends so many of the acknowledgements it owes. */
  acknowledge(countMax: number): void {
    for (const packet of this.acknowledgements.splice(0, countMax)) this.answer(packet)
  }

  private owe(packet: Packet): void {
    if (this.lazy || this.acknowledgements.length > 0) this.acknowledgements.push(packet)
    else this.answer(packet)
  }

  private answer(packet: Packet): void {
    const { messageId = 0 } = packet
    this.ledger.note(`${this.clientId} -> ${packet.cmd.toUpperCase()} id ${messageId}`)
    if (packet.cmd !== "pubrec") this.open.delete(messageId)
    this.write(packet)
  }

  private write(packet: Packet): void {
    this.link?.write(mqttPacket.generate(packet, { protocolVersion: this.profile.version }))
  }

  private nextId(): number {
    do this.lastId = (this.lastId % 65_535) + 1
    while (this.outgoing.has(this.lastId) || this.subscribing.has(this.lastId) || this.unsubscribing.has(this.lastId))
    return this.lastId
  }

  // --- what comes

  private take(packet: Packet): void {
    const { messageId = 0 } = packet
    switch (packet.cmd) {
      case "connack":
        return this.connected(packet)
      case "publish":
        return this.received(packet, messageId)
      case "puback":
      case "pubrec":
        return this.taken(packet.cmd, messageId, packet.reasonCode ?? 0)
      case "pubrel":
        this.ledger.note(`${this.clientId} <- PUBREL id ${messageId}`)
        this.incoming.delete(messageId)
        return this.owe({ cmd: "pubcomp", messageId, reasonCode: 0 })
      case "pubcomp":
        this.ledger.note(`${this.clientId} <- PUBCOMP id ${messageId}`)
        this.outgoing.delete(messageId)
        return
      case "suback":
        return this.subscribed(messageId, packet.granted as ReadonlyArray<number>)
      case "unsuback":
        this.ledger.note(`${this.clientId} <- UNSUBACK id ${messageId}`)
        this.ledger.unsubscribed(this.unsubscribing.get(messageId) ?? [])
        this.unsubscribing.delete(messageId)
        return
      case "disconnect":
        this.ledger.note(`${this.clientId} <- DISCONNECT ${packet.reasonCode} ${packet.properties?.reasonString ?? ""}`)
        this.refusals++
        // The rest are what storage that takes nothing, a shutdown and a takeover say.
        if (![0x80, 0x83, 0x8b, 0x8e, 0x97].includes(packet.reasonCode ?? 0)) {
          this.ledger.fault(`${this.clientId}: disconnected with ${packet.reasonCode}: ${packet.properties?.reasonString}`)
        }
        return
      default:
        this.ledger.fault(`${this.clientId}: got ${packet.cmd}`)
    }
  }

  private connected(packet: IConnackPacket): void {
    const code = packet.reasonCode ?? packet.returnCode ?? 0
    const { sessionPresent } = packet
    this.ledger.note(`${this.clientId} <- CONNACK ${code}${sessionPresent ? " session present" : ""}`)
    if (code !== 0) {
      this.refusals++
      return
    }
    this.state = "online"
    this.sendMaximum = packet.properties?.receiveMaximum ?? 65_535
    this.judgePresence(sessionPresent)
    this.wantsCleanStart = false
    if (!sessionPresent || this.epoch === undefined) {
      if (this.epoch !== undefined) this.epoch.endedAt ??= this.ledger.next()
      for (const { sent } of this.outgoing.values()) this.ledger.abandoned(sent.label)
      this.outgoing.clear()
      this.incoming.clear()
      const before = this.epoch?.subscriptions.filter(({ closedAt }) => closedAt === undefined) ?? []
      this.epoch = this.ledger.begin(this.clientId, this.durable)
      if (this.profile.resubscribes) for (const { filter, group, qos } of before) this.subscribe(filter, group, qos)
    }
    for (const [messageId, { sent, topic, released }] of this.outgoing) {
      this.ledger.note(`${this.clientId} -> ${released ? "PUBREL" : `PUBLISH ${sent.label} again`} id ${messageId}`)
      if (released) this.write({ cmd: "pubrel", messageId, reasonCode: 0 })
      else this.write({ cmd: "publish", topic, payload: sent.payload, qos: sent.qos, retain: sent.retain, dup: true, messageId })
    }
  }

  private judgePresence(sessionPresent: boolean): void {
    const { clientId, version, expirySeconds } = this.profile
    const { epoch } = this
    if (this.wantsCleanStart || !this.durable) {
      if (sessionPresent) this.ledger.fault(`${clientId}: session present, but there can be none [MQTT-3.2.2-2]`)
      return
    }
    // An earlier CONNECT may have been taken without its CONNACK arriving.
    if (epoch === undefined) return
    const expiryMs = version === 4 || expirySeconds >= neverExpires ? Number.POSITIVE_INFINITY : expirySeconds * 1000
    if (!sessionPresent && this.ledger.now() < this.lostMs + expiryMs) {
      this.ledger.fault(`${clientId}: its session is gone [MQTT-3.2.2-3]`)
    }
    if (sessionPresent && this.connectSentMs > Math.max(this.lastGoneMs, this.lastRestartMs) + expiryMs + slackMs) {
      this.ledger.fault(`${clientId}: its session should have expired`)
    }
    // It may have, and a CONNECT whose CONNACK never came may have made the one that is present.
    if (sessionPresent && this.ledger.now() >= this.lostMs + expiryMs) epoch.mayHaveEnded = true
  }

  private received(packet: IPublishPacket, messageId: number): void {
    const { topic, qos, retain, dup } = packet
    const payload = packet.payload.toString()
    const label = payload.slice(0, Math.max(0, payload.indexOf(":"))) || "empty"
    const flags = `${dup ? " dup" : ""}${retain ? " retain" : ""}`
    this.ledger.note(`${this.clientId} <- PUBLISH ${label} ${topic} q${qos} id ${messageId}${flags}`)
    const { clientId, epoch } = this
    if (epoch === undefined || this.state !== "online") {
      this.ledger.fault(`${clientId}: PUBLISH before CONNACK`)
      return
    }
    if (qos > 0) {
      const holder = this.open.get(messageId)
      // Payloads that remove look all the same.
      const sameAs = `${label} ${topic}`
      if (holder !== undefined) this.ledger.fault(`${clientId}: id ${messageId} for ${sameAs} while it is in use for ${holder}`)
      this.open.set(messageId, sameAs)
      if (this.open.size > this.profile.receiveMaximum && this.profile.version === 5) {
        this.ledger.fault(`${clientId}: ${this.open.size} messages unacknowledged [MQTT-3.3.4-9]`)
      }
    }
    if (qos === 2) {
      const known = this.incoming.get(messageId)
      if (known !== undefined && known !== `${label} ${topic}`) {
        this.ledger.fault(`${clientId}: id ${messageId} for ${label} was not released for ${known} [MQTT-2.2.1-3]`)
      }
      this.incoming.set(messageId, `${label} ${topic}`)
      if (known === undefined) this.ledger.arrived(epoch, topic, payload, qos, retain)
      this.owe({ cmd: "pubrec", messageId, reasonCode: 0 })
      return
    }
    this.ledger.arrived(epoch, topic, payload, qos, retain)
    if (qos === 1) this.owe({ cmd: "puback", messageId, reasonCode: 0 })
  }

  private taken(cmd: "puback" | "pubrec", messageId: number, reasonCode: number): void {
    const message = this.outgoing.get(messageId)
    this.ledger.note(`${this.clientId} <- ${cmd.toUpperCase()} id ${messageId} ${reasonCode === 0 ? "" : reasonCode}`)
    if (message === undefined || message.sent.qos !== (cmd === "puback" ? 1 : 2)) {
      this.ledger.fault(`${this.clientId}: ${cmd} for id ${messageId}, which it does not wait for`)
      return
    }
    if (reasonCode >= 0x80) {
      this.ledger.abandoned(message.sent.label)
      this.outgoing.delete(messageId)
      return
    }
    this.ledger.acked(message.sent.label)
    if (cmd === "puback") {
      this.outgoing.delete(messageId)
    } else {
      message.released = true
      this.ledger.note(`${this.clientId} -> PUBREL id ${messageId}`)
      this.write({ cmd: "pubrel", messageId, reasonCode: 0 })
    }
  }

  private subscribed(messageId: number, granted: ReadonlyArray<number>): void {
    this.ledger.note(`${this.clientId} <- SUBACK id ${messageId} ${granted.join(" ")}`)
    const record = this.subscribing.get(messageId)
    this.subscribing.delete(messageId)
    if (record === undefined) this.ledger.fault(`${this.clientId}: SUBACK for id ${messageId}, which it does not wait for`)
    else if (granted[0] !== record.qos) this.ledger.fault(`${this.clientId}: granted ${granted[0]} of ${record.qos}`)
    else this.ledger.subscribed(record)
  }
}
