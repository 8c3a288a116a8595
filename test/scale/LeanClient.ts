/**
 * An MQTT client of few bytes, for tests that hold thousands of them: packets are made by hand, what comes in is counted by
 * type and looked at only where a test asks for it.
 */
import { createConnection, type Socket } from "node:net"
import * as packets from "./Packets.js"

export interface LeanOptions extends packets.ConnectOptions {
  readonly port: number
  /** Of 127.0.0.0/8: a port of its own for each of very many connections. */
  readonly localAddress?: string
  /** Acknowledges QoS 1; default true. */
  readonly acknowledges?: boolean
}

/** A frame as it lies in a received chunk. */
export interface Frame {
  readonly bytes: Buffer
  readonly start: number
  readonly body: number
  readonly end: number
}

const nothing = Buffer.alloc(0)

export class LeanClient {
  /** Packets received, by type (2: CONNACK, 3: PUBLISH...). */
  readonly counts: Array<number> = new Array(16).fill(0)
  /** Of the CONNACK; undefined until it has come. */
  connackCode: number | undefined = undefined
  sessionPresent = false
  /** Of the broker's DISCONNECT. */
  disconnectCode: number | undefined = undefined
  closed = false
  /** The broker has answered CONNECT; with `silent`: the connection is there. Also where it has ended. */
  readonly opened: Promise<void>
  /** Filters that were granted, and refused, by SUBACK. */
  granted = 0
  refused = 0
  onPublish: ((publish: packets.Received, client: LeanClient) => void) | undefined = undefined
  private rest: Buffer = nothing
  private readonly version: packets.Version
  private readonly acknowledges: boolean
  private lastId = 0
  private waits: ReadonlyArray<{ readonly type: number; readonly done: () => void }> = []

  constructor(
    readonly clientId: string,
    readonly socket: Socket,
    options: LeanOptions
  ) {
    this.version = options.version ?? 5
    this.acknowledges = options.acknowledges ?? true
    socket.on("data", (chunk: Buffer) => this.take(chunk))
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.closed = true
      for (const { done } of this.waits) done()
    })
    if (options.silent === true) {
      this.opened = new Promise((resolve) => socket.once("connect", resolve).once("close", () => resolve()))
    } else {
      this.opened = this.next(packets.connack)
      socket.write(packets.connect(clientId, options))
    }
  }

  static make(clientId: string, options: LeanOptions): LeanClient {
    const { port, localAddress } = options
    const from = localAddress === undefined ? {} : { localAddress }
    return new LeanClient(clientId, createConnection({ port, host: "127.0.0.1", noDelay: true, ...from }), options)
  }

  /** Resolves when the broker has answered, whatever it says, or the connection has ended. */
  static async open(clientId: string, options: LeanOptions): Promise<LeanClient> {
    const client = LeanClient.make(clientId, options)
    await client.opened
    return client
  }

  get publishes(): number {
    return this.counts[packets.publishType] as number
  }

  get pubacks(): number {
    return this.counts[packets.puback] as number
  }

  write(bytes: Buffer): boolean {
    return this.socket.write(bytes)
  }

  /** Waits until the system took what was written. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.writableLength === 0 || this.closed) resolve()
      else {
        const done = () => {
          this.socket.off("drain", done)
          this.socket.off("close", done)
          resolve()
        }
        this.socket.once("drain", done)
        this.socket.once("close", done)
      }
    })
  }

  /** Resolves when all filters have been answered; see `granted` and `refused`. */
  async subscribe(filters: ReadonlyArray<string>, qos: 0 | 1 | 2, perPacket = 500): Promise<void> {
    for (let at = 0; at < filters.length && !this.closed; at += perPacket) {
      const answered = this.next(packets.suback)
      this.write(packets.subscribe(this.nextId(), filters.slice(at, at + perPacket), qos, this.version))
      await answered
    }
  }

  publish(topic: string, payload: string | Buffer, qos: 0 | 1 | 2, retain = false): void {
    this.write(packets.publish(topic, payload, qos, { packetId: this.nextId(), retain, version: this.version }))
  }

  /** Publishes all, `window` at a time unacknowledged where the QoS is 1; resolves when all are acknowledged, or at the end. */
  async publishAll(
    count: number,
    at: (index: number) => { readonly topic: string; readonly payload: string | Buffer; readonly retain?: boolean },
    qos: 0 | 1 = 1,
    window = 1000
  ): Promise<void> {
    const before = this.pubacks
    for (let index = 0; index < count && !this.closed; ) {
      const free = qos === 0 ? window : window - (index - (this.pubacks - before))
      const upTo = Math.min(count, index + free)
      const parts: Array<Buffer> = []
      for (; index < upTo; index++) {
        const { topic, payload, retain = false } = at(index)
        parts.push(packets.publish(topic, payload, qos, { packetId: this.nextId(), retain, version: this.version }))
      }
      if (parts.length > 0) this.write(Buffer.concat(parts))
      await this.drained()
      if (qos === 1 && index - (this.pubacks - before) >= window) await this.next(packets.puback)
    }
    while (qos === 1 && this.pubacks - before < count && !this.closed) await this.next(packets.puback)
  }

  /** Resolves when a packet of the type has come, or the connection has ended. */
  next(type: number): Promise<void> {
    return new Promise((resolve) => {
      const wait = {
        type,
        done: () => {
          this.waits = this.waits.filter((other) => other !== wait)
          resolve()
        }
      }
      this.waits = [...this.waits, wait]
      if (this.closed) wait.done()
    })
  }

  nextId(): number {
    this.lastId = (this.lastId % 65_535) + 1
    return this.lastId
  }

  goodbye(): void {
    this.socket.end(packets.disconnectPacket)
  }

  /** Ends the connection without a word. */
  cut(): void {
    this.socket.destroy()
  }

  private take(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let start = 0
    for (;;) {
      const body = packets.bodyStart(bytes, start)
      if (body === 0) break
      const end = body + packets.remainingLengthAt(bytes, start)
      if (end > bytes.length) break
      this.frame({ bytes, start, body, end })
      start = end
    }
    this.rest = start === bytes.length ? nothing : bytes.subarray(start)
  }

  private frame(frame: Frame): void {
    const { bytes, start, body, end } = frame
    const type = (bytes[start] as number) >> 4
    this.counts[type] = (this.counts[type] as number) + 1
    if (type === packets.publishType) {
      if (this.onPublish !== undefined || this.acknowledges) this.published(frame)
    } else if (type === packets.connack) {
      this.sessionPresent = bytes[body] === 1
      this.connackCode = bytes[body + 1] as number
    } else if (type === packets.suback) {
      for (const code of packets.subackCodes(bytes, body, end, this.version)) {
        if (code < 0x80) this.granted++
        else this.refused++
      }
    } else if (type === packets.disconnect) {
      this.disconnectCode = end > body ? (bytes[body] as number) : 0
    }
    for (const wait of this.waits) if (wait.type === type) wait.done()
  }

  private published({ bytes, start, body, end }: Frame): void {
    const publish = packets.readPublish(bytes, start, body, end, this.version)
    if (this.acknowledges && publish.qos === 1) this.socket.write(packets.acknowledgement(packets.puback, publish.packetId))
    this.onPublish?.(publish, this)
  }
}

/** Opens many, some at a time; all of them must be let in. */
export const openAll = async <A>(count: number, atOnce: number, open: (index: number) => Promise<A>): Promise<Array<A>> => {
  const opened: Array<A> = new Array(count)
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      opened[index] = await open(index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
  return opened
}
