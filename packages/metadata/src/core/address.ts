/**
 * What is an IP address or a block of them in CIDR notation (RFC 4632, RFC 4291).
 */
const isIPv4 = (text: string): boolean => {
  const parts = text.split(".")
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

const isIPv6 = (text: string): boolean => {
  const halves = text.split("::")
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")))
  let count = groups.length
  const last = groups.at(-1)
  // The last 32 bits may be written as IPv4; they stand at the end of the text.
  if (last !== undefined && last.includes(".")) {
    if (!isIPv4(last) || text.endsWith("::")) return false
    groups.pop()
    count++
  }
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false
  return halves.length === 2 ? count < 8 : count === 8
}

/** `10.0.0.0/8`, `192.168.1.7`, `fe80::/10`, `::1`. */
export const isAddressOrBlock = (text: string): boolean => {
  const slash = text.indexOf("/")
  const address = slash < 0 ? text : text.slice(0, slash)
  const bitsMax = isIPv4(address) ? 32 : isIPv6(address) ? 128 : undefined
  if (bitsMax === undefined) return false
  return slash < 0 || (/^(0|[1-9]\d{0,2})$/.test(text.slice(slash + 1)) && Number(text.slice(slash + 1)) <= bitsMax)
}
