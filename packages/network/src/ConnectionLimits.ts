/**
 * How many connections there may be, over all listeners of a node; and the count of those that were refused.
 *
 * A place is taken at accept, before any byte of the client is read, and given back when its socket is gone. Refusal reasons
 * are a bounded set, so that they can be labels of `effectmq_connections_refused_total`.
 */
import { type Counter, Meters, type MetersService } from "@effectmq/metrics/Meters"
import { type Live, liveOf, type Options } from "@effectmq/schemas/config/Live"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export const refusalReasons = [
  "total-limit",
  "address-limit",
  "rate-limit",
  "shutting-down",
  "proxy-untrusted",
  "proxy-header",
  "tls-handshake",
  "client-certificate",
  "websocket-request",
  "handshake-timeout",
  "handshakes-limit",
  "accept-error"
] as const

export type RefusalReason = (typeof refusalReasons)[number]

export interface ConnectionLimitsOptions {
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
}

export const defaultConnectionLimits: ConnectionLimitsOptions = {
  connectionsMax: 1_000_000,
  connectionsPerAddressMax: 1_000_000
}

export interface ConnectionLimitsService {
  /** Takes a place among all connections; false when there is none. */
  acquire(): boolean
  release(): void
  /** Takes a place among those of one client address; false when there is none. */
  acquireAddress(address: string): boolean
  releaseAddress(address: string): void
  /** Counts a refused connection. */
  refused(reason: RefusalReason): void
  /** How many places are taken. */
  connections(): number
}

export class ConnectionLimits extends Context.Tag("@effectmq/network/ConnectionLimits")<
  ConnectionLimits,
  ConnectionLimitsService
>() {}

/** Limits that all listeners share which are given this Layer. */
export const layer = (
  options: Options<ConnectionLimitsOptions> = defaultConnectionLimits
): Layer.Layer<ConnectionLimits, never, Meters> =>
  Layer.effect(
    ConnectionLimits,
    Effect.map(Meters, (meters) => makeLimits(liveOf(options), meters))
  )

/** Connections over a limit that was lowered stay. */
const makeLimits = (options: Live<ConnectionLimitsOptions>, meters: MetersService): ConnectionLimitsService => {
  const refusedByReason = new Map<RefusalReason, Counter>()
  for (const reason of refusalReasons) {
    const help = "Connections that were refused before the protocol saw them"
    refusedByReason.set(reason, meters.counter("effectmq_connections_refused_total", help, { reason }))
  }
  const countsByAddress = new Map<string, number>()
  let total = 0
  meters.gauge("effectmq_connections", "Open connections of all listeners", () => total)
  return {
    acquire: () => {
      if (total >= options.current.connectionsMax) return false
      total += 1
      return true
    },
    release: () => {
      total -= 1
    },
    acquireAddress: (address) => {
      const count = countsByAddress.get(address) ?? 0
      if (count >= options.current.connectionsPerAddressMax) return false
      countsByAddress.set(address, count + 1)
      return true
    },
    releaseAddress: (address) => {
      const count = countsByAddress.get(address) ?? 0
      if (count > 1) countsByAddress.set(address, count - 1)
      else countsByAddress.delete(address)
    },
    refused: (reason) => {
      const counter = refusedByReason.get(reason)
      if (counter !== undefined) counter.value += 1
    },
    connections: () => total
  }
}
