/**
 * The gate where a proxy says for whom it speaks: reads the PROXY header, puts back what follows it.
 */
import { Buffer } from "node:buffer"
import { BlockList, isIP, isIPv6, type Socket } from "node:net"
import { clientAddress } from "../core/ClientAddress.js"
import { parseProxyHeader } from "../core/ProxyHeader.js"
import type { ProxyProtocolOptions } from "../ProxyProtocolOptions.js"
import type { Arrival } from "./AcceptGate.js"
import type { Stage } from "./ListenerServer.js"

/** @throws Error that names the entry which is no address or network */
export const makeTrustedAddresses = (entries: ReadonlyArray<string>): BlockList => {
  const trusted = new BlockList()
  for (const entry of entries) {
    const [address = "", prefix, ...more] = entry.split("/")
    const family = isIP(address) === 6 ? "ipv6" : "ipv4"
    const bits = prefix === undefined ? undefined : /^[0-9]{1,3}$/.test(prefix) ? Number(prefix) : -1
    const bitsMax = family === "ipv6" ? 128 : 32
    if (isIP(address) === 0 || more.length > 0 || (bits !== undefined && (bits < 0 || bits > bitsMax)))
      throw new Error(`proxyProtocol.trustedAddresses: "${entry}" is neither an address nor a network`)
    if (bits === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, bits, family)
  }
  return trusted
}

/** Leaves the socket paused, with what came behind the header put back, when it calls `next`. */
export const makeProxyStage = (options: ProxyProtocolOptions, next: Stage): Stage => {
  if (options.mode === "off") return next
  if (options.trustedAddresses.length === 0) throw new Error("proxyProtocol.trustedAddresses: empty, nobody could connect")
  const trusted = makeTrustedAddresses(options.trustedAddresses)
  const required = options.mode === "required"

  const isTrusted = (address: string): boolean => isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? "ipv6" : "ipv4")

  const readHeader = (socket: Socket, arrival: Arrival): void => {
    let received: Buffer = Buffer.alloc(0)
    const stop = (): void => {
      socket.off("data", onData)
      socket.off("end", onEnd)
    }
    const onEnd = (): void => {
      stop()
      arrival.gate.refuse(arrival, "proxy-header", "ended before the header")
    }
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      const header = parseProxyHeader(received)
      if (header.kind === "incomplete") return
      stop()
      if (header.kind === "malformed") {
        arrival.gate.refuse(arrival, "proxy-header", header.detail)
        return
      }
      if (header.kind === "absent" && required) {
        arrival.gate.refuse(arrival, "proxy-header", "no header")
        return
      }
      if (header.kind === "header" && header.source !== undefined) {
        arrival.remoteAddress = clientAddress(header.source.address)
        arrival.remotePort = header.source.port
      }
      socket.pause()
      const rest = header.kind === "header" ? received.subarray(header.length) : received
      if (rest.length > 0) socket.unshift(rest)
      next(socket, arrival)
    }
    socket.on("data", onData)
    socket.on("end", onEnd)
  }

  return (socket, arrival) => {
    if (isTrusted(arrival.remoteAddress)) {
      arrival.gate.wait(arrival)
      readHeader(socket, arrival)
    } else if (required) arrival.gate.refuse(arrival, "proxy-untrusted")
    else next(socket, arrival)
  }
}
