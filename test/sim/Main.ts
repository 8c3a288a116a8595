/**
 * `npm run sim -- [options]`: runs seeds of a simulation, in parallel over the cores.
 *
 *   --suite cluster        a Raft group (cluster), the metadata of a cluster (metadata), a broker that crashes (node), or each of
 *                          them in turn (all)
 *   --seed 7               one seed, with its trace when it fails
 *   --seeds 500            so many, from --from on (1)
 *   --nodes 3              only such whose cluster has so many nodes from beginning to end
 *   --seconds 60           no new ones after so long
 *   --jobs 2               processes at once (the number of cores)
 *   --trace 200            lines of the trace of a seed that fails (40), or of --seed in any case
 *   --json path            what came out, for other programs
 */
import { type ChildProcess, fork } from "node:child_process"
import { writeFileSync } from "node:fs"
import { cpus } from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { hasNodes, type Ran, runSeed, type SuiteName, suites } from "./Suites.js"

interface Order {
  readonly suite: SuiteName
  readonly seed: number
}

/** For each that is wanted, where only some will do. */
const seedsLookedAtMax = 1_000

const say = (text: string): void => void process.stdout.write(`${text}\n`)

const usage = (problem: string): never => {
  say(
    `${problem}\nusage: npm run sim -- [--suite cluster|metadata|node|all] [--seed n | --seeds n [--from n] [--nodes n]] [--seconds n] [--jobs n] [--trace lines] [--json path]`
  )
  process.exit(2)
}

/** A worker: answers each order with what its seed did. */
const work = (): void => {
  process.on("message", ({ suite, seed }: Order) => {
    void runSeed(suite, seed).then((ran) => process.send?.(ran))
  })
  process.on("disconnect", () => process.exit(0))
}

const optionsOf = (args: ReadonlyArray<string>) => {
  const text = { type: "string" } as const
  const names = {
    suite: text,
    seed: text,
    seeds: text,
    from: text,
    nodes: text,
    seconds: text,
    jobs: text,
    trace: text,
    json: text
  }
  try {
    return parseArgs({ args: [...args], options: names }).values
  } catch (error) {
    return usage((error as Error).message)
  }
}

const lead = async (): Promise<void> => {
  const options = optionsOf(process.argv.slice(2))
  const number = (name: keyof typeof options, otherwise: number): number => {
    const value = options[name] === undefined ? otherwise : Number(options[name])
    return Number.isSafeInteger(value) && value > 0 ? value : usage(`--${name} takes a whole number from 1 on`)
  }
  const isOne = options.seed !== undefined
  const first = isOne ? number("seed", 1) : number("from", 1)
  const count = isOne ? 1 : number("seeds", 100)
  if (isOne && options.nodes !== undefined) usage("--nodes picks among --seeds: one --seed has the nodes that it has")
  const traceLines = number("trace", 40)
  const jobs = Math.min(count, number("jobs", cpus().length))
  const untilMs = options.seconds === undefined ? Number.POSITIVE_INFINITY : Date.now() + 1000 * number("seconds", 60)

  const report = (suite: SuiteName, ran: Ran): void => {
    const isBad = ran.faults.length > 0
    if (isBad) say(`seed ${ran.seed} FAILED: npm run sim -- --suite ${suite} --seed ${ran.seed} --trace 1000`)
    for (const fault of ran.faults) say(`  ${fault}`)
    if (isBad || (isOne && options.trace !== undefined)) for (const line of ran.trace.slice(-traceLines)) say(`    ${line}`)
    if (isOne) say(`seed ${ran.seed}: ${isBad ? "failed" : "held"}, trace ${ran.traceHash}, ${JSON.stringify(ran.stats)}`)
  }

  // Each has a core of its own: what V8 does on further threads would take it from another. A young generation large enough that
  // most of what a turn leaves is gone when it is looked at. Source maps are for who looks at one seed: errors cost more with them.
  const execArgv = [
    ...(isOne ? process.execArgv : []),
    "--single-threaded",
    "--min-semi-space-size=128",
    "--max-semi-space-size=128"
  ]
  const start = () => fork(fileURLToPath(import.meta.url), ["worker"], { execArgv })

  const seedsOf = (suite: SuiteName): Array<number> => {
    const nodes = options.nodes === undefined ? undefined : number("nodes", 3)
    const seeds: Array<number> = []
    for (let seed = first; seeds.length < count && seed < first + count * seedsLookedAtMax; seed++) {
      if (nodes === undefined || hasNodes(suite, seed, nodes)) seeds.push(seed)
    }
    return seeds.length > 0 ? seeds : usage(`no seed of ${suite} has ${nodes} nodes from beginning to end`)
  }

  const runSuite = async (suite: SuiteName): Promise<ReadonlyArray<Ran>> => {
    const seeds = seedsOf(suite)
    const all: Array<Ran> = []
    const startedMs = Date.now()
    const runOn = (worker: ChildProcess): Promise<void> =>
      new Promise((resolve, reject) => {
        const next = () => {
          const seed = Date.now() < untilMs ? seeds.shift() : undefined
          if (seed === undefined) {
            worker.disconnect()
            resolve()
          } else worker.send({ suite, seed } satisfies Order)
        }
        worker.on("message", (ran: Ran) => {
          all.push(ran)
          report(suite, ran)
          next()
        })
        worker.on("exit", (code) => reject(new Error(`a worker ended with ${code}`)))
        next()
      })
    await Promise.all(Array.from({ length: jobs }, () => runOn(start())))

    const failed = all.filter(({ faults }) => faults.length > 0)
    const simulatedHours = all.reduce((sum, { simulatedMs }) => sum + simulatedMs, 0) / 3_600_000
    const wallSeconds = (Date.now() - startedMs) / 1000
    const perCpuSecond = (simulatedHours * 3600) / all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
    const speed = `${simulatedHours.toFixed(2)} simulated hours in ${wallSeconds.toFixed(0)} s, ${perCpuSecond.toFixed(0)} simulated seconds per CPU second`
    say(`${suite}: ${all.length} seeds, ${failed.length} failed; ${speed}`)
    if (failed.length > 0) say(`failed: ${failed.map(({ seed }) => seed).join(" ")}`)
    return all
  }

  const wanted = options.suite ?? "cluster"
  const names = Object.keys(suites) as ReadonlyArray<SuiteName>
  const chosen = wanted === "all" ? names : names.filter((name) => name === wanted)
  if (chosen.length === 0) usage(`there is no suite ${wanted}`)
  const all: Array<Ran> = []
  for (const suite of chosen) all.push(...(await runSuite(suite)))
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(all.map(({ trace, ...ran }) => ran)))
  process.exit(all.some(({ faults }) => faults.length > 0) ? 1 : 0)
}

if (process.argv[2] === "worker") work()
else await lead()
