/**
 * A cluster as users run it: each node a process of its own, on loopback with a door in front of its RPC listener (`LinkProxy`), or in a
 * network namespace of its own (`NodeNetworks`).
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ClusterStatus } from "@effectmq/schemas/admin/Cluster"
import * as Schema from "effect/Schema"
import { BrokerProcess, freePort, type Settings } from "./BrokerProcess.js"
import { LinkProxy } from "./LinkProxy.js"
import type { NodeNetworks } from "./NodeNetworks.js"
import { until } from "./Until.js"

export interface ClusterProcessesOptions {
  readonly nodes: number
  readonly settings?: Settings
  /** Instead of a folder in the temporary one. */
  readonly directoryOf?: (nodeId: number) => string | undefined
  /** Variables of its process beside those it inherits. */
  readonly environmentOf?: (nodeId: number) => Readonly<Record<string, string>>
  /** As of `LinkProxy`, from the first connection on. */
  readonly onCallerBytes?: LinkProxy["onCallerBytes"]
  /** Instead of loopback and doors; whoever made them removes them, after the cluster. */
  readonly networks?: NodeNetworks
}

export interface HttpAnswer {
  readonly status: number
  readonly body: unknown
  readonly stale: boolean
}

export class ClusterProcesses {
  private readonly folder = mkdtempSync(join(tmpdir(), "effectmq-cluster-"))
  private readonly nodesById = new Map<number, BrokerProcess>()
  private readonly rpcPorts = new Map<number, number>()
  /** `cluster.nodes` of all of them. */
  private listed = ""
  readonly links: LinkProxy
  readonly nodeIds: ReadonlyArray<number>

  private constructor(nodes: number) {
    this.nodeIds = Array.from({ length: nodes }, (_, index) => index + 1)
    this.links = new LinkProxy((nodeId) => {
      const node = this.nodesById.get(nodeId)
      return node?.isRunning === true ? node.pid : undefined
    }, this.nodeIds)
  }

  /** Starts all nodes and waits until they serve. */
  static async start(options: ClusterProcessesOptions): Promise<ClusterProcesses> {
    const cluster = new ClusterProcesses(options.nodes)
    if (options.onCallerBytes !== undefined) cluster.links.onCallerBytes = options.onCallerBytes
    const ports = new Map<number, { readonly rpc: number; readonly door: string }>()
    for (const nodeId of cluster.nodeIds) {
      const rpc = await freePort()
      const host = options.networks?.addressOf(nodeId)
      const door = host === undefined ? `127.0.0.1:${await cluster.links.open(nodeId, rpc)}` : `${host}:${rpc}`
      ports.set(nodeId, { rpc, door })
    }
    cluster.listed = [...ports].map(([nodeId, { door }]) => `${nodeId}@${door}`).join(",")
    await Promise.all(
      [...ports].map(async ([nodeId, { rpc }]) => {
        const node = await cluster.prepare(nodeId, rpc, options)
        await node.start()
      })
    )
    return cluster
  }

  /** One more node that knows the others and is none of the voters, not started; answers where it is reached. */
  async prepareGuest(nodeId: number, settings: Settings): Promise<string> {
    const rpc = await freePort()
    await this.prepare(nodeId, rpc, { settings })
    return `127.0.0.1:${rpc}`
  }

  private async prepare(
    nodeId: number,
    rpc: number,
    options: Pick<ClusterProcessesOptions, "settings" | "directoryOf" | "environmentOf" | "networks">
  ): Promise<BrokerProcess> {
    const place = options.networks?.placeOf(nodeId)
    const settings: Settings = {
      "log.level": "warn",
      ...(place === undefined ? {} : { "cluster.rpc.host": place.host, "cluster.secret": "a secret of the tests" }),
      ...options.settings,
      "node.id": nodeId,
      "node.name": `node-${nodeId}`,
      "cluster.rpc.port": rpc,
      "cluster.nodes": this.listed
    }
    const dataDir = options.directoryOf?.(nodeId) ?? join(this.folder, `node-${nodeId}`)
    const environment = options.environmentOf?.(nodeId) ?? {}
    const node = await BrokerProcess.prepare({ dataDir, settings, environment, ...(place === undefined ? {} : { place }) })
    this.nodesById.set(nodeId, node)
    this.rpcPorts.set(nodeId, rpc)
    return node
  }

  node(nodeId: number): BrokerProcess {
    const node = this.nodesById.get(nodeId)
    if (node === undefined) throw new Error(`there is no node ${nodeId}`)
    return node
  }

  /** Of its RPC listener itself, past the door. */
  rpcPort(nodeId: number): number {
    return this.rpcPorts.get(nodeId) ?? 0
  }

  /** One call of the admin API; status 0 where nobody answered in time. */
  async call(nodeId: number, method: string, path: string, body?: unknown, timeoutMs = 15_000): Promise<HttpAnswer> {
    try {
      const { adminUrl, adminHeaders } = this.node(nodeId)
      const response = await fetch(`${adminUrl}/api/v1/${path}`, {
        method,
        headers: { ...adminHeaders, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs)
      })
      const text = await response.text()
      const stale = response.headers.get("effectmq-stale") !== null
      return { status: response.status, body: text === "" ? undefined : JSON.parse(text), stale }
    } catch {
      return { status: 0, body: undefined, stale: false }
    }
  }

  /** Whether its process answers at all, whatever the others do. */
  async isAlive(nodeId: number, timeoutMs: number): Promise<boolean> {
    try {
      const response = await fetch(`${this.node(nodeId).adminUrl}/health/live`, { signal: AbortSignal.timeout(timeoutMs) })
      await response.text()
      return response.ok
    } catch {
      return false
    }
  }

  async status(nodeId: number): Promise<ClusterStatus | undefined> {
    const { status, body } = await this.call(nodeId, "GET", "cluster")
    return status === 200 ? Schema.decodeUnknownSync(ClusterStatus)(body) : undefined
  }

  /** The leader that a majority of the given nodes names, once there is one. */
  async leader(among: ReadonlyArray<number> = this.nodeIds, timeoutMs = 20_000): Promise<number> {
    let found = 0
    await until(
      async () => {
        const answers = await Promise.all(among.map((nodeId) => this.status(nodeId)))
        const named = answers.map((answer) => (answer === undefined || answer.stale ? 0 : answer.leaderId))
        found = among.find((nodeId) => named.filter((one) => one === nodeId).length > this.nodeIds.length / 2) ?? 0
        return found !== 0
      },
      "a leader",
      timeoutMs
    )
    return found
  }

  /** Waits until all nodes have applied the same and hold the same. */
  async holdTheSame(asked = 1): Promise<void> {
    await this.leader()
    await until(async () => {
      const reports = (await this.status(asked))?.nodes.map(({ report }) => report) ?? []
      const held = reports.map((report) => `${report?.appliedIndex} ${report?.chainHash} ${report?.imageHash}`)
      return reports.length === this.nodeIds.length && !reports.includes(undefined) && new Set(held).size === 1
    }, "all nodes hold the same")
  }

  async remove(): Promise<void> {
    this.links.close()
    await Promise.all([...this.nodesById.values()].map((node) => node.remove()))
    rmSync(this.folder, { recursive: true, force: true })
  }
}
