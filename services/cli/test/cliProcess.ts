/**
 * The command as a process, and a broker started by it: in a directory of its own, on ports that the system chooses.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../bin/effectmq.js", import.meta.url))

/** What the process inherits: nothing of ours. */
const cleanEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("EFFECTMQ_") && !name.startsWith("VITEST")))

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string
}

export const launch = (parameters: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}): ChildProcess =>
  spawn(process.execPath, [bin, ...parameters], {
    env: { ...cleanEnvironment(), NO_COLOR: "1", ...environment },
    stdio: ["pipe", "pipe", "pipe"]
  })

/** Gathers what the process says until it ends. */
export const outcomeOf = (child: ChildProcess): Promise<Outcome> =>
  new Promise((resolve) => {
    let stdout = ""
    let stderr = ""
    child.stdout?.on("data", (chunk) => (stdout += chunk))
    child.stderr?.on("data", (chunk) => (stderr += chunk))
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

export const run = (parameters: ReadonlyArray<string>, options: RunOptions = {}): Promise<Outcome> => {
  const child = launch(parameters, options.environment)
  child.stdin?.end(options.input ?? "")
  return outcomeOf(child)
}

/** Resolves with the text once the process has said something that matches; rejects where it ends before. */
export const said = (child: ChildProcess, pattern: RegExp): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const take = (chunk: Buffer) => {
      text += chunk
      if (pattern.test(text)) resolve(text)
    }
    child.stdout?.on("data", take)
    child.stderr?.on("data", take)
    child.on("close", (code) => reject(new Error(`ended with ${code} and said:\n${text}`)))
  })

export const temporaryDirectory = async (): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), "effectmq-cli-"))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

export interface Broker {
  readonly child: ChildProcess
  readonly banner: string
  readonly mqttPort: number
  readonly wsPort: number
  readonly adminUrl: string
  /** Commands against this broker. */
  readonly run: (parameters: ReadonlyArray<string>, options?: RunOptions) => Promise<Outcome>
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

const portIn = (banner: string, pattern: RegExp): number => Number(pattern.exec(banner)?.[1] ?? Number.NaN)

export const startBroker = async (
  dataDir: string,
  more: ReadonlyArray<string> = [],
  environment: Readonly<Record<string, string>> = {}
): Promise<Broker> => {
  const free = ["mqtt.tcp.port=0", "mqtt.ws.port=0", "admin.http.port=0"].flatMap((each) => ["--set", each])
  const child = launch(["start", "--data-dir", dataDir, ...free, ...more], environment)
  const banner = await said(child, /Try it:[\s\S]*mosquitto_pub.*\n/)
  const mqttPort = portIn(banner, / mqtt:\/\/[^\s]*?:(\d+)\n/)
  const adminUrl = /(http:\/\/[^\s]*)\n/.exec(banner)?.[1] ?? ""
  const target = { EFFECTMQ_ADMIN_URL: adminUrl, EFFECTMQ_MQTT_URL: `mqtt://127.0.0.1:${mqttPort}` }
  return {
    child,
    banner,
    mqttPort,
    wsPort: portIn(banner, / ws:\/\/[^\s]*?:(\d+)\/mqtt\n/),
    adminUrl,
    run: (parameters, options = {}) => run(parameters, { ...options, environment: { ...target, ...options.environment } }),
    stop: (signal = "SIGTERM") =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode)
        child.on("exit", (code) => resolve(code))
        child.kill(signal)
      })
  }
}
