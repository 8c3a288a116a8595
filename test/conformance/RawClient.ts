/**
 * An MQTT client that does what it is told and nothing else: no keep alive, no acknowledgements, no reconnects.
 *
 * Packets go out by mqtt-packet or as raw bytes; what comes in is cut into packets here and read by mqtt-packet, and waits in
 * a queue until the test asks for it. Every wait ends: with what was waited for, or with an error that says what came instead.
 */
import { createConnection, type Socket } from "node:net"
import { connect as connectTls, type ConnectionOptions as SecureConnection } from "node:tls"
import {
  generate,
  type IConnackPacket,
  type IConnectPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type ISubackPacket,
  type Packet,
  parser
} from "mqtt-packet"
import { until } from "../support/Until.js"

export type Version = 3 | 4 | 5

/** A packet as mqtt-packet reads it, and its bytes. */
export type Received = Packet & { readonly bytes: Buffer }

type PacketOf<C extends Packet["cmd"]> = Extract<Packet, { cmd: C }> & { readonly bytes: Buffer }

/** What a wait may take; past it the test has failed. */
const waitMs = 10_000

let clients = 0

/** A name nobody else has in this run: client ids, topics. */
export const unique = (prefix = "t"): string => `${prefix}${process.pid.toString(36)}x${(++clients).toString(36)}`

export interface ConnectFields {
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepalive?: number
  readonly username?: string
  readonly password?: string | Buffer
  readonly will?: IConnectPacket["will"]
  readonly properties?: IConnectPacket["properties"]
}

