/**
 * `npm run bench -- metadata [--cases a,b] [--runs n] [--seconds n] [--write]`: the metadata of one node and of three processes on this
 * machine, beside etcd where it is installed.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { fileURLToPath } from "node:url"
import { remove, temporaryFolder } from "../peers.mjs"
import { sleep, start } from "../processes.mjs"
import { median, number, table, writePage } from "../report.mjs"
import { etcdVersion, measureEtcd } from "./etcd.mjs"
import { Nodes } from "./nodes.mjs"

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const clients = 64
/** A few are the broker's own: there can be 100,000 in all. */
const topics = 99_900

const generate = async (options) => {
  const child = start(undefined, process.execPath, [here("load.mjs"), JSON.stringify({ clients, ...options })])
  const how = await child.ended
  if (how !== 0) throw new Error(`the generator failed (${how}): ${child.errors.slice(-2000)}`)
  return JSON.parse(child.output)
}

const withNodes = async (count, use) => {
  const nodes = await Nodes.prepare(count)
  try {
    return await use(nodes)
  } finally {
    await nodes.end()
  }
}

const one = async (timing) => {
  const folder = temporaryFolder()
  try {
    const { operations: _, ...result } = await generate({ ...timing, kind: "changes", filename: join(folder, "raft.sqlite") })
    return result
  } finally {
    remove(folder)
  }
}

/**
 * Three processes, the clients in that of node 1, which node `leader` leads. With the processor time of a change in that one, and in each of the
 * others.
 */
const amongThree = (leader) => (timing) =>
  withNodes(3, async (nodes) => {
    const { members } = nodes
    const filename = join(nodes.folder, "raft.sqlite")
    const options = { clients, ...timing, kind: "changes", members, member: 1, filename }
    let ready = () => {}
    const isReady = new Promise((resolve) => {
      ready = resolve
    })
    const child = start(undefined, process.execPath, [here("load.mjs"), JSON.stringify(options)], {
      onLine: (line) => line === "ready" && ready()
    })
    const failed = child.ended.then((how) =>
      Promise.reject(new Error(`the generator failed (${how}): ${child.errors.slice(-2000)}`))
    )
    failed.catch(() => {})
    await Promise.race([failed, Promise.all([isReady, nodes.start(2, [1, 2, 3]), nodes.start(3, [1, 2, 3])])])
    await nodes.leadBy(leader)
    const used = () => nodes.cpuMicroseconds(2) + nodes.cpuMicroseconds(3)
    const before = used()
    child.stdin.end()
    await child.ended
    const { operations, ...result } = JSON.parse(child.output)
    return { ...result, cpuOther: (used() - before) / 2 / operations }
  })

/** With the processor time of an operation: `cpuMicroseconds` of the generator, then of the leader and of a follower. */
const three = (kind) => (timing) =>
  withNodes(3, async (nodes) => {
    await nodes.startAll()
    const leader = await nodes.leader()
    const used = () => [1, 2, 3].map((nodeId) => nodes.cpuMicroseconds(nodeId))
    const before = used()
    const { operations, ...result } = await generate({ ...timing, kind, members: nodes.members })
    const each = used().map((microseconds, at) => (microseconds - before[at]) / operations)
    const all = each.reduce((sum, one) => sum + one, 0)
    return { ...result, cpuLeader: each[leader - 1], cpuFollower: (all - each[leader - 1]) / 2 }
  })

/** Ms from the kill of the leader until a change through another node is acknowledged. */
const election = () =>
  withNodes(3, async (nodes) => {
    await nodes.startAll()
    const ids = [1, 2, 3]
    const times = []
    for (let round = 0; round < 20; round++) {
      const leader = await nodes.leader()
      const others = ids.filter((nodeId) => nodeId !== leader)
      const at = performance.now()
      await nodes.kill(leader)
      for (let tries = 0; ; tries++) {
        const answer = await nodes.call(others[tries % 2], "PUT", `bans/clientId/e${round}`, { reason: String(tries) })
        if (answer.status === 200 || answer.status === 201) break
        if (performance.now() - at > 30_000) throw new Error("no change was taken for 30 s")
      }
      times.push(performance.now() - at)
      await nodes.start(leader, ids)
    }
    return { perSecond: median(times), worst: Math.max(...times) }
  })

