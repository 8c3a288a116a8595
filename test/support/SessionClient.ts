/**
 * An MQTT 5 client with a session that outlives its connections, for tests that break them.
 *
 * It keeps its half of the session as the specification says [MQTT-4.4.0-1]: what it sent and is not acknowledged goes out
 * again, in order, when it is connected again; a QoS 2 message it received counts once per packet identifier until PUBREL.
 * Everything it received is kept in order of arrival. It connects again by itself until `close`.
 */
import { createConnection, type Socket } from "node:net"
import mqttPacket, { type Packet } from "mqtt-packet"

type QoS = 0 | 1 | 2

export interface Delivery {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly duplicate: boolean
}

interface Outgoing {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  released: boolean
  /** Called once the broker has taken the message over: at PUBACK, or at PUBREC for QoS 2. */
  readonly taken: (reasonCode: number) => void
}

export interface SessionClientOptions {
  readonly port: number
  readonly clientId: string
  readonly expirySeconds?: number
  readonly username?: string
  readonly password?: string
}

export class SessionClient {
  readonly received: Array<Delivery> = []
  /** What must never happen: a session that was acknowledged and is gone, a refusal, a packet that makes no sense. */
  readonly faults: Array<string> = []
  connected = false
  connects = 0
  private socket: Socket | undefined
  private closed = false
  private readonly outgoing = new Map<number, Outgoing>()
  private readonly incoming = new Set<number>()
  private readonly answers = new Map<number, (codes: ReadonlyArray<number>) => void>()
  private lastId = 0

  constructor(private readonly options: SessionClientOptions) {
    this.open()
  }

  /** QoS 1 and 2 messages the broker has not acknowledged to the end. */
  get inFlight(): number {
    return this.outgoing.size
  }

  /** Resolves with the reason code when the broker has taken the message over, however many connections that takes. */
  publish(topic: string, payload: string, qos: QoS, retain = false): Promise<number> {
    if (qos === 0) {
      this.send({ cmd: "publish", topic, payload, qos, retain, dup: false })
      return Promise.resolve(0)
    }
    const messageId = this.nextId()
    return new Promise((taken) => {
      this.outgoing.set(messageId, { topic, payload, qos, retain, released: false, taken })
      this.send({ cmd: "publish", topic, payload, qos, retain, dup: false, messageId })
    })
  }

  /** Resolves with the granted code. Lost with the connection: ask again then. */
  subscribe(topic: string, qos: QoS): Promise<number> {
    const messageId = this.nextId()
    return new Promise((resolve) => {
      this.answers.set(messageId, (codes) => resolve(codes[0] ?? 0x80))
      this.send({ cmd: "subscribe", messageId, subscriptions: [{ topic, qos, nl: false, rap: false, rh: 0 }] })
    })
  }

  /** Ends the connection without a goodbye and stays away; the session stays. */
  vanish(): void {
    this.closed = true
    this.connected = false
    this.socket?.destroy()
  }

  /** Connects again after `vanish`. */
  comeBack(): void {
    this.closed = false
    this.open()
  }

  /** Stops reading: a slow client. */
  pause(): void {
    this.socket?.pause()
  }

  resume(): void {
    this.socket?.resume()
  }

  private nextId(): number {
    do this.lastId = (this.lastId % 65535) + 1
    while (this.outgoing.has(this.lastId) || this.answers.has(this.lastId))
    return this.lastId
  }

  private open(): void {
    if (this.closed) return
    const socket = createConnection({ port: this.options.port, host: "127.0.0.1", noDelay: true })
    const parser = mqttPacket.parser({ protocolVersion: 5 })
    this.socket = socket
    parser.on("packet", (packet: Packet) => this.handle(packet))
    parser.on("error", (error: Error) => {
      this.faults.push(`${this.options.clientId}: unreadable bytes from the broker: ${error.message}`)
      socket.destroy()
    })
    socket.on("data", (chunk) => {
      if (this.socket === socket) parser.parse(chunk)
    })
    socket.on("error", () => undefined)
    socket.on("connect", () => this.hello(socket))
    socket.on("close", () => {
      if (this.socket !== socket) return
      this.connected = false
      setTimeout(() => this.open(), 20)
    })
  }