export class RawClient {
  clientId = ""
  version: Version = 4
  private readonly packets: Array<Received> = []
  private pending: Buffer = Buffer.alloc(0)
  private closed = false
  private broken: Error | undefined = undefined
  private wake: () => void = () => {}
  private packetId = 0

  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => this.take(chunk))
    socket.on("close", () => this.end())
    // A reset is a way of closing.
    socket.on("error", () => this.end())
  }

  /** A TCP connection, or one of TLS, on which nothing was sent yet. */
  static async open(port: number, version: Version = 4, tls?: SecureConnection): Promise<RawClient> {
    const address = { port, host: "127.0.0.1", noDelay: true }
    const socket = tls === undefined ? createConnection(address) : connectTls({ ...tls, ...address })
    const opened = tls === undefined ? "connect" : "secureConnect"
    await new Promise<void>((resolve, reject) => socket.once(opened, resolve).once("error", reject))
    const client = new RawClient(socket)
    client.version = version
    return client
  }

  /** A client that was let in. */
  static async connect(port: number, version: Version, fields: ConnectFields = {}): Promise<RawClient> {
    const client = await RawClient.open(port, version)
    await client.connect(fields)
    return client
  }

  // --- out

  sendBytes(bytes: Buffer | string): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes.replaceAll(" ", ""), "hex") : bytes)
  }

  encode(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.version })
  }

  send(packet: Packet): void {
    this.sendBytes(this.encode(packet))
  }

  /** The CONNECT packet that `connect` sends. */
  connectPacket(fields: ConnectFields = {}): IConnectPacket {
    this.clientId = fields.clientId ?? unique("c")
    return {
      cmd: "connect",
      protocolId: this.version === 3 ? "MQIsdp" : "MQTT",
      protocolVersion: this.version,
      clean: true,
      keepalive: 0,
      ...fields,
      clientId: this.clientId
    } as IConnectPacket
  }

  /** Sends CONNECT and expects to be let in. */
  async connect(fields: ConnectFields = {}): Promise<IConnackPacket> {
    this.send(this.connectPacket(fields))
    const connack = await this.expectPacket("connack")
    const code = connack.reasonCode ?? connack.returnCode
    if (code !== 0) throw new Error(`CONNACK ${String(code)} ${connack.properties?.reasonString ?? ""}`)
    return connack
  }

  nextPacketId(): number {
    return ++this.packetId
  }

  /** Subscribes and gives the codes of the SUBACK. */
  async subscribe(
    filters: string | ReadonlyArray<string>,
    qos: 0 | 1 | 2 = 0,
    options: { readonly nl?: boolean; readonly rap?: boolean; readonly rh?: 0 | 1 | 2; readonly identifier?: number } = {}
  ): Promise<ReadonlyArray<number>> {
    const messageId = this.nextPacketId()
    const { identifier, ...rest } = options
    const subscriptions = (typeof filters === "string" ? [filters] : filters).map((topic) => ({ topic, qos, ...rest }))
    const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }
    this.send({ cmd: "subscribe", messageId, subscriptions, ...properties })
    const suback: ISubackPacket = await this.expectPacket("suback", { messageId })
    return suback.granted as ReadonlyArray<number>
  }

  async unsubscribe(...filters: ReadonlyArray<string>): Promise<ReadonlyArray<number> | undefined> {
    const messageId = this.nextPacketId()
    this.send({ cmd: "unsubscribe", messageId, unsubscriptions: [...filters] })
    const unsuback = await this.expectPacket("unsuback", { messageId })
    return unsuback.granted as ReadonlyArray<number> | undefined
  }

  /** Publishes and completes the handshake of the QoS; gives the packet id. */
  async publish(
    topic: string,
    payload: string | Buffer = "",
    qos: 0 | 1 | 2 = 1,
    fields: { readonly retain?: boolean; readonly properties?: IPublishPacket["properties"] } = {}
  ): Promise<number> {
    const messageId = qos === 0 ? 0 : this.nextPacketId()
    this.send(this.publishPacket(topic, payload, qos, messageId, fields))
    if (qos === 1) await this.expectPacket("puback", { messageId })
    if (qos === 2) {
      await this.expectPacket("pubrec", { messageId })
      this.send({ cmd: "pubrel", messageId })
      await this.expectPacket("pubcomp", { messageId })
    }
    return messageId
  }

  publishPacket(
    topic: string,
    payload: string | Buffer,
    qos: 0 | 1 | 2,
    messageId: number,
    fields: { readonly retain?: boolean; readonly dup?: boolean; readonly properties?: IPublishPacket["properties"] } = {}
  ): IPublishPacket {
    const { retain = false, dup = false, properties } = fields
    return {
      cmd: "publish",
      topic,
      payload,
      qos,
      retain,
      dup,
      ...(qos === 0 ? {} : { messageId }),
      ...(properties === undefined ? {} : { properties })
    }
  }

  // --- in

  /** The next packet, whatever it is. */
  async nextPacket(): Promise<Received> {
    const packet = await this.next("a packet")
    if (packet === undefined) throw new Error("the connection closed where a packet was expected")
    return packet
  }

  /** The next packet, which must be a `cmd` with these values. */
  async expectPacket<C extends Packet["cmd"]>(cmd: C, values: Readonly<Record<string, unknown>> = {}): Promise<PacketOf<C>> {
    const packet = await this.next(cmd)
    if (packet === undefined) throw new Error(`the connection closed where ${cmd} was expected`)
    if (packet.cmd !== cmd) throw new Error(`${describe(packet)} came where ${cmd} was expected`)
    for (const [name, value] of Object.entries(values)) {
      const found = (packet as unknown as Record<string, unknown>)[name]
      if (found !== value) throw new Error(`${cmd}: ${name} is ${String(found)} and not ${String(value)}: ${describe(packet)}`)
    }
    return packet as PacketOf<C>
  }

  /** The next packet, which must be a PUBLISH to `topic`; its payload as text. */
  async expectPublish(
    topic: string,
    payload?: string,
    values: Readonly<Record<string, unknown>> = {}
  ): Promise<PacketOf<"publish">> {
    const packet = await this.expectPacket("publish", { topic, ...values })
    if (payload !== undefined && packet.payload.toString() !== payload) {
      throw new Error(`the payload is ${JSON.stringify(packet.payload.toString())} and not ${JSON.stringify(payload)}`)
    }
    return packet
  }

  /** Receives one PUBLISH with QoS 1 or 2 and completes its handshake. */
  async acknowledge(publish: PacketOf<"publish">): Promise<void> {
    const messageId = publish.messageId as number
    if (publish.qos === 1) this.send({ cmd: "puback", messageId })
    if (publish.qos === 2) {
      this.send({ cmd: "pubrec", messageId })
      await this.expectPacket("pubrel", { messageId })
      this.send({ cmd: "pubcomp", messageId })
    }
  }

  /** Nothing came before the answer to a PINGREQ sent now. */
  async expectNothing(): Promise<void> {
    this.send({ cmd: "pingreq" })
    await this.expectPacket("pingresp")
  }

  /** The broker closes the connection, with nothing more sent. */
  async expectClosed(): Promise<void> {
    const packet = await this.next("the end of the connection")
    if (packet !== undefined) throw new Error(`${describe(packet)} came where the connection should have closed`)
  }

  /** The broker ends a connected client: 5.0 with DISCONNECT and that code, else without a word. */
  async expectEnd(reasonCode: number): Promise<void> {
    if (this.version === 5) {
      const packet: IDisconnectPacket = await this.expectPacket("disconnect")
      if (packet.reasonCode !== reasonCode) {
        throw new Error(`DISCONNECT has 0x${(packet.reasonCode ?? 0).toString(16)} and not 0x${reasonCode.toString(16)}`)
      }
    }
    await this.expectClosed()
  }

  // --- the end

  /** Says goodbye and waits until the broker has closed. */
  async disconnect(
    fields: { readonly reasonCode?: number; readonly properties?: IDisconnectPacket["properties"] } = {}
  ): Promise<void> {
    this.send({ cmd: "disconnect", ...fields } as Packet)
    await this.expectClosed()
  }

  /** Breaks the connection, as a lost network does. */
  destroy(): void {
    this.socket.resetAndDestroy()
  }

  private take(chunk: Buffer): void {
    this.pending = Buffer.concat([this.pending, chunk])
    for (;;) {
      const size = packetSize(this.pending)
      if (size === 0 || size > this.pending.length) break
      const bytes = Buffer.from(this.pending.subarray(0, size))
      this.pending = this.pending.subarray(size)
      // One parser for each packet: mqtt-packet reads past the end of a short one where more bytes follow.
      const reader = parser({ protocolVersion: this.version })
      reader.on("packet", (packet) => void this.packets.push(Object.assign(packet, { bytes })))
      reader.on("error", (error: Error) => {
        this.broken = new Error(`${error.message}: ${bytes.toString("hex")}`)
      })
      reader.parse(bytes)
    }
    this.wake()
  }

  private end(): void {
    this.closed = true
    this.wake()
  }

  /** The next packet; undefined: the connection is closed and there is none. */
  private next(what: string): Promise<Received | undefined> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.wake = () => {}
        reject(new Error(`nothing came where ${what} was expected`))
      }, waitMs)
      const look = () => {
        const packet = this.packets.shift()
        if (packet === undefined && !this.closed && this.broken === undefined) return
        clearTimeout(timer)
        this.wake = () => {}
        if (packet === undefined && this.broken !== undefined) reject(this.broken)
        else resolve(packet)
      }
      this.wake = look
      look()
    })
  }
}

const describe = (packet: Received): string => `${packet.cmd} ${packet.bytes.toString("hex").slice(0, 200)}`

/** The size of the first packet in `bytes`; 0 where its length is not complete. */
const packetSize = (bytes: Buffer): number => {
  let size = 0
  for (let i = 1; i < Math.min(5, bytes.length); i++) {
    const byte = bytes[i] as number
    size |= (byte & 127) << (7 * (i - 1))
    if (byte < 128) return 1 + i + size
  }
  return 0
}

/** Waits until a moment of the clock: for what the protocol makes depend on time. */
export const clockPast = (momentMs: number): Promise<void> => until(() => Date.now() > momentMs, "the clock went on", 60_000)
