/**
 * The broker as users run it: a process with a data directory and free loopback ports of its own.
 *
 * Ports and directory stay the same over restarts. With `EFFECTMQ_TEST_BROKER=mosquitto` in the environment a Mosquitto is
 * started instead, to check the checks: what holds for any broker must pass, and `kill -9` must be found out.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { get } from "node:http"
import { createConnection, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { until } from "./Until.js"

const bin = fileURLToPath(new URL("../../services/cli/bin/effectmq.js", import.meta.url))
const built = fileURLToPath(new URL("../../services/cli/dist/main.js", import.meta.url))
const isMosquitto = process.env.EFFECTMQ_TEST_BROKER === "mosquitto"

export type Settings = Readonly<Record<string, string | number | boolean>>

/** Where a broker runs and is asked, when that is not the loopback of the tests. */
export interface Place {
  readonly host: string
  /** The command that runs a command there. */
  readonly enter: ReadonlyArray<string>
}

export interface BrokerOptions {
  /** Configuration keys beside those of ports. */
  readonly settings?: Settings
  /** Where to keep data; a temporary directory that `remove` deletes where it is not given. */
  readonly dataDir?: string
  /** With a certificate, TLS and secure WebSocket are on. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string }
  readonly place?: Place
  /** Variables of the process beside those it inherits. */
  readonly environment?: Readonly<Record<string, string>>
}

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Below those that the system gives to outgoing connections: one of these could take a port between the look and its use. */
const portMin = 23_000
const portMax = 32_000
const portsGiven = new Set<number>()

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().on("error", () => resolve(false))
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(true)))
  })

/** A port that nobody listens on now, another one each time. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(portMin, portMax)
    if (portsGiven.has(port) || !(await isFree(port))) continue
    portsGiven.add(port)
    return port
  }
}

/** Of the admin API where others than programs of the same machine ask it. */
const adminToken = "token-of-the-tests"

