/**
 * Programs that tests use and that may be missing. A suite whose tool is missing prints that it did not run.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { join } from "node:path"
import { until } from "./Until.js"

const path = `${process.env.PATH ?? ""}:/usr/sbin:/usr/bin`

export const hasTool = (name: string): boolean =>
  path.split(":").some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** True when all are there; otherwise says that the suite did not run. */
export const needs = (suite: string, ...tools: ReadonlyArray<string>): boolean => {
  const missing = tools.filter((name) => !hasTool(name))
  if (missing.length > 0) console.warn(`did not run: ${suite} needs ${missing.join(", ")}, which is not installed`)
  return missing.length === 0
}

/** The first Python that has Paho; undefined, and said, where none has. */
export const pythonWithPaho = (suite: string): string | undefined => {
  const found = ["python3", "/usr/bin/python3"].find(
    (python) => spawnSync(python, ["-c", "import paho.mqtt.client"], { env: { ...process.env, PATH: path } }).status === 0
  )
  if (found === undefined) console.warn(`did not run: ${suite} needs Python's paho-mqtt, which is not installed`)
  return found
}

/** A program under test: its output gathers, and it is ended with the test. */
export class Tool {
  stdout = ""
  stderr = ""
  readonly exited: Promise<number>
  private readonly child: ChildProcess
  private code: number | undefined

  constructor(command: string, args: ReadonlyArray<string>, input?: string | Buffer) {
    // What this run of tests is told is no setting of the broker.
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("EFFECTMQ_")))
    // Line by line, also into a pipe: else what it says would come at its end.
    this.child = spawn("stdbuf", ["-oL", command, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...inherited, PATH: path }
    })
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text
    })
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text
    })
    this.child.stdin?.on("error", () => undefined)
    this.child.stdin?.end(input)
    this.exited = new Promise((resolve, reject) => {
      this.child.on("error", reject)
      this.child.on("close", (code) => {
        this.code = code ?? -1
        resolve(this.code)
      })
    })
    this.exited.catch(() => undefined)
  }

  /** Runs a program to its end; throws unless it ends well. */
  static async run(command: string, args: ReadonlyArray<string>, input?: string | Buffer): Promise<string> {
    const tool = new Tool(command, args, input)
    const timer = setTimeout(() => tool.kill("SIGKILL"), 40_000)
    const code = await tool.exited.finally(() => clearTimeout(timer))
    if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}: ${tool.stderr}${tool.stdout}`)
    return tool.stdout
  }

  /** Waits until the output matches. */
  async says(pattern: RegExp): Promise<void> {
    await until(
      () => pattern.test(this.stdout) || pattern.test(this.stderr) || this.code !== undefined,
      () => `output ${pattern}; there is: ${this.stdout}${this.stderr}`
    )
    if (!pattern.test(this.stdout) && !pattern.test(this.stderr)) {
      throw new Error(`ended with ${this.code} before saying ${pattern}: ${this.stderr}${this.stdout}`)
    }
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    if (this.code === undefined) this.child.kill(signal)
  }
}