/** Seconds for snapshot, start and catch-up with so many topics, and memory. */
const image = () =>
  withNodes(2, async (nodes) => {
    await nodes.start(1, [1])
    const filled = await generate({
      kind: "topics",
      topics,
      clients: 512,
      warmUpMs: 0,
      durationMs: 0,
      members: [nodes.members[0]]
    })
    const seconds = async (act) => {
      const at = performance.now()
      await act()
      return (performance.now() - at) / 1000
    }
    const demand = async (...args) => {
      const answer = await nodes.call(...args)
      if (answer.status >= 300 || answer.status === 0)
        throw new Error(`${args[2]}: ${answer.status} ${JSON.stringify(answer.body)}`)
      return answer
    }
    const snapshot = await seconds(() => demand(1, "POST", "cluster/snapshot", {}, 60_000))
    const memory = nodes.residentBytes(1)
    await nodes.kill(1)
    const load = await seconds(() => nodes.start(1, [1]))
    const joining = nodes.start(2, [1], { "cluster.join": true })
    const added = await seconds(async () => {
      for (let tries = 0; ; tries++) {
        const answer = await nodes.call(1, "POST", "cluster/nodes", { ...nodes.members[1], voter: true }, 60_000)
        if (answer.status < 300 && answer.status > 0) break
        if (tries > 50) throw new Error(`node 2 was not taken in: ${JSON.stringify(answer.body)}`)
        await sleep(200)
      }
    })
    await joining
    const mebibytes = Math.max(memory, nodes.residentBytes(1), nodes.residentBytes(2)) / 1024 / 1024
    return { perSecond: Math.max(snapshot, load, added), fill: filled.seconds, snapshot, load, added, mebibytes }
  })

/** In which a worker's code is compiled; what it runs first counts no more than any other case's warm-up. */
const simulationWarmUpMs = 15_000

/**
 * Simulated seconds of a cluster in a second of the clock, all cores at work, each seed with the faults that it draws; of those that begin
 * after the warm-up.
 */
const simulation =
  (suite, seeds, ...more) =>
  async () => {
    const folder = temporaryFolder()
    try {
      const json = join(folder, "seeds.json")
      const options = ["--suite", suite, "--seeds", String(seeds), ...more, "--json", json]
      const child = start(undefined, process.execPath, [here("../../sim/main.mjs"), ...options])
      const how = await child.ended
      if (how !== 0) throw new Error(`a seed failed (${how}): ${child.output.slice(-2000)}${child.errors.slice(-2000)}`)
      const all = JSON.parse(readFileSync(json, "utf8"))
      const firstMs = Math.min(...all.map(({ begunAtMs }) => begunAtMs))
      const measured = all.filter(({ begunAtMs }) => begunAtMs >= firstMs + simulationWarmUpMs)
      const sum = (field, of = measured) => of.reduce((total, one) => total + one[field], 0)
      const seconds = (of) =>
        (Math.max(...of.map(({ endedAtMs }) => endedAtMs)) - Math.min(...of.map(({ begunAtMs }) => begunAtMs))) / 1000
      const simulatedSeconds = sum("simulatedMs") / 1000
      return {
        perSecond: simulatedSeconds / seconds(measured),
        perCpuSecond: simulatedSeconds / sum("cpuSeconds"),
        seeds: measured.length,
        withWarmUp: sum("simulatedMs", all) / 1000 / seconds(all)
      }
    } finally {
      remove(folder)
    }
  }

