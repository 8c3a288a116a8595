/**
 * Reads the user properties of a PUBLISH of version 5 from its bytes, in their order: mqtt-packet does not keep it.
 */
const sizeById: Readonly<Record<number, number | "string" | "integer" | "pair">> = {
  1: 1,
  2: 4,
  3: "string",
  8: "string",
  9: "string",
  11: "integer",
  35: 2,
  38: "pair"
}

export const userPropertiesOf = (bytes: Buffer): ReadonlyArray<readonly [string, string]> => {
  let at = 1
  const integer = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
  }
  const string = (): string => {
    const size = bytes.readUInt16BE(at)
    at += 2 + size
    return bytes.toString("utf8", at - size, at)
  }
  const qos = ((bytes[0] as number) >> 1) & 3
  integer()
  string()
  if (qos > 0) at += 2
  const size = integer()
  const end = at + size
  const pairs: Array<readonly [string, string]> = []
  while (at < end) {
    const kind = sizeById[integer()]
    if (kind === "pair") pairs.push([string(), string()])
    else if (kind === "string") string()
    else if (kind === "integer") integer()
    else at += kind ?? end
  }
  return pairs
}
