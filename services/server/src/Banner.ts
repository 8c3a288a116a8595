/**
 * What a person who started the broker wants to know first: what listens where, where the data is, how to send a message.
 */
import { resolve } from "node:path"
import type { AuthenticationMode, ListenerAddress } from "@effectmq/schemas/admin/Status"
import type { Settings } from "@effectmq/schemas/config/Settings"
import type { NodeStateService } from "./NodeState.js"
import { version } from "./Version.js"

const names: Readonly<Record<string, string>> = {
  "mqtt.tcp": "MQTT",
  "mqtt.ws": "MQTT over WebSocket",
  "mqtt.tls": "MQTT over TLS",
  "mqtt.wss": "MQTT over secure WebSocket",
  "admin.http": "Admin API and metrics",
  "cluster.rpc": "Other nodes"
}

const reachable = (host: string): string =>
  host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host

const addressOf = (listener: ListenerAddress, wsPath: string): string => {
  const host = listener.host.includes(":") ? `[${listener.host}]` : listener.host
  const at = `${host}:${listener.port}`
  if (listener.name === "mqtt.ws") return `ws://${at}${wsPath}`
  if (listener.name === "mqtt.wss") return `wss://${at}${wsPath}`
  if (listener.name === "mqtt.tls") return `mqtts://${at}`
  if (listener.name === "cluster.rpc") return at
  return listener.name === "mqtt.tcp" ? `mqtt://${at}` : `http://${at}`
}

const authenticationLine: Readonly<Record<AuthenticationMode, string>> = {
  open: "nobody has been configured, so only clients on this machine are let in: effectmq user add NAME, then start again",
  anonymous: "clients without a user name are let in (auth.allowAnonymous)",
  users: "clients need a user name and password, or what else is configured"
}

export const bannerLines = (settings: Settings, state: NodeStateService): ReadonlyArray<string> => {
  const rows: Array<readonly [string, string]> = state.listeners.map((listener) => [
    names[listener.name] ?? listener.name,
    addressOf(listener, settings["mqtt.ws.path"])
  ])
  rows.push(["Data", resolve(settings["data.dir"])], ["Who may connect", authenticationLine[state.authentication()]])
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = [
    `EffectMQ ${version} serves (node ${settings["node.id"]}, ready after ${state.startMs} ms)`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
  ]
  const tcp = state.listeners.find((listener) => listener.name === "mqtt.tcp")
  if (tcp !== undefined) {
    const user = state.authentication() === "users" ? " -u USER -P PASSWORD" : ""
    const at = `-h ${reachable(tcp.host)} -p ${tcp.port}${user}`
    lines.push("Try it:", `  mosquitto_sub ${at} -t 'hello/#' -v &`, `  mosquitto_pub ${at} -t hello/world -m 'Hello'`)
  }
  return lines
}