const cases = {
  "commits-one": {
    what: `committed changes a second, one node, synced, ${clients} clients`,
    unit: "/s",
    goal: 10_000,
    higher: true,
    run: one,
    etcd: (timing) => measureEtcd(1, { clients, ...timing })
  },
  "commits-three": {
    what: "the same, three processes on this machine, the clients in that of the leader",
    unit: "/s",
    goal: 3_000,
    higher: true,
    run: amongThree(1),
    etcd: (timing) => measureEtcd(3, { clients, ...timing })
  },
  "commits-follower": {
    what: "the same, the clients in the process of a follower",
    unit: "/s",
    goal: 3_000,
    higher: true,
    run: amongThree(2),
    etcd: (timing) => measureEtcd(3, { clients, ...timing })
  },
  "commits-observer": {
    what: "the same through a fourth process, a broker that follows the cluster",
    unit: "/s",
    higher: true,
    run: three("changes"),
    etcd: (timing) => measureEtcd(3, { clients, ...timing })
  },
  "reads-three": {
    what: "linearizable reads, three processes",
    unit: "/s",
    goal: 10_000,
    higher: true,
    run: three("reads"),
    etcd: (timing) => measureEtcd(3, { clients, reads: true, ...timing })
  },
  election: {
    what: "kill -9 of the leader until a change is taken, 20 times, median",
    unit: "ms",
    goal: 1_000,
    higher: false,
    runsMax: 1,
    run: election
  },
  image: {
    what: "100,000 topics: the slowest of snapshot, start, catch-up of a fresh node",
    unit: "s",
    goal: 10,
    higher: false,
    runsMax: 1,
    run: image
  },
  simulation: {
    what: "simulated seconds of a Raft group with faults in a second",
    unit: "",
    goal: 60,
    higher: true,
    runsMax: 1,
    run: simulation("cluster", 300)
  },
  "simulation-metadata": {
    what: "the same of three nodes as the server composes them",
    unit: "",
    goal: 60,
    higher: true,
    runsMax: 1,
    run: simulation("metadata", 150, "--nodes", "3")
  },
  "simulation-any": {
    what: "the same of as many nodes as seeds draw, one to five, and brokers that follow",
    unit: "",
    higher: true,
    runsMax: 1,
    run: simulation("metadata", 100)
  }
}

export const benchMetadata = async ({ chosen, runs, seconds, write, say, machine }) => {
  const unknown = (chosen ?? []).filter((name) => !(name in cases))
  if (unknown.length > 0) {
    say(`unknown: ${unknown.join(", ")}; there are ${Object.keys(cases).join(", ")}`)
    return 2
  }
  const etcd = etcdVersion()
  if (etcd === undefined) say("etcd is not installed here: it is left out")
  const timing = { warmUpMs: 2000, durationMs: seconds * 1000 }
  const rows = []
  let failures = 0
  for (const name of chosen ?? Object.keys(cases)) {
    const one = cases[name]
    const ours = []
    const theirs = []
    for (let run = 0; run < Math.min(runs, one.runsMax ?? runs); run++) {
      try {
        const result = await one.run(timing)
        ours.push(result)
        const { perSecond, ...more } = result
        say(
          `${name} run ${run + 1} effectmq: ${number(perSecond)} ${one.unit} (${Object.entries(more)
            .map(([key, value]) => `${key} ${number(value)}`)
            .join(", ")})`
        )
      } catch (error) {
        failures++
        say(`${name} effectmq: ${error.message}`)
        break
      }
      if (etcd === undefined || one.etcd === undefined) continue
      try {
        const result = await one.etcd(timing)
        theirs.push(result)
        say(`${name} run ${run + 1} etcd: ${number(result.perSecond)} ${one.unit} (p99 ${number(result.p99)})`)
      } catch (error) {
        say(`${name} etcd: ${error.message}`)
      }
    }
    const of = (results, field) => (results.length === 0 ? undefined : median(results.map((result) => result[field])))
    const value = of(ours, "perSecond")
    const peer = of(theirs, "perSecond")
    const details = Object.keys(ours[0] ?? {})
      .filter((key) => key !== "perSecond" && key !== "seconds")
      .map((key) => `${key} ${number(of(ours, key))}`)
    rows.push({
      case: name,
      what: one.what,
      unit: one.unit,
      EffectMQ: `${number(value)} (${details.join(", ")})`,
      etcd: peer === undefined ? "" : `${number(peer)} (p99 ${number(of(theirs, "p99"))})`,
      ratio: peer === undefined || value === undefined ? "" : `${(value / peer).toFixed(2)}x`,
      goal: one.goal === undefined ? "" : `${one.higher ? "at least" : "under"} ${number(one.goal)}`,
      met: value === undefined || one.goal === undefined ? "" : (one.higher ? value >= one.goal : value < one.goal) ? "yes" : "no"
    })
  }
  say(`\n${table(rows)}`)
  if (write) {
    const about = `${new Date().toISOString().slice(0, 10)}, ${runs} runs of ${seconds} s; etcd ${etcd ?? "not there"}; ${machine}`
    writePage(fileURLToPath(new URL("../../../docs/benchmarks.md", import.meta.url)), rows, about, "metadata")
  }
  return failures === 0 ? 0 : 1
}
