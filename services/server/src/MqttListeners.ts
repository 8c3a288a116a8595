/**
 * Where MQTT listens, from the settings: up to four listeners with the same limits.
 *
 * Invariant: while nobody has configured any authentication, nothing listens beyond this machine. A host that was not set is
 * then 127.0.0.1; one that was set to more is refused.
 */
import type { Settings } from "@effectmq/schemas/config/Settings"
import { defaultConnectionOptions } from "@effectmq/network/ConnectionOptions"
import type { ListenerLimits, ListenOptions } from "@effectmq/network/ListenOptions"
import type { TlsOptions } from "@effectmq/network/TlsOptions"
import { defaultWebSocketOptions } from "@effectmq/network/WebSocketOptions"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { isLoopback } from "./Loopback.js"

export class OpenBeyondLoopback extends Data.TaggedError("OpenBeyondLoopback")<{
  readonly key: string
  readonly host: string
}> {
  override get message(): string {
    return (
      `${this.key} is ${this.host}, and nobody has configured who may connect: everybody who reaches that address could. ` +
      `Start without it, add a user (effectmq user add NAME) and start again; or let everybody in with auth.allowAnonymous=true.`
    )
  }
}

export interface NamedListener {
  /** For instance `mqtt.tcp`. */
  readonly name: string
  readonly options: ListenOptions
}

const anyAddress = "0.0.0.0"
const thisMachine = "127.0.0.1"

const tlsOptions = (settings: Settings): TlsOptions | undefined => {
  const certificate = settings["mqtt.tls.certFile"]
  const key = settings["mqtt.tls.keyFile"]
  const authorities = settings["mqtt.tls.caFile"]
  if (certificate === undefined || key === undefined) return undefined
  return {
    certificate: { file: certificate },
    key: { file: key },
    clientAuthorities: authorities === undefined ? undefined : { file: authorities },
    clientCertificate: settings["mqtt.tls.clientCertificate"]
  }
}

/** What may change while they listen. */
export const listenerLimits = (settings: Settings): ListenerLimits => {
  const perSecond = settings["limits.connectionsPerSecond"]
  // Room for two of the largest packets, so that a reader of normal speed is never ended for them.
  const outputBytesMax = Math.max(defaultConnectionOptions.outputBytesMax, 2 * settings["mqtt.maxPacketSizeBytes"])
  return {
    connectTimeoutMs: settings["mqtt.connectTimeoutSeconds"] * 1000,
    outputBytesMax,
    rate: perSecond === 0 ? undefined : { connectionsPerSecond: perSecond, burst: perSecond },
    // It may hold several packets.
    messageBytesMax: 2 * settings["mqtt.maxPacketSizeBytes"] + 64 * 1024
  }
}

/** The listeners that the settings ask for. `open`: nobody has configured any authentication. */
export const mqttListeners = (
  settings: Settings,
  open: boolean
): Either.Either<ReadonlyArray<NamedListener>, OpenBeyondLoopback> =>
  Either.gen(function* () {
    const { messageBytesMax, ...limits } = listenerLimits(settings)
    const proxyProtocol = { mode: settings["mqtt.proxy.mode"], trustedAddresses: settings["mqtt.proxy.trustedAddresses"] }
    const common = { ...limits, proxyProtocol }
    const tls = tlsOptions(settings)
    const webSocket = { ...defaultWebSocketOptions, path: settings["mqtt.ws.path"], messageBytesMax }
    const listeners: Array<NamedListener> = []
    const at = function* (transport: "tcp" | "ws" | "tls" | "wss") {
      const key = `mqtt.${transport}.host` as const
      const host = settings[key]
      if (open && host !== undefined && !isLoopback(host)) return yield* Either.left(new OpenBeyondLoopback({ key, host }))
      return { host: host ?? (open ? thisMachine : anyAddress), port: settings[`mqtt.${transport}.port`] }
    }
    if (settings["mqtt.tcp.enabled"]) {
      listeners.push({ name: "mqtt.tcp", options: { kind: "tcp", ...common, ...(yield* at("tcp")) } })
    }
    if (settings["mqtt.ws.enabled"]) {
      listeners.push({ name: "mqtt.ws", options: { kind: "ws", ...common, ...(yield* at("ws")), ws: webSocket } })
    }
    if (settings["mqtt.tls.enabled"] && tls !== undefined) {
      listeners.push({ name: "mqtt.tls", options: { kind: "tls", ...common, ...(yield* at("tls")), tls } })
    }
    if (settings["mqtt.wss.enabled"] && tls !== undefined) {
      listeners.push({ name: "mqtt.wss", options: { kind: "wss", ...common, ...(yield* at("wss")), tls, ws: webSocket } })
    }
    return listeners
  })
