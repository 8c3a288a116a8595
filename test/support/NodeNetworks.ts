/**
 * A network namespace for each node of a cluster, all on one bridge in a namespace of its own, so that the system's own TCP meets cuts,
 * lost packets and slow links. Nothing in them leads to another machine: no namespace has a route but that to the others, and a link to
 * the test, which asks each node at its address (.1, .2, ... of a private /24; .254 is the test).
 *
 * What a node does not hear any more is dropped at its own door (nftables), so that a cut can go one way. All of it is named after the
 * process that made it; what a process that is dead left behind is removed before something new is made.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import type { Place } from "./BrokerProcess.js"
import { needs } from "./Tool.js"

const tryTo = (command: string, ...args: ReadonlyArray<string>): string | undefined => {
  const done = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin` }
  })
  return done.status === 0 ? done.stdout : undefined
}

const must = (command: string, ...args: ReadonlyArray<string>): string => {
  const said = tryTo(command, ...args)
  if (said === undefined) throw new Error(`${command} ${args.join(" ")} failed`)
  return said
}

const namespaceOf = (pid: number, of: number | "hub"): string => `effectmq-${pid}-${of}`
const pidOf = (namespace: string): number => Number(/^effectmq-(\d+)-(?:\d+|hub)$/.exec(namespace)?.[1] ?? 0)

/** Ends what runs in the namespaces of a process, and takes them away with their links. */
const removeOf = (pid: number): void => {
  const folder = "/run/netns"
  for (const name of existsSync(folder) ? readdirSync(folder).filter((one) => pidOf(one) === pid) : []) {
    for (const inside of (tryTo("ip", "netns", "pids", name) ?? "").split("\n").filter(Boolean)) {
      try {
        process.kill(Number(inside), "SIGKILL")
      } catch {
        // It ended by itself.
      }
    }
    tryTo("ip", "netns", "del", name)
  }
  // Goes with its other end in the hub, but only when the kernel gets to it.
  tryTo("ip", "link", "del", `emq${pid}`)
}

const removeLeftOvers = (): void => {
  const names = (tryTo("ip", "netns", "list") ?? "").split("\n").map((line) => line.split(" ")[0] ?? "")
  for (const pid of new Set(names.map(pidOf))) if (pid !== 0 && !existsSync(`/proc/${pid}`)) removeOf(pid)
}

/** A /24 that nothing else on this machine leads to. */
const freePrefix = (): string => {
  for (let number = 0; number < 256; number++) {
    const prefix = `10.213.${(process.pid + number) % 256}`
    const routes = must("ip", "-4", "route", "show", "match", `${prefix}.0/24`).split("\n")
    if (routes.every((route) => route === "" || route.startsWith("default"))) return prefix
  }
  throw new Error("no private addresses are free")
}

const rules = `add table inet cut
add set inet cut silent { type ipv4_addr; }
add set inet cut lossy { type ipv4_addr; }
add chain inet cut input { type filter hook input priority 0; }
add rule inet cut input ip saddr @silent drop
add rule inet cut input ip saddr @lossy numgen random mod 100 < 10 drop
`

export class NodeNetworks {
  private constructor(
    private readonly prefix: string,
    private readonly nodeIds: ReadonlyArray<number>
  ) {}

  /** Whether there can be such networks here; says so where the suite did not run for it. */
  static isPermitted(suite: string): boolean {
    if (!needs(suite, "ip", "tc", "nft")) return false
    let why: string | undefined
    try {
      const networks = NodeNetworks.create(1)
      if (tryTo(...networks.within(1, "ip", "-4", "addr", "show", "eth0")) === undefined) why = "no such link"
      networks.remove()
    } catch (error) {
      removeOf(process.pid)
      why = (error as Error).message
    }
    if (why !== undefined) console.warn(`did not run: ${suite} needs network namespaces, which are not permitted here: ${why}`)
    return why === undefined
  }

  /** Of nodes 1, 2, ... */
  static create(nodes: number): NodeNetworks {
    removeLeftOvers()
    const networks = new NodeNetworks(
      freePrefix(),
      Array.from({ length: nodes }, (_, index) => index + 1)
    )
    try {
      networks.build()
    } catch (error) {
      networks.remove()
      throw error
    }
    return networks
  }

  private build(): void {
    const hub = namespaceOf(process.pid, "hub")
    const test = `emq${process.pid}`
    must("ip", "netns", "add", hub)
    must("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
    must("ip", "-n", hub, "link", "set", "bridge", "up")
    must("ip", "link", "add", test, "type", "veth", "peer", "name", "test", "netns", hub)
    must("ip", "-n", hub, "link", "set", "test", "master", "bridge", "up")
    must("ip", "addr", "add", `${this.prefix}.254/24`, "dev", test)
    must("ip", "link", "set", test, "up")
    for (const nodeId of this.nodeIds) {
      const own = namespaceOf(process.pid, nodeId)
      must("ip", "netns", "add", own)
      must("ip", "-n", own, "link", "set", "lo", "up")
      must("ip", "-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", `node${nodeId}`, "netns", hub)
      must("ip", "-n", hub, "link", "set", `node${nodeId}`, "master", "bridge", "up")
      must("ip", "-n", own, "addr", "add", `${this.addressOf(nodeId)}/24`, "dev", "eth0")
      must("ip", "-n", own, "link", "set", "eth0", "up")
      must(...this.within(nodeId, "nft", rules))
    }
  }

  addressOf(nodeId: number): string {
    return `${this.prefix}.${nodeId}`
  }

  /** Where a node is started and asked. */
  placeOf(nodeId: number): Place {
    return { host: this.addressOf(nodeId), enter: this.within(nodeId) }
  }

  /** What `from` sends reaches `to` no more, and nothing says so: as with a lost cable. */
  cut(from: number, to: number): void {
    must(...this.within(to, "nft", `add element inet cut silent { ${this.addressOf(from)} }`))
  }

  /** The two groups hear nothing of each other. */
  partition(group: ReadonlyArray<number>): void {
    for (const one of this.nodeIds) {
      for (const other of this.nodeIds) if (group.includes(one) !== group.includes(other)) this.cut(one, other)
    }
  }

  /** One packet in ten between any two nodes is lost. */
  lose(): void {
    const all = this.nodeIds.map((nodeId) => this.addressOf(nodeId)).join(", ")
    for (const nodeId of this.nodeIds) must(...this.within(nodeId, "nft", `add element inet cut lossy { ${all} }`))
  }

  /**
   * What a node sends comes late: by 40 ms, now and then in another order, where the kernel can (netem), else through a line of
   * 1 Mbit/s with a long queue. Answers which.
   */
  delay(nodeId: number): "netem" | "line" {
    const add = ["tc", "qdisc", "replace", "dev", "eth0", "root"]
    if (tryTo(...this.within(nodeId, ...add, "netem", "delay", "40ms", "10ms")) !== undefined) return "netem"
    must(...this.within(nodeId, ...add, "tbf", "rate", "1mbit", "burst", "4kb", "latency", "400ms"))
    return "line"
  }

  /** Everything is as at the start. */
  heal(): void {
    for (const nodeId of this.nodeIds) {
      must(...this.within(nodeId, "nft", "flush set inet cut silent; flush set inet cut lossy"))
      tryTo(...this.within(nodeId, "tc", "qdisc", "del", "dev", "eth0", "root"))
    }
  }

  remove(): void {
    removeOf(process.pid)
  }

  private within(nodeId: number, ...command: ReadonlyArray<string>): [string, ...Array<string>] {
    return ["ip", "netns", "exec", namespaceOf(process.pid, nodeId), ...command]
  }
}
