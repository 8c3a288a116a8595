/**
 * A message on its way through the broker, whatever protocol brought it.
 *
 * Immutable once published. The payload is a range of `bytes`, often of the chunk the socket received: nothing is copied
 * until a destination's output or the log takes it.
 */
export type QoS = 0 | 1 | 2

/** Properties a message carries end to end; absent ones are undefined. */
export interface MessageProperties {
  /** 1 where the publisher says the payload is UTF-8 text. */
  readonly payloadFormat?: 0 | 1 | undefined
  readonly contentType?: string | undefined
  readonly responseTopic?: string | undefined
  readonly correlationData?: Uint8Array | undefined
  readonly userProperties?: ReadonlyArray<readonly [name: string, value: string]> | undefined
}

/** About what a user property costs in memory beside its characters: two texts and the pair of them. */
const userPropertyBytes = 112
/** From so many on their size is remembered. */
const userPropertiesRemembered = 16
const sizeByUserProperties = new WeakMap<ReadonlyArray<unknown>, number>()

const userPropertiesSize = (pairs: ReadonlyArray<readonly [name: string, value: string]>): number => {
  const known = pairs.length < userPropertiesRemembered ? undefined : sizeByUserProperties.get(pairs)
  if (known !== undefined) return known
  let size = pairs.length * userPropertyBytes
  for (const [name, value] of pairs) size += name.length + value.length
  if (pairs.length >= userPropertiesRemembered) sizeByUserProperties.set(pairs, size)
  return size
}

const propertiesSize = ({ contentType, responseTopic, correlationData, userProperties }: MessageProperties): number =>
  (contentType?.length ?? 0) +
  (responseTopic?.length ?? 0) +
  (correlationData?.length ?? 0) +
  (userProperties === undefined ? 0 : userPropertiesSize(userProperties))

/** Bytes beside the payload that a message may keep alive while it waits. */
const strayBytesMax = 1024

export class Message {
  private compacted: Message | undefined = undefined
  /** A protocol's own cache of an encoded form; never looked at by anything else. */
  cache: unknown = undefined

  constructor(
    readonly topic: string,
    readonly bytes: Buffer,
    readonly payloadStart: number,
    readonly payloadEnd: number,
    readonly qos: QoS,
    /** As published; whether a subscriber sees it is decided by its subscription [MQTT-3.3.1-12, -13]. */
    readonly retain: boolean,
    readonly properties: MessageProperties | undefined,
    /** Wall-clock ms at which the broker received it. */
    readonly publishedAtMs: number,
    /** Wall-clock ms past which it is not delivered; 0: never. */
    readonly expiresAtMs: number,
    /** Client id of the publisher; "" for the broker itself. */
    readonly publisher: string,
    /**
     * Idempotency tag of a publisher that wants exactly-once; stored with the message, so that a restart finds out which
     * tagged messages reached the log (`MessageLog.originsSince`).
     */
    readonly origin: string | undefined
  ) {}

  get payload(): Buffer {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd)
  }

  /**
   * About what it costs to keep the message: all bounds of what waits in bytes go by it. A payload of one byte may come with a
   * hundred thousand user properties.
   */
  get sizeBytes(): number {
    const size = this.payloadEnd - this.payloadStart + this.topic.length
    return this.properties === undefined ? size : size + propertiesSize(this.properties)
  }

  /**
   * The message as it should be kept while it waits: with bytes of its own where it would keep alive many more than its payload
   * (the chunk it came in, a batch of the log). Those who wait for the same message share them.
   */
  compact(): Message {
    const size = this.payloadEnd - this.payloadStart
    if (this.bytes.buffer.byteLength <= size * 2 + strayBytesMax) return this
    if (this.compacted === undefined) {
      const { topic, qos, retain, properties, publishedAtMs, expiresAtMs, publisher, origin } = this
      // Not from the pool, which would keep others' bytes alive in its turn.
      const bytes = Buffer.allocUnsafeSlow(size)
      this.bytes.copy(bytes, 0, this.payloadStart, this.payloadEnd)
      this.compacted = new Message(topic, bytes, 0, size, qos, retain, properties, publishedAtMs, expiresAtMs, publisher, origin)
    }
    return this.compacted
  }
}