  private hello(socket: Socket): void {
    const { clientId, username, password, expirySeconds = 3600 } = this.options
    socket.write(
      mqttPacket.generate(
        {
          cmd: "connect",
          clientId,
          protocolId: "MQTT",
          protocolVersion: 5,
          clean: false,
          keepalive: 60,
          properties: { sessionExpiryInterval: expirySeconds, receiveMaximum: 200 },
          ...(username === undefined ? {} : { username, password: Buffer.from(password ?? "") })
        },
        { protocolVersion: 5 }
      )
    )
  }

  private send(packet: Packet): void {
    if (this.connected) this.write(packet)
  }

  private write(packet: Packet): void {
    this.socket?.write(mqttPacket.generate(packet, { protocolVersion: 5 }))
  }

  private handle(packet: Packet): void {
    switch (packet.cmd) {
      case "connack":
        return this.connectedWith(packet.reasonCode ?? 0, packet.sessionPresent)
      case "publish":
        return this.take(packet)
      case "puback":
        return this.acknowledged(packet.messageId ?? 0, packet.reasonCode ?? 0, true)
      case "pubrec":
        return this.acknowledged(packet.messageId ?? 0, packet.reasonCode ?? 0, (packet.reasonCode ?? 0) >= 0x80)
      case "pubcomp":
        this.outgoing.delete(packet.messageId ?? 0)
        return
      case "pubrel":
        this.incoming.delete(packet.messageId ?? 0)
        return this.write({ cmd: "pubcomp", messageId: packet.messageId ?? 0, reasonCode: 0 })
      case "suback": {
        const id = packet.messageId ?? 0
        this.answers.get(id)?.(packet.granted as Array<number>)
        this.answers.delete(id)
        return
      }
      case "disconnect":
        this.faults.push(`${this.options.clientId}: disconnected by the broker with ${packet.reasonCode}`)
        return
      default:
        return
    }
  }

  private connectedWith(reasonCode: number, sessionPresent: boolean): void {
    if (reasonCode !== 0) {
      this.faults.push(`${this.options.clientId}: refused with ${reasonCode}`)
      return
    }
    if (this.connects > 0 && !sessionPresent) this.faults.push(`${this.options.clientId}: its session is gone`)
    this.connects++
    this.connected = true
    for (const [messageId, { topic, payload, qos, retain, released }] of this.outgoing) {
      if (released) this.write({ cmd: "pubrel", messageId, reasonCode: 0 })
      else this.write({ cmd: "publish", messageId, topic, payload, qos, retain, dup: true })
    }
  }

  private acknowledged(messageId: number, reasonCode: number, done: boolean): void {
    const message = this.outgoing.get(messageId)
    if (message !== undefined && !message.released) message.taken(reasonCode)
    if (done) {
      this.outgoing.delete(messageId)
    } else {
      if (message !== undefined) message.released = true
      this.write({ cmd: "pubrel", messageId, reasonCode: message === undefined ? 0x92 : 0 })
    }
  }

  private take(packet: Extract<Packet, { cmd: "publish" }>): void {
    const { topic, qos, retain, dup, messageId = 0 } = packet
    const known = qos === 2 && this.incoming.has(messageId)
    if (!known) this.received.push({ topic, payload: packet.payload.toString(), qos, retain, duplicate: dup })
    if (qos === 1) this.write({ cmd: "puback", messageId, reasonCode: 0 })
    if (qos === 2) {
      this.incoming.add(messageId)
      this.write({ cmd: "pubrec", messageId, reasonCode: 0 })
    }
  }
}
