/**
 * MQTT 3.1.1 and 5.0 packets as bytes, just enough of them, and quick to make a million of.
 */
export type Version = 4 | 5

export const connack = 2
export const publishType = 3
export const puback = 4
export const pubrec = 5
export const pubrel = 6
export const pubcomp = 7
export const suback = 9
export const pingresp = 13
export const disconnect = 14

export interface ConnectOptions {
  /** Default 5. */
  readonly version?: Version
  /** Default true. */
  readonly clean?: boolean
  readonly keepAliveSeconds?: number
  /** In 3.1.1 a session that is not clean never expires. */
  readonly expirySeconds?: number
  readonly receiveMaximum?: number
  readonly username?: string
  readonly password?: string
  readonly will?: {
    readonly topic: string
    readonly payload: string
    readonly qos: 0 | 1 | 2
    readonly retain?: boolean
    readonly delaySeconds?: number
  }
  /** Sends no CONNECT. */
  readonly silent?: boolean
}

export interface Received {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  /** 0 at QoS 0. */
  readonly packetId: number
}

const lengthBytes = (length: number): Array<number> => {
  const bytes: Array<number> = []
  let left = length
  do {
    const byte = left % 128
    left = Math.floor(left / 128)
    bytes.push(left > 0 ? byte | 128 : byte)
  } while (left > 0)
  return bytes
}

const uint32 = (value: number) => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]
const uint16 = (value: number) => Buffer.from([value >> 8, value & 255])
const text = (value: string) => Buffer.concat([uint16(Buffer.byteLength(value)), Buffer.from(value)])

export const packet = (first: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([first, ...lengthBytes(body.length)]), body])

export const connect = (clientId: string, options: ConnectOptions): Buffer => {
  const { version = 5, clean = true, keepAliveSeconds = 0, expirySeconds, receiveMaximum, username, password, will } = options
  const flags =
    (clean ? 2 : 0) |
    (will === undefined ? 0 : 4 | (will.qos << 3) | (will.retain === true ? 32 : 0)) |
    (username === undefined ? 0 : 128) |
    (password === undefined ? 0 : 64)
  const properties: Array<number> = []
  if (expirySeconds !== undefined) properties.push(0x11, ...uint32(expirySeconds))
  if (receiveMaximum !== undefined) properties.push(0x21, receiveMaximum >> 8, receiveMaximum & 255)
  const parts = [text("MQTT"), Buffer.from([version, flags]), uint16(keepAliveSeconds)]
  if (version === 5) parts.push(Buffer.from([properties.length, ...properties]))
  parts.push(text(clientId))
  if (will !== undefined) {
    const delay = will.delaySeconds === undefined ? [] : [0x18, ...uint32(will.delaySeconds)]
    if (version === 5) parts.push(Buffer.from([delay.length, ...delay]))
    parts.push(text(will.topic), text(will.payload))
  }
  if (username !== undefined) parts.push(text(username))
  if (password !== undefined) parts.push(text(password))
  return packet(0x10, Buffer.concat(parts))
}

export const subscribe = (packetId: number, filters: ReadonlyArray<string>, qos: 0 | 1 | 2, version: Version = 5): Buffer => {
  const parts = [uint16(packetId)]
  if (version === 5) parts.push(Buffer.from([0]))
  for (const filter of filters) parts.push(text(filter), Buffer.from([qos]))
  return packet(0x82, Buffer.concat(parts))
}

export const publish = (
  topic: string,
  payload: string | Buffer,
  qos: 0 | 1 | 2,
  options: { readonly packetId?: number; readonly retain?: boolean; readonly dup?: boolean; readonly version?: Version } = {}
): Buffer => {
  const { packetId = 1, retain = false, dup = false, version = 5 } = options
  const topicBytes = Buffer.byteLength(topic)
  const payloadBytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length
  const remaining = 2 + topicBytes + (qos > 0 ? 2 : 0) + (version === 5 ? 1 : 0) + payloadBytes
  const lengths = lengthBytes(remaining)
  const bytes = Buffer.allocUnsafe(1 + lengths.length + remaining)
  let at = bytes.writeUInt8(0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0), 0)
  for (const byte of lengths) at = bytes.writeUInt8(byte, at)
  at = bytes.writeUInt16BE(topicBytes, at)
  at += bytes.write(topic, at)
  if (qos > 0) at = bytes.writeUInt16BE(packetId, at)
  if (version === 5) at = bytes.writeUInt8(0, at)
  if (typeof payload === "string") bytes.write(payload, at)
  else payload.copy(bytes, at)
  return bytes
}

export const acknowledgement = (type: number, packetId: number): Buffer =>
  Buffer.from([(type << 4) | (type === pubrel ? 2 : 0), 2, packetId >> 8, packetId & 255])

export const disconnectPacket = Buffer.from([0xe0, 0])
export const pingreqPacket = Buffer.from([0xc0, 0])

/** Where the body of the frame at `start` begins; 0 where its length has not come yet. */
export const bodyStart = (bytes: Buffer, start: number): number => {
  for (let at = start + 1; at < bytes.length && at < start + 5; at++) if ((bytes[at] as number) < 128) return at + 1
  return 0
}

export const remainingLengthAt = (bytes: Buffer, start: number): number => {
  let length = 0
  for (let index = 0; index < 4; index++) {
    const byte = bytes[start + 1 + index] as number
    length += (byte & 127) * 128 ** index
    if (byte < 128) break
  }
  return length
}

export const readPublish = (bytes: Buffer, start: number, body: number, end: number, version: Version): Received => {
  const first = bytes[start] as number
  const qos = (first >> 1) & 3
  const topicEnd = body + 2 + bytes.readUInt16BE(body)
  let at = topicEnd
  const packetId = qos === 0 ? 0 : bytes.readUInt16BE(at)
  if (qos > 0) at += 2
  if (version === 5) at = bodyStart(bytes, at - 1) + remainingLengthAt(bytes, at - 1)
  return {
    topic: bytes.toString("latin1", body + 2, topicEnd),
    payload: bytes.subarray(at, end),
    qos,
    retain: (first & 1) === 1,
    dup: (first & 8) === 8,
    packetId
  }
}

/** The codes of a SUBACK. */
export const subackCodes = (bytes: Buffer, body: number, end: number, version: Version): Buffer => {
  const at = version === 5 ? bodyStart(bytes, body + 1) + remainingLengthAt(bytes, body + 1) : body + 2
  return bytes.subarray(at, end)
}
