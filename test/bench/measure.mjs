/**
 * One run of one case on one broker: starts it afresh, lets the generator work, ends both.
 */
import { readdirSync, statSync } from "node:fs"
import { createConnection } from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as packets from "./packets.mjs"
import { peers, remove, startEffectmq, temporaryFolder } from "./peers.mjs"
import { cpuSeconds, residentBytes, sleep, start, stop } from "./processes.mjs"

const generatorCore = 1
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Runs the generator; `onLine` hears "measuring" and "measured". */
const generate = (options, onLine) => {
  const child = start(generatorCore, process.execPath, [here("load.mjs"), JSON.stringify(options)], { onLine })
  const result = child.ended.then((how) => {
    if (how !== 0) throw new Error(`the generator failed (${how}): ${child.errors}`)
    return JSON.parse(child.output)
  })
  return { child, result }
}

const withTimeLimit = async (child, result, secondsMax) => {
  const timer = setTimeout(() => stop(child, "SIGKILL"), secondsMax * 1000)
  try {
    return await result
  } finally {
    clearTimeout(timer)
  }
}

const load = async (broker, options) => {
  let from
  let brokerCpu = 0
  const { child, result } = generate({ ...options, port: broker.port }, (line) => {
    if (line === "measuring") from = { at: performance.now(), cpu: cpuSeconds(broker.pid) }
    else if (line === "measured") {
      brokerCpu = (cpuSeconds(broker.pid) - from.cpu) / ((performance.now() - from.at) / 1000)
    }
  })
  const measured = await withTimeLimit(child, result, 60 + (options.warmUpMs + options.durationMs) / 1000)
  const perSecond = measured.rate ?? measured.value
  return { ...measured, brokerCpu, cpuMicrosPerMessage: (1e6 * brokerCpu) / perSecond }
}

const idle = async (broker, options) => {
  await sleep(1000)
  const before = residentBytes(broker.pid)
  let said = () => {}
  const held = new Promise((resolve) => {
    said = resolve
  })
  const { child, result } = generate({ ...options, port: broker.port, warmUpMs: 3000 }, (line) => {
    if (line === "measuring") said(true)
  })
  const timer = setTimeout(() => stop(child, "SIGKILL"), 120_000)
  await Promise.race([held, result])
  const after = residentBytes(broker.pid)
  child.stdin.end()
  const { connections, connectSeconds } = await result.finally(() => clearTimeout(timer))
  if (connections < options.connections) throw new Error(`only ${connections} connections held`)
  return { value: (after - before) / connections / 1024, connectSeconds, before, after }
}

const routing = async () => {
  const child = start(0, process.execPath, ["--max-old-space-size=8192", here("routing.mjs")])
  const how = await child.ended
  if (how !== 0) throw new Error(`routing failed (${how}): ${child.errors}`)
  return JSON.parse(child.output)
}

const bytesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    return sum + (entry.isDirectory() ? bytesBelow(path) : statSync(path).size)
  }, 0)

/** Resolves when the session that was away gets a message. */
const deliversToAway = (port) =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: "127.0.0.1" })
    const timer = setTimeout(() => reject(new Error("nothing is delivered after the recovery")), 30_000)
    let head = Buffer.alloc(0)
    socket.on("connect", () => socket.write(packets.connect("bench-away", { clean: false })))
    socket.on("error", reject)
    socket.on("data", (chunk) => {
      head = Buffer.concat([head, chunk])
      if (head.length < 5) return
      clearTimeout(timer)
      socket.destroy()
      if (head[2] === 1 && head[4] >> 4 === 3) resolve()
      else reject(new Error(`expected a kept session and a PUBLISH, got ${head.subarray(0, 8).toString("hex")}`))
    })
  })

const recovery = async (options) => {
  const dataDir = temporaryFolder()
  const settings = { "mqtt.session.queueMax": 10_000_000, "mqtt.maxPacketSizeBytes": 1_048_576 }
  try {
    const before = await startEffectmq({ dataDir, settings })
    const bytes = options.gibibytes * 1024 ** 3
    const { child, result } = generate({ kind: "fill", run: "fill", port: before.port, bytes, secondsMax: 300 })
    const filled = await withTimeLimit(child, result, 330)
    await before.stop("SIGKILL")
    const stored = bytesBelow(dataDir)
    const from = performance.now()
    const after = await startEffectmq({ dataDir, settings })
    const seconds = (performance.now() - from) / 1000
    await deliversToAway(after.port)
    await after.stop()
    return { value: seconds, messages: filled.messages, storedGibibytes: stored / 1024 ** 3, fillSeconds: filled.seconds }
  } finally {
    remove(dataDir)
  }
}

export const measure = async (peerName, options) => {
  if (options.kind === "routing") return routing()
  if (options.kind === "recovery") return recovery(options)
  const broker = await peers[peerName].start()
  try {
    return await (options.kind === "idle" ? idle : load)(broker, options)
  } finally {
    await broker.stop()
  }
}
