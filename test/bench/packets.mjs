/**
 * MQTT 3.1.1 packets as bytes, made once before anything is measured.
 */
const remainingLength = (length) => {
  const bytes = []
  do {
    const byte = length % 128
    length = Math.floor(length / 128)
    bytes.push(length > 0 ? byte | 128 : byte)
  } while (length > 0)
  return Buffer.from(bytes)
}

const text = (value) => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const packet = (first, body) => Buffer.concat([Buffer.from([first]), remainingLength(body.length), body])

export const connect = (clientId, { clean = true, keepAliveSeconds = 600 } = {}) =>
  packet(
    0x10,
    Buffer.concat([text("MQTT"), Buffer.from([4, clean ? 2 : 0, keepAliveSeconds >> 8, keepAliveSeconds & 255]), text(clientId)])
  )

export const subscribe = (filter, qos) => packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(filter), Buffer.from([qos])]))

export const disconnect = Buffer.from([0xe0, 0])

export const publish = (topic, payload, qos, packetId = 1) =>
  packet(
    0x30 | (qos << 1),
    Buffer.concat([text(topic), qos > 0 ? Buffer.from([packetId >> 8, packetId & 255]) : Buffer.alloc(0), payload])
  )

/** Where the packet identifier lies in a PUBLISH of `size` bytes to `topic`. */
export const packetIdOffset = (size, topic) => (size - 2 < 128 ? 2 : size - 3 < 16384 ? 3 : 4) + 2 + Buffer.byteLength(topic)
