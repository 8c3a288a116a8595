/**
 * What happened in a run, as it is seen from outside the broker: what was published and acknowledged, which sessions there were,
 * what they were subscribed to and what reached them. `Checks` judges it.
 *
 * Moments are numbers that rise with every event; times are the simulated wall clock, ms.
 */
export type QoS = 0 | 1 | 2

export interface Sent {
  readonly label: string
  readonly publisher: string
  readonly kind: "publish" | "will"
  /** Where it arrives. */
  readonly topic: string
  /** "" removes the retained message; nobody can tell such messages apart. */
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  /** Not before this; 0: at once. */
  readonly dueMs: number
  /** For a will: when its connection broke; undefined while it has not. */
  sentAt: number | undefined
  /** The broker has taken it over (a will: it has to be published by now). */
  ackedAt: number | undefined
  /** Its publisher lost its session before that was known. */
  abandoned: boolean
}

export interface SubscriptionRecord {
  readonly filter: string
  readonly group: string | undefined
  readonly qos: QoS
  readonly sentAt: number
  subackAt: number | undefined
  /** UNSUBSCRIBE was sent, or a SUBSCRIBE that makes it less. */
  closedAt: number | undefined
  unsubackAt: number | undefined
}

export interface Arrival {
  readonly label: string
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly at: number
}

/** One session of a client, from CONNACK without session present to its end. */
export interface Epoch {
  readonly clientId: string
  readonly number: number
  readonly durable: boolean
  readonly startedAt: number
  /** Whatever ended it: a clean start, its expiry. */
  endedAt: number | undefined
  /** Nobody outside can know whether it is still the same session. */
  mayHaveEnded: boolean
  readonly subscriptions: Array<SubscriptionRecord>
  readonly arrivals: Array<Arrival>
}

export class Ledger {
  readonly sentByLabel = new Map<string, Sent>()
  readonly epochs: Array<Epoch> = []
  readonly faults: Array<string> = []
  readonly trace: Array<string> = []
  /** Moments at which the node went down without a word. */
  readonly crashes: Array<number> = []
  private moment = 0
  private labels = 0
  private readonly startMs: number

  constructor(private readonly nowMs: () => number) {
    this.startMs = nowMs()
  }

  now(): number {
    return this.nowMs()
  }

  next(): number {
    return ++this.moment
  }

  note(line: string): void {
    this.trace.push(`${((this.nowMs() - this.startMs) / 1000).toFixed(4).padStart(9)} ${line}`)
  }

  /** What must never happen was seen. */
  fault(text: string): void {
    this.note(`FAULT ${text}`)
    this.faults.push(text)
  }

  // --- messages

  newLabel(): string {
    return `m${++this.labels}`
  }

  sent(message: Omit<Sent, "sentAt" | "ackedAt" | "abandoned">, at: number | undefined): Sent {
    const sent: Sent = { ...message, sentAt: at, ackedAt: undefined, abandoned: false }
    this.sentByLabel.set(sent.label, sent)
    return sent
  }

  acked(label: string): void {
    const sent = this.sentByLabel.get(label)
    if (sent !== undefined) sent.ackedAt ??= this.next()
  }

  abandoned(label: string): void {
    const sent = this.sentByLabel.get(label)
    if (sent !== undefined && sent.ackedAt === undefined) sent.abandoned = true
  }

  /** The connection broke that this will is of. */
  broke(label: string): void {
    const sent = this.sentByLabel.get(label)
    if (sent !== undefined) sent.sentAt = this.next()
  }

  // --- sessions

  begin(clientId: string, durable: boolean): Epoch {
    const number = this.epochs.filter((epoch) => epoch.clientId === clientId).length + 1
    const startedAt = this.next()
    const epoch: Epoch = {
      clientId,
      number,
      durable,
      startedAt,
      endedAt: undefined,
      mayHaveEnded: false,
      subscriptions: [],
      arrivals: []
    }
    this.epochs.push(epoch)
    return epoch
  }

  /** SUBSCRIBE is sent. */
  subscribing(epoch: Epoch, filter: string, group: string | undefined, qos: QoS): SubscriptionRecord {
    const sentAt = this.next()
    if (qos === 0) this.close(epoch, filter, group, sentAt)
    const made: SubscriptionRecord = {
      filter,
      group,
      qos,
      sentAt,
      subackAt: undefined,
      closedAt: undefined,
      unsubackAt: undefined
    }
    epoch.subscriptions.push(made)
    return made
  }

  subscribed(record: SubscriptionRecord): void {
    record.subackAt = this.next()
  }

  /** UNSUBSCRIBE is sent. */
  unsubscribing(epoch: Epoch, filter: string, group: string | undefined): ReadonlyArray<SubscriptionRecord> {
    return this.close(epoch, filter, group, this.next())
  }

  unsubscribed(records: ReadonlyArray<SubscriptionRecord>): void {
    const at = this.next()
    for (const record of records) record.unsubackAt = at
  }

  private close(epoch: Epoch, filter: string, group: string | undefined, at: number): Array<SubscriptionRecord> {
    const same = epoch.subscriptions.filter((one) => one.filter === filter && one.group === group && one.unsubackAt === undefined)
    for (const record of same) record.closedAt ??= at
    return same
  }

  /** A PUBLISH reached the application of a client. */
  arrived(epoch: Epoch, topic: string, payload: string, qos: QoS, retain: boolean): void {
    if (payload === "") return
    const label = payload.slice(0, Math.max(0, payload.indexOf(":")))
    const sent = this.sentByLabel.get(label)
    const where = `${epoch.clientId} got ${payload.slice(0, 20)} on ${topic}`
    if (sent === undefined) {
      this.fault(`${where}: nobody sent that`)
      return
    }
    if (sent.payload !== payload || sent.topic !== topic)
      this.fault(`${where}: it was sent to ${sent.topic} and reads ${sent.payload}`)
    if (qos > sent.qos) this.fault(`${where} with QoS ${qos}: it was sent with ${sent.qos}`)
    if (sent.dueMs > this.nowMs()) this.fault(`${where}: ${sent.dueMs - this.nowMs()} ms early`)
    epoch.arrivals.push({ label, topic, qos, retain, at: this.next() })
  }
}
