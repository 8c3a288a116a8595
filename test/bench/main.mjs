/**
 * `npm run bench -- mqtt [options]`: measures EffectMQ beside Mosquitto and aedes on this machine, in one run.
 *
 *   --cases a,b      only these cases; --list names them
 *   --peers a,b      of effectmq, mosquitto, mosquitto-nodelay, aedes
 *   --runs 5         runs per case and peer; the median counts
 *   --seconds 3      measured seconds of a run, after a warm-up of one (latency: five)
 *   --write          put the rows into docs/benchmarks.md
 *
 * `npm run bench -- metadata` with the same options: the metadata of one node and of a cluster, see metadata/main.mjs.
 *
 * Peers take turns within each run, so that a noisy moment hits all of them.
 */
import { cpus, loadavg } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { cases } from "./cases.mjs"
import { measure } from "./measure.mjs"
import { peers } from "./peers.mjs"
import { pinning } from "./processes.mjs"
import { number, rowOf, table, writePage } from "./report.mjs"

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cases: { type: "string" },
    peers: { type: "string", default: "effectmq,mosquitto,mosquitto-nodelay,aedes" },
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    write: { type: "boolean", default: false },
    list: { type: "boolean", default: false }
  }
})
const say = (text) => process.stdout.write(`${text}\n`)

if (positionals.join() === "metadata") {
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "unknown"}), Node ${process.versions.node}`
  const { benchMetadata } = await import("./metadata/main.mjs")
  const [runs, seconds] = [Number(options.runs), Number(options.seconds)]
  process.exit(await benchMetadata({ chosen: options.cases?.split(","), runs, seconds, write: options.write, say, machine }))
}

if (options.list) {
  for (const [name, one] of Object.entries(cases)) say(`${name}: ${one.title}`)
  process.exit(0)
}
const chosen = (options.cases ?? Object.keys(cases).join(",")).split(",")
const asked = options.peers.split(",")
const runs = Number(options.runs)
const seconds = Number(options.seconds)
const unknown = [...chosen.filter((name) => !(name in cases)), ...asked.filter((name) => !(name in peers))]
if (positionals.join() !== "mqtt" || unknown.length > 0 || !(runs >= 1) || !(seconds > 0)) {
  say(`usage: npm run bench -- mqtt|metadata [--cases a,b] [--peers a,b] [--runs n] [--seconds n] [--write] [--list]`)
  if (unknown.length > 0) say(`unknown: ${unknown.join(", ")}`)
  process.exit(2)
}

const versions = {}
for (const name of asked) {
  const version = peers[name].version()
  if (version === undefined) say(`${name} is not installed here: it is left out`)
  else versions[name] = version
}
const present = Object.keys(versions)
const versionText = present.map((name) => `${name} ${versions[name]}`).join(", ")
const load = loadavg()[0]
const cores = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "unknown"}), load ${load.toFixed(1)} before`
const machine = `${cores}, Node ${process.versions.node}, ${pinning}`
say(`${versionText}; ${machine}; medians of ${runs} runs of ${seconds} s\n`)
if (load > cpus().length / 4) say("The machine is busy with something else: these figures will be no good.\n")

let failures = 0
const rows = []
for (const name of chosen) {
  const one = cases[name]
  const among = present.filter((peer) => one.among === undefined || one.among.includes(peer))
  const results = Object.fromEntries(among.map((peer) => [peer, []]))
  const broken = new Set()
  for (let run = 0; run < Math.min(runs, one.runsMax ?? runs); run++) {
    for (const peer of among) {
      if (broken.has(peer)) continue
      const timing = { warmUpMs: one.warmUpMs ?? 1000, durationMs: seconds * 1000 }
      try {
        const result = await measure(peer, { ...one, ...timing, run: `${name}-${run}` })
        if (!(result.value > 0)) throw new Error("nothing was delivered")
        results[peer].push(result)
        const { value, ...more } = result
        const details = Object.entries(more).map(([key, detail]) => `${key} ${number(detail)}`)
        say(`${name} run ${run + 1} ${peer}: ${number(value)} ${one.unit} (${details.join(", ")})`)
      } catch (error) {
        broken.add(peer)
        if (peer === "effectmq") failures++
        say(`${name} ${peer}: ${error.message}`)
      }
    }
  }
  if (among.length > 0) rows.push(rowOf(name, one, results))
}

say(`\n${table(rows)}`)
if (options.write) {
  const date = new Date().toISOString().slice(0, 10)
  const about = `${date}, ${runs} runs of ${seconds} s; ${versionText}; ${machine}`
  writePage(fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url)), rows, about)
}
process.exit(failures === 0 ? 0 : 1)
