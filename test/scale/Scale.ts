/**
 * What the tests of this folder share: sizes, a broker with a witness, its metrics, figures.
 *
 * EFFECTMQ_SCALE: a factor on all sizes that are not whole by default (1); EFFECTMQ_SCALE_<NAME>: one size, for instance
 * EFFECTMQ_SCALE_RETAINED=1000000.
 */
import { readFileSync } from "node:fs"
import { get } from "node:http"
import { BrokerProcess, type BrokerOptions } from "../support/BrokerProcess.js"
import { Witness } from "./Witness.js"

export const size = (name: string, fallback: number): number => Number(process.env[`EFFECTMQ_SCALE_${name}`] ?? fallback)

export const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`
export const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`

/** Time from now on, and how much of it the broker worked: on a busy machine the second says more. */
export const stopwatch = (broker: BrokerProcess): (() => string) => {
  const startedMs = performance.now()
  const { pid } = broker
  const before = broker.isRunning ? cpuSeconds(pid) : 0
  return () => {
    const took = seconds(startedMs)
    // After a restart all of it counts.
    const worked = broker.isRunning ? cpuSeconds(broker.pid) - (broker.pid === pid ? before : 0) : undefined
    return worked === undefined ? took : `${took} (${worked.toFixed(1)} s of CPU)`
  }
}

/** User and system. */
const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Says how far a long test is, where EFFECTMQ_SCALE_VERBOSE is set. */
export const progress = (what: string): void => {
  if (process.env.EFFECTMQ_SCALE_VERBOSE !== undefined)
    process.stderr.write(`${(performance.now() / 1000).toFixed(1)} s: ${what}\n`)
}

export const figures = (title: string, ...lines: ReadonlyArray<string>): void => {
  console.info([title, ...lines.map((line) => `  ${line}`)].join("\n"))
}

/** Every meter of the broker by name and labels, as Prometheus reads it. */
export const metrics = (broker: BrokerProcess): Promise<ReadonlyMap<string, number>> =>
  new Promise((resolve, reject) => {
    const request = get({ port: broker.adminPort, host: "127.0.0.1", path: "/metrics", agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (part: string) => {
        body += part
      })
      response.on("end", () => {
        const values = new Map<string, number>()
        for (const line of body.split("\n")) {
          const space = line.lastIndexOf(" ")
          if (!line.startsWith("#") && space > 0) values.set(line.slice(0, space), Number(line.slice(space + 1)))
        }
        resolve(values)
      })
    })
    request.on("error", reject)
  })

export const meter = async (broker: BrokerProcess, name: string): Promise<number> => {
  const value = (await metrics(broker)).get(name)
  if (value === undefined) throw new Error(`the broker has no meter ${name}`)
  return value
}

/** Reads resident memory now and then until `stop`, which gives the most there was. */
export const watchMemory = (broker: BrokerProcess): { readonly stop: () => number; readonly most: () => number } => {
  let most = broker.residentBytes()
  const look = () => {
    if (broker.isRunning) most = Math.max(most, broker.residentBytes())
  }
  const timer = setInterval(look, 50)
  return {
    most: () => most,
    stop: () => {
      clearInterval(timer)
      look()
      return most
    }
  }
}

export interface Stage {
  readonly broker: BrokerProcess
  readonly witness: Witness
}

/** A broker that anybody may use, and a witness. */
export const begin = async (options: BrokerOptions = {}): Promise<Stage> => {
  const settings = { "log.level": "error", "auth.allowAnonymous": true, "mqtt.ws.enabled": false, ...options.settings }
  const broker = await BrokerProcess.start({ ...options, settings })
  return { broker, witness: await Witness.start(broker.port) }
}

export const end = async (stage: Stage | undefined): Promise<void> => {
  stage?.witness.end()
  await stage?.broker.remove()
}
