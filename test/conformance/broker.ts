/**
 * The broker under test: the whole server in this process, on loopback, its data in a temporary directory.
 *
 * With `EFFECTMQ_TEST_BROKER=mosquitto` a Mosquitto stands in for it: to check the checks.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { resolve } from "@effectmq/schemas/config/Settings"
import * as Log from "@effectmq/metrics/Log"
import { NodeState } from "@effectmq/server/NodeState"
import * as Server from "@effectmq/server/Server"
import * as ServerSettings from "@effectmq/server/ServerSettings"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { BrokerProcess } from "../support/BrokerProcess.js"

export type Settings = Readonly<Record<string, string | number | boolean>>

export interface Broker {
  readonly port: number
  readonly wsPort: number
  readonly adminPort: number
  /** 0 where it has none. */
  readonly tlsPort: number
  stop(): Promise<void>
}

/** True where Mosquitto stands in: what goes beyond it is not asked of it. */
export const isStandIn = process.env.EFFECTMQ_TEST_BROKER === "mosquitto"

/**
 * @param settings configuration keys beside those of ports and data.
 * @param onLog takes each line of the log; default: standard error. Not of a broker that stands in.
 */
export const startBroker = (settings: Settings = {}, onLog?: (line: string) => void): Promise<Broker> =>
  isStandIn ? startProcess(settings) : startInProcess(settings, onLog)

const startProcess = async (settings: Settings): Promise<Broker> => {
  const broker = await BrokerProcess.start({ settings })
  const { port, wsPort, adminPort, tlsPort } = broker
  return { port, wsPort, adminPort, tlsPort, stop: () => broker.remove() }
}

const startInProcess = async (settings: Settings, onLog?: (line: string) => void): Promise<Broker> => {
  const folder = mkdtempSync(join(tmpdir(), "effectmq-conformance-"))
  const all: Settings = {
    "data.dir": folder,
    "mqtt.tcp.port": 0,
    "mqtt.ws.port": 0,
    "admin.http.port": 0,
    "log.level": "error",
    ...settings
  }
  const flags = Object.entries(all).map(([key, value]) => `${key}=${value}`)
  const resolved = Either.getOrThrowWith(resolve({ flags, environment: {} }), (error) => new Error(error.message))
  const scope = Effect.runSync(Scope.make())
  const stop = async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const serverSettings = ServerSettings.make(resolved)
    const level = serverSettings.live.map((now) => now["log.level"])
    const log = Log.layer({ level, format: "json", ...(onLog === undefined ? {} : { write: onLog }) })
    const build = Layer.buildWithScope(Server.layer(serverSettings), scope)
    const context = await Effect.runPromise(Effect.provide(build, log))
    const { listeners } = Context.get(context, NodeState)
    const portOf = (name: string): number => listeners.find((listener) => listener.name === name)?.port ?? 0
    return {
      port: portOf("mqtt.tcp"),
      wsPort: portOf("mqtt.ws"),
      adminPort: portOf("admin.http"),
      tlsPort: portOf("mqtt.tls"),
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}
