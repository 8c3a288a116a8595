/**
 * The brokers that are measured: how each is started on a free loopback port, and which version it is.
 *
 * Mosquitto gets its own configuration: persistence off, logging off, no limit on queues and messages in flight, so that it
 * is not slowed down or made to drop by its defaults. It is measured twice: `mosquitto` keeps its default of Nagle's algorithm,
 * which trades delay for throughput; `mosquitto-nodelay` sends at once (TCP_NODELAY), as EffectMQ and aedes do.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePort, start, stop, untilAccepts, untilReady } from "./processes.mjs"

const brokerCore = 0
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const bin = here("../../services/cli/bin/effectmq.js")

const temporaryFolder = () => mkdtempSync(join(tmpdir(), "effectmq-bench-"))
const remove = (folder) => rmSync(folder, { recursive: true, force: true })

const mosquittoConf = (port, noDelay) => `listener ${port} 127.0.0.1
allow_anonymous true
persistence false
log_dest none
set_tcp_nodelay ${noDelay}
max_connections -1
max_inflight_messages 0
max_inflight_bytes 0
max_queued_messages 0
max_queued_bytes 0
`

const mosquitto = (noDelay) => ({
  version: () => {
    const said = spawnSync("mosquitto", ["-h"], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } })
    return /mosquitto version (\S+)/.exec(String(said.stdout))?.[1]
  },
  start: async () => {
    const port = await freePort()
    const folder = temporaryFolder()
    writeFileSync(join(folder, "mosquitto.conf"), mosquittoConf(port, noDelay), { mode: 0o644 })
    const env = { PATH: `${process.env.PATH}:/usr/sbin` }
    const child = start(brokerCore, "mosquitto", ["-c", join(folder, "mosquitto.conf")], { env })
    await untilAccepts(child, port)
    return { port, pid: child.pid, stop: () => stop(child).then(() => remove(folder)) }
  }
})

const aedes = {
  version: () => {
    try {
      return JSON.parse(readFileSync(join(createRequire(import.meta.url).resolve("aedes"), "../package.json"), "utf8")).version
    } catch {
      return undefined
    }
  },
  start: async () => {
    const port = await freePort()
    const child = start(brokerCore, process.execPath, [here("aedes.mjs"), String(port)])
    await untilAccepts(child, port)
    return { port, pid: child.pid, stop: () => stop(child) }
  }
}

const isHealthy = (port) =>
  new Promise((resolve) => {
    const asked = request({ port, host: "127.0.0.1", path: "/health/ready", agent: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    asked.on("error", () => resolve(false))
    asked.end()
  })

/** Starts EffectMQ on a data directory of its own, or on the given one; `settings` are configuration keys. */
export const startEffectmq = async ({ settings = {}, dataDir } = {}) => {
  const folder = dataDir ?? temporaryFolder()
  const port = await freePort()
  const adminPort = await freePort()
  const keys = {
    "mqtt.tcp.port": port,
    "mqtt.ws.enabled": false,
    "admin.http.port": adminPort,
    "log.level": "warn",
    ...settings
  }
  const flags = Object.entries(keys).flatMap(([key, value]) => ["--set", `${key}=${value}`])
  const child = start(brokerCore, process.execPath, [bin, "start", "--data-dir", folder, ...flags])
  await untilReady(child, () => isHealthy(adminPort))
  const end = async (signal) => {
    await stop(child, signal)
    if (dataDir === undefined) remove(folder)
  }
  return { port, pid: child.pid, stop: end }
}

const effectmq = {
  version: () => JSON.parse(readFileSync(here("../../services/cli/package.json"), "utf8")).version,
  start: startEffectmq
}

export const peers = { effectmq, mosquitto: mosquitto(false), "mosquitto-nodelay": mosquitto(true), aedes }
export { remove, temporaryFolder }
