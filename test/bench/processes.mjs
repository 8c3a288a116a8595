/**
 * Child processes of the bench: pinned to a core where that is possible, ended when the bench ends, never anybody else's.
 */
import { spawn, spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { createConnection, createServer } from "node:net"

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const cores = availableParallelism()
const canPin = cores >= 2 && spawnSync("taskset", ["-c", "0", "true"]).status === 0
export const pinning = canPin ? "broker on core 0, generator on core 1" : "not pinned"

const children = new Set()

/** Starts a program on one core, or on any where none is named; what it says on its standard error goes to `onLine`, line by line. */
export const start = (core, command, args, { env = {}, onLine = () => {} } = {}) => {
  const [program, list] = canPin && core !== undefined ? ["taskset", ["-c", String(core), command, ...args]] : [command, args]
  const child = spawn(program, list, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } })
  child.output = ""
  child.errors = ""
  child.stdout.setEncoding("utf8").on("data", (text) => {
    child.output = (child.output + text).slice(-100_000)
  })
  child.stderr.setEncoding("utf8").on("data", (text) => {
    child.errors = (child.errors + text).slice(-20_000)
    for (const line of text.split("\n")) if (line !== "") onLine(line)
  })
  child.stdin.on("error", () => {})
  child.ended = new Promise((resolve) => {
    child.on("error", (error) => resolve(`could not start: ${error.message}`))
    child.on("exit", (code, signal) => {
      children.delete(child)
      resolve(code ?? signal)
    })
  })
  children.add(child)
  return child
}

/** Asks a child to stop, and ends it when it does not within five seconds. */
export const stop = async (child, signal = "SIGTERM") => {
  if (!children.has(child)) return
  child.kill(signal)
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
  await child.ended
  clearTimeout(timer)
}

const endAll = () => {
  for (const child of children) child.kill("SIGKILL")
}
process.on("exit", endAll)
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130))

/** Below those that the kernel gives to callers, so that none of them takes a port before its broker does. */
const portMin = 21_000
const portMax = 32_000
const portsGiven = new Set()

const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer().on("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

/** A port that nobody listens on now, another one each time. */
export const freePort = async () => {
  for (;;) {
    const port = randomInt(portMin, portMax)
    if (portsGiven.has(port) || !(await isFree(port))) continue
    portsGiven.add(port)
    return port
  }
}

const accepts = (port) =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" })
    socket.on("connect", () => resolve(true) || socket.destroy())
    socket.on("error", () => resolve(false))
  })

/** Waits until `check` answers true; throws with what the child said when it ends or time is up. */
export const untilReady = async (child, check, secondsMax = 120) => {
  const until = performance.now() + secondsMax * 1000
  let ended
  child.ended.then((how) => {
    ended = how
  })
  while (!(await check())) {
    if (ended !== undefined) throw new Error(`the broker ended (${ended}):\n${child.errors}${child.output}`)
    if (performance.now() > until) throw new Error(`the broker is not ready after ${secondsMax} s:\n${child.errors}`)
    await sleep(10)
  }
}

export const untilAccepts = (child, port) => untilReady(child, () => accepts(port))

/** CPU seconds a process has used, user and system. */
export const cpuSeconds = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Resident memory in bytes. */
export const residentBytes = (pid) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024

/** Processor time that a process has used so far; the kernel counts it in hundredths of a second. */
export const cpuMicroseconds = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}
