/**
 * A cluster of EffectMQ processes on loopback for the bench, and calls of their admin API.
 */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { remove, temporaryFolder } from "../peers.mjs"
import { cpuMicroseconds, freePort, residentBytes, sleep, start, stop, untilReady } from "../processes.mjs"

const bin = fileURLToPath(new URL("../../../services/cli/bin/effectmq.js", import.meta.url))

export const call = async (adminPort, method, path, body, timeoutMs = 3_000) => {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/api/v1/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      signal: AbortSignal.timeout(timeoutMs)
    })
    const text = await response.text()
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
  } catch (error) {
    return { status: 0, body: String(error) }
  }
}

const isReady = (adminPort) =>
  fetch(`http://127.0.0.1:${adminPort}/health/ready`, { signal: AbortSignal.timeout(1000) }).then(
    (response) => response.arrayBuffer().then(() => response.status === 200),
    () => false
  )

export class Nodes {
  folder = temporaryFolder()
  nodes = []

  /** Ports for so many nodes; none is started. */
  static async prepare(count) {
    const nodes = new Nodes()
    for (let nodeId = 1; nodeId <= count; nodeId++) {
      const [mqtt, admin, rpc] = [await freePort(), await freePort(), await freePort()]
      nodes.nodes.push({ nodeId, mqtt, admin, rpc, member: { nodeId, address: `127.0.0.1:${rpc}` }, child: undefined })
    }
    return nodes
  }

  /** Starts a node and waits until it serves. `voters`: numbers in `cluster.nodes`. */
  async start(nodeId, voters, settings = {}) {
    const node = this.nodes[nodeId - 1]
    const listed = voters.map((voter) => `${voter}@${this.nodes[voter - 1].member.address}`).join(",")
    const all = {
      "node.id": nodeId,
      "node.name": `node-${nodeId}`,
      "mqtt.tcp.port": node.mqtt,
      "mqtt.ws.enabled": false,
      "admin.http.port": node.admin,
      "cluster.rpc.port": node.rpc,
      "cluster.nodes": listed,
      "log.level": "error",
      ...settings
    }
    const flags = Object.entries(all).flatMap(([key, value]) => ["--set", `${key}=${value}`])
    // Not pinned: three nodes and the generator share what cores there are.
    node.child = start(undefined, process.execPath, [bin, "start", "--data-dir", join(this.folder, `node-${nodeId}`), ...flags])
    await untilReady(node.child, () => isReady(node.admin))
  }

  startAll() {
    const ids = this.nodes.map(({ nodeId }) => nodeId)
    return Promise.all(ids.map((nodeId) => this.start(nodeId, ids)))
  }

  get members() {
    return this.nodes.map(({ member }) => member)
  }

  call(nodeId, ...args) {
    return call(this.nodes[nodeId - 1].admin, ...args)
  }

  async leader() {
    for (let tries = 0; tries < 200; tries++) {
      for (const { nodeId, child } of this.nodes) {
        if (child === undefined) continue
        const { status, body } = await this.call(nodeId, "GET", "cluster")
        if (status === 200 && !body.stale && body.leaderId > 0) return body.leaderId
      }
      await sleep(50)
    }
    throw new Error("there is no leader")
  }

  /** Hands leadership to a node where another has it, and waits until it leads. */
  async leadBy(nodeId) {
    for (let tries = 0; tries < 20; tries++) {
      const leader = await this.leader()
      if (leader === nodeId) return
      const { nodeId: from } = this.nodes.find(({ child }) => child !== undefined)
      await this.call(from, "POST", "cluster/leader", { nodeId }, 10_000)
    }
    throw new Error(`node ${nodeId} does not lead`)
  }

  async kill(nodeId) {
    const node = this.nodes[nodeId - 1]
    const { child } = node
    node.child = undefined
    await stop(child, "SIGKILL")
  }

  residentBytes(nodeId) {
    return residentBytes(this.nodes[nodeId - 1].child.pid)
  }

  cpuMicroseconds(nodeId) {
    return cpuMicroseconds(this.nodes[nodeId - 1].child.pid)
  }

  async end() {
    await Promise.all(this.nodes.filter(({ child }) => child !== undefined).map(({ child }) => stop(child, "SIGKILL")))
    remove(this.folder)
  }
}
