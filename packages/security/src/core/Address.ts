/**
 * IP addresses and blocks of them (CIDR), versions 4 and 6, as bytes.
 *
 * An IPv4 address that came over an IPv6 socket (`::ffff:192.0.2.1`) is the IPv4 address. A zone (`%eth0`) is ignored.
 */
export interface AddressBlock {
  /** 4 or 16 bytes; bits behind the prefix are zero. */
  readonly bytes: Uint8Array
  readonly prefixBits: number
}

const parseV4 = (text: string): Uint8Array | undefined => {
  const parts = text.split(".")
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    const part = parts[i] as string
    // A leading zero is octal to some readers: refused.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

const parseGroups = (text: string): ReadonlyArray<number> | undefined => {
  if (text === "") return []
  const groups: Array<number> = []
  const parts = text.split(":")
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string
    if (part.includes(".")) {
      const v4 = i === parts.length - 1 ? parseV4(part) : undefined
      if (v4 === undefined) return undefined
      groups.push(((v4[0] as number) << 8) | (v4[1] as number), ((v4[2] as number) << 8) | (v4[3] as number))
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}

const parseV6 = (text: string): Uint8Array | undefined => {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] as string)
  const tail = halves.length === 2 ? parseGroups(halves[1] as string) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  if (halves.length === 2 && (halves[0] as string).includes(".")) return undefined
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const bytes = new Uint8Array(16)
  groups.forEach((group, i) => {
    bytes[2 * i] = group >> 8
    bytes[2 * i + 1] = group & 0xff
  })
  return bytes
}

const isMappedV4 = (bytes: Uint8Array): boolean =>
  bytes.length === 16 && bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff

/** The 4 or 16 bytes of an address; undefined where the text is none. */
export const parseAddress = (text: string): Uint8Array | undefined => {
  if (text.length > 100) return undefined
  if (!text.includes(":")) return parseV4(text)
  const zone = text.indexOf("%")
  const bytes = parseV6(zone < 0 ? text : text.slice(0, zone))
  return bytes !== undefined && isMappedV4(bytes) ? bytes.slice(12) : bytes
}

/** An address, or `address/prefix length`; undefined where the text is neither. */
export const parseAddressBlock = (text: string): AddressBlock | undefined => {
  const slash = text.indexOf("/")
  const address = slash < 0 ? text : text.slice(0, slash)
  const bytes = parseAddress(address)
  if (bytes === undefined) return undefined
  if (slash < 0) return { bytes, prefixBits: bytes.length * 8 }
  const prefix = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(prefix)) return undefined
  // `::ffff:192.0.2.0/120` counts from the front of the IPv6 form.
  const prefixBits = Number(prefix) - (bytes.length === 4 && address.includes(":") ? 96 : 0)
  if (prefixBits < 0 || prefixBits > bytes.length * 8) return undefined
  return { bytes: masked(bytes, prefixBits), prefixBits }
}

const masked = (bytes: Uint8Array, prefixBits: number): Uint8Array =>
  bytes.map((byte, i) => byte & (0xff << Math.max(0, Math.min(8, 8 - (prefixBits - 8 * i)))))

/** Whether the block holds the address; never across versions. */
export const blockHolds = (block: AddressBlock, address: Uint8Array): boolean => {
  if (block.bytes.length !== address.length) return false
  const whole = block.prefixBits >> 3
  for (let i = 0; i < whole; i++) if (block.bytes[i] !== address[i]) return false
  const rest = block.prefixBits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((address[whole] as number) & mask) === (block.bytes[whole] as number)
}