const answersReady = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get({ port, host, path: "/health/ready", agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on("error", () => resolve(false))
  })

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" })
    socket.on("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

const outputMax = 200_000

export class BrokerProcess {
  /** What the process said so far, both streams, the newest part. */
  output = ""
  private child: ChildProcess | undefined
  private exited: Promise<number | string> = Promise.resolve(0)
  private hasExited = true

  private constructor(
    readonly dataDir: string,
    readonly port: number,
    readonly wsPort: number,
    readonly tlsPort: number,
    readonly wssPort: number,
    readonly adminPort: number,
    private readonly options: BrokerOptions
  ) {}

  /** Starts a broker and waits until it serves. */
  static async start(options: BrokerOptions = {}): Promise<BrokerProcess> {
    const broker = await BrokerProcess.prepare(options)
    await broker.start()
    return broker
  }

  /** Chooses directory and ports, for a later `start`. */
  static async prepare(options: BrokerOptions = {}): Promise<BrokerProcess> {
    if (!isMosquitto && !existsSync(built)) throw new Error("the broker is not built: run `npm run build` first")
    const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "effectmq-test-"))
    const ports = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()] as const
    return new BrokerProcess(dataDir, ...ports, options)
  }

  private get host(): string {
    return this.options.place?.host ?? "127.0.0.1"
  }

  get adminUrl(): string {
    return `http://${this.host}:${this.adminPort}`
  }

  /** What a request to the admin API must bring. */
  get adminHeaders(): Readonly<Record<string, string>> {
    return this.options.place === undefined ? {} : { authorization: `Bearer ${adminToken}` }
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error("the broker does not run")
    return this.child.pid
  }

  get isRunning(): boolean {
    return !this.hasExited
  }

  /** Starts it again after `stop` or `kill9`. `settings` are added for this start. */
  async start(settings: Settings = {}): Promise<void> {
    const [command, args] = this.entered(...(isMosquitto ? this.mosquitto() : this.effectmq(settings)))
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...this.environment(), ...this.options.environment }
    })
    this.child = child
    this.hasExited = false
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-outputMax)
      })
    }
    this.exited = new Promise((resolve) => {
      const done = (how: number | string) => {
        this.hasExited = true
        resolve(how)
      }
      child.on("error", (error) => done(error.message))
      child.on("exit", (code, signal) => done(code ?? signal ?? "unknown"))
    })
    const ready = () => (isMosquitto ? accepts(this.port) : answersReady(this.host, this.adminPort))
    await until(async () => this.hasExited || (await ready()), "the broker is ready", 60_000)
    if (this.hasExited) throw new Error(`the broker ended instead of starting:\n${this.output}`)
  }

  /** Asks it to stop, as Ctrl-C does; answers its exit code. */
  async stop(): Promise<number | string> {
    if (this.hasExited) return this.exited
    const timer = setTimeout(() => this.child?.kill("SIGKILL"), 30_000)
    this.child?.kill("SIGTERM")
    const how = await this.exited
    clearTimeout(timer)
    return how
  }

  /** `SIGSTOP` and `SIGCONT`: it stands still, and goes on. */
  pause(): void {
    this.child?.kill("SIGSTOP")
  }

  resume(): void {
    this.child?.kill("SIGCONT")
  }

  async kill9(): Promise<void> {
    this.child?.kill("SIGKILL")
    await this.exited
  }

  /** Ends it and deletes its data. */
  async remove(): Promise<void> {
    await this.kill9()
    if (this.options.dataDir === undefined) rmSync(this.dataDir, { recursive: true, force: true })
  }

  residentBytes(): number {
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))
    return Number(line?.[1] ?? Number.NaN) * 1024
  }

  /** Runs the `effectmq` command against this broker. */
  command(...args: ReadonlyArray<string>): Promise<CommandResult> {
    const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "pipe", "pipe"], env: this.environment() })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    return new Promise((resolve, reject) => {
      child.on("error", reject)
      child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }))
    })
  }

  private environment(): NodeJS.ProcessEnv {
    // Variables of the suites begin like configuration keys do, and the broker refuses those it does not know.
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("EFFECTMQ_"))
    return {
      ...Object.fromEntries(inherited),
      PATH: `${process.env.PATH ?? ""}:/usr/sbin`,
      EFFECTMQ_ADMIN_URL: this.adminUrl,
      EFFECTMQ_MQTT_URL: `mqtt://${this.host}:${this.port}`,
      ...(this.options.place === undefined ? {} : { EFFECTMQ_ADMIN_TOKEN: adminToken })
    }
  }

  private entered(command: string, args: Array<string>): [string, Array<string>] {
    const [enter, ...more] = this.options.place?.enter ?? []
    return enter === undefined ? [command, args] : [enter, [...more, command, ...args]]
  }

  private effectmq(more: Settings): [string, Array<string>] {
    const { tls, place } = this.options
    const settings: Settings = {
      ...(place === undefined
        ? {}
        : {
            "mqtt.tcp.host": place.host,
            "mqtt.ws.host": place.host,
            "admin.http.host": place.host,
            "admin.token": adminToken,
            "auth.allowAnonymous": true
          }),
      "mqtt.tcp.port": this.port,
      "mqtt.ws.port": this.wsPort,
      "admin.http.port": this.adminPort,
      ...(tls === undefined
        ? {}
        : {
            "mqtt.tls.port": this.tlsPort,
            "mqtt.wss.port": this.wssPort,
            "mqtt.tls.certFile": tls.certFile,
            "mqtt.tls.keyFile": tls.keyFile,
            ...(tls.caFile === undefined ? {} : { "mqtt.tls.caFile": tls.caFile })
          }),
      ...this.options.settings,
      ...more
    }
    const flags = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`])
    return [process.execPath, [bin, "start", "--data-dir", this.dataDir, ...flags]]
  }

  private mosquitto(): [string, Array<string>] {
    const path = join(this.dataDir, "mosquitto.conf")
    const { tls } = this.options
    const lines = [
      "allow_anonymous true",
      `user ${process.getuid?.() === 0 ? "root" : "nobody"}`,
      "persistence true",
      `persistence_location ${this.dataDir}/`,
      "max_queued_messages 0",
      "retain_available true",
      `listener ${this.port} 127.0.0.1`,
      `listener ${this.wsPort} 127.0.0.1`,
      "protocol websockets",
      ...(tls === undefined ? [] : [`listener ${this.tlsPort} 127.0.0.1`, `certfile ${tls.certFile}`, `keyfile ${tls.keyFile}`])
    ]
    writeFileSync(path, `${lines.join("\n")}\n`)
    return ["mosquitto", ["-c", path]]
  }
}
