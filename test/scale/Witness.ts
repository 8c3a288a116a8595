/**
 * The witness of a test: a client in a process of its own (`witness.mjs`) whose round trips say what others notice.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Testimony {
  /** Round trips since `reset`: a publish of QoS 1 to itself and a ping. */
  readonly steps: number
  readonly medianMs: number
  readonly p99Ms: number
  readonly longestMs: number
  readonly closed: boolean
}

export class Witness {
  private constructor(private readonly child: ChildProcess) {}

  static start(port: number, clientId = "witness"): Promise<Witness> {
    const child = fork(fileURLToPath(new URL("./witness.mjs", import.meta.url)), [String(port), clientId], { execArgv: [] })
    return new Promise((resolve, reject) => {
      child.once("message", () => resolve(new Witness(child)))
      child.once("exit", () => reject(new Error("the witness ended")))
    })
  }

  reset(): void {
    this.child.send({ reset: true })
  }

  report(): Promise<Testimony> {
    return new Promise((resolve) => {
      const heard = (message: unknown) => {
        if (typeof message !== "object" || message === null || !("steps" in message)) return
        this.child.off("message", heard)
        resolve(message as Testimony)
      }
      this.child.on("message", heard)
      this.child.send({ report: true })
    })
  }

  /** What it noticed while the action ran. */
  async during<A>(action: () => Promise<A>): Promise<{ readonly result: A; readonly seen: Testimony }> {
    this.reset()
    const result = await action()
    return { result, seen: await this.report() }
  }

  end(): void {
    this.child.kill("SIGKILL")
  }
}

export const told = ({ steps, medianMs, p99Ms, longestMs }: Testimony): string =>
  `witness: ${steps} round trips, median ${medianMs.toFixed(1)}, p99 ${p99Ms.toFixed(1)}, longest ${longestMs.toFixed(0)} ms`
