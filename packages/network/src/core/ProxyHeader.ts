/**
 * The header of the PROXY protocol, versions 1 (text) and 2 (binary): who the client of a proxy is.
 *
 * Version 2: 12 bytes signature, version and command (4 bits each), family and transport (4 bits each), u16 length of what
 * follows: addresses (source, destination, source port, destination port), then TLVs, which are skipped.
 * Bounds: a line of version 1 has at most 107 bytes, the rest of version 2 at most `proxyHeaderRestBytesMax`.
 */
import type { Buffer } from "node:buffer"
import { isIPv4, isIPv6 } from "node:net"

export const proxyHeaderRestBytesMax = 4096

const lineBytesMax = 107
const lineStart = [0x50, 0x52, 0x4f, 0x58, 0x59, 0x20] // "PROXY "
const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

export interface ProxySource {
  readonly address: string
  readonly port: number
}

export type ProxyHeader =
  | { readonly kind: "incomplete" }
  /** What came does not begin with a header. */
  | { readonly kind: "absent" }
  | { readonly kind: "malformed"; readonly detail: string }
  /** `source` is undefined where the proxy speaks for itself (LOCAL), or does not know or may not say. */
  | { readonly kind: "header"; readonly length: number; readonly source: ProxySource | undefined }

const incomplete: ProxyHeader = { kind: "incomplete" }
const absent: ProxyHeader = { kind: "absent" }
const malformed = (detail: string): ProxyHeader => ({ kind: "malformed", detail })

/** How many of the first bytes are those of `start`; -1 when one differs. */
const matching = (bytes: Buffer, start: ReadonlyArray<number>): number => {
  const count = Math.min(bytes.length, start.length)
  for (let i = 0; i < count; i++) if (bytes[i] !== start[i]) return -1
  return count
}

/** @param bytes all that was received until now, from the connection's first byte */
export const parseProxyHeader = (bytes: Buffer): ProxyHeader => {
  const inLine = matching(bytes, lineStart)
  if (inLine >= 0) return inLine < lineStart.length ? incomplete : parseLine(bytes)
  const inSignature = matching(bytes, signature)
  if (inSignature >= 0) return inSignature < signature.length ? incomplete : parseBinary(bytes)
  return absent
}

const parsePort = (text: string): number => {
  if (!/^(0|[1-9][0-9]{0,4})$/.test(text)) return -1
  const port = Number(text)
  return port <= 65_535 ? port : -1
}

const parseLine = (bytes: Buffer): ProxyHeader => {
  const end = bytes.subarray(0, lineBytesMax).indexOf("\r\n")
  if (end < 0) return bytes.length >= lineBytesMax ? malformed("line too long") : incomplete
  const length = end + 2
  const fields = bytes.toString("latin1", lineStart.length, end).split(" ")
  if (fields[0] === "UNKNOWN") return { kind: "header", length, source: undefined }
  if (fields[0] !== "TCP4" && fields[0] !== "TCP6") return malformed("unknown protocol")
  if (fields.length !== 5) return malformed("wrong number of fields")
  const [protocol, source, destination, sourcePort, destinationPort] = fields as [string, string, string, string, string]
  const isAddress = protocol === "TCP4" ? isIPv4 : isIPv6
  if (!isAddress(source) || !isAddress(destination)) return malformed("wrong address")
  const port = parsePort(sourcePort)
  if (port < 0 || parsePort(destinationPort) < 0) return malformed("wrong port")
  return { kind: "header", length, source: { address: source, port } }
}

/** Eight groups in hexadecimal, the longest run of at least two zeros as `::` (RFC 5952). */
const ipv6Text = (bytes: Buffer, at: number): string => {
  const groups: Array<number> = []
  for (let i = 0; i < 16; i += 2) groups.push(bytes.readUInt16BE(at + i))
  let runStart = -1
  let runLength = 1
  for (let i = 0; i < 8; i++) {
    let j = i
    while (j < 8 && groups[j] === 0) j++
    if (j - i > runLength) {
      runStart = i
      runLength = j - i
    }
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":")
  return runStart < 0 ? text(0, 8) : `${text(0, runStart)}::${text(runStart + runLength, 8)}`
}

const parseBinary = (bytes: Buffer): ProxyHeader => {
  if (bytes.length < 16) return incomplete
  const versionAndCommand = bytes[12] as number
  const family = bytes[13] as number
  const restLength = bytes.readUInt16BE(14)
  if (versionAndCommand >> 4 !== 2) return malformed("unknown version")
  const command = versionAndCommand & 0x0f
  if (command > 1) return malformed("unknown command")
  if (restLength > proxyHeaderRestBytesMax) return malformed("header too long")
  const length = 16 + restLength
  if (bytes.length < length) return incomplete
  if (command === 0) return { kind: "header", length, source: undefined }
  switch (family) {
    case 0x11: {
      if (restLength < 12) return malformed("addresses cut short")
      const address = `${bytes[16]}.${bytes[17]}.${bytes[18]}.${bytes[19]}`
      return { kind: "header", length, source: { address, port: bytes.readUInt16BE(24) } }
    }
    case 0x21: {
      if (restLength < 36) return malformed("addresses cut short")
      return { kind: "header", length, source: { address: ipv6Text(bytes, 16), port: bytes.readUInt16BE(48) } }
    }
    case 0x31:
      return restLength < 216 ? malformed("addresses cut short") : { kind: "header", length, source: undefined }
    case 0x00:
      return { kind: "header", length, source: undefined }
    default:
      return malformed("unknown family or transport")
  }
}
