/**
 * A few nodes as processes of this machine, for a try: each runs `effectmq start` with ports and a data directory of its own. What
 * they print comes out with the node's number in front. One that is killed leaves the others to go on, as in a cluster of machines; one
 * that ends by itself ends all, as where it cannot start.
 *
 * Their secret is made at the first start and kept beside their data. They get it by their environment, which other users cannot read.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import type { CliFailure } from "./CliFailure.js"
import { failed } from "./CliFailure.js"

export interface LocalNode {
  readonly nodeId: number
  readonly mqttPort: number
  readonly webSocketPort: number
  readonly adminPort: number
  readonly rpcPort: number
  readonly dataDir: string
}

export interface LocalNodes {
  readonly nodes: ReadonlyArray<LocalNode>
  readonly secret: string
}

/** Between the ports of two nodes: far enough for the listeners of one. */
const portStep = 10

/** The first node has the ports of a node alone. */
export const localNodes = (count: number, dataDir: string): ReadonlyArray<LocalNode> =>
  Array.from({ length: count }, (_, index) => ({
    nodeId: index + 1,
    mqttPort: 1883 + index * portStep,
    webSocketPort: 8083 + index * portStep,
    adminPort: 9644 + index * portStep,
    rpcPort: 9645 + index * portStep,
    dataDir: join(dataDir, `node-${index + 1}`)
  }))

/** Arguments of `effectmq` that start one of them. */
export const argumentsOf = (node: LocalNode, nodes: ReadonlyArray<LocalNode>): ReadonlyArray<string> => {
  const settings = {
    "node.id": node.nodeId,
    "node.name": `node-${node.nodeId}`,
    "mqtt.tcp.port": node.mqttPort,
    "mqtt.ws.port": node.webSocketPort,
    "admin.http.port": node.adminPort,
    "cluster.rpc.port": node.rpcPort,
    "cluster.nodes": nodes.map(({ nodeId, rpcPort }) => `${nodeId}@127.0.0.1:${rpcPort}`).join(",")
  }
  const flags = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`])
  return ["start", "--data-dir", node.dataDir, ...flags]
}

/** In the directory of the nodes' data directories. */
export const secretFile = (dataDir: string): string => join(dataDir, "cluster-secret")

/** The secret of nodes with data in this directory, made where there is none. */
export const localSecret = (dataDir: string): Effect.Effect<string, CliFailure, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const file = secretFile(dataDir)
    if (yield* files.exists(file)) return (yield* files.readFileString(file)).trim()
    const secret = randomBytes(16).toString("hex")
    yield* files.makeDirectory(dataDir, { recursive: true })
    yield* files.writeFileString(file, `${secret}\n`, { mode: 0o600 })
    return secret
  }).pipe(Effect.mapError((error) => failed(`the secret of the nodes cannot be kept in ${dataDir}: ${error.message}`)))

const printed = (node: LocalNode, child: ChildProcess) => {
  for (const [stream, target] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr]
  ] as const) {
    if (stream !== null) createInterface({ input: stream }).on("line", (text) => target.write(`[${node.nodeId}] ${text}\n`))
  }
}

/** How long the nodes may take to stop. */
const stopTimeoutMs = 15_000

const stopped = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs)
    child.once("exit", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })

const started = (entry: string, node: LocalNode, { nodes, secret }: LocalNodes) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // A group of its own: Ctrl-C reaches this process alone, which then stops the nodes.
      const child = spawn(process.execPath, [entry, ...argumentsOf(node, nodes)], {
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
        env: { ...process.env, EFFECTMQ_CLUSTER_SECRET: secret }
      })
      printed(node, child)
      return child
    }),
    stopped
  )

/** Fails when it ends by itself; succeeds, and says so, when it was killed. */
const ended = (node: LocalNode, child: ChildProcess): Effect.Effect<void, CliFailure> =>
  Effect.async((resume) => {
    const tell = (code: number | null, signal: string | null) => {
      if (code !== null)
        return resume(Effect.fail(failed(`node ${node.nodeId} ended (exit code ${code}); the others are stopped`)))
      process.stderr.write(
        `node ${node.nodeId} was killed (${signal}); the others go on. To have it back, stop them and start all again.\n`
      )
      resume(Effect.void)
    }
    if (child.exitCode !== null || child.signalCode !== null) return tell(child.exitCode, child.signalCode)
    child.once("error", (error) => resume(Effect.fail(failed(`node ${node.nodeId} cannot be started: ${error.message}`))))
    child.once("exit", tell)
  })

/** Runs them until it is interrupted, one of them ends by itself, or none is left. `entry`: the file that this process was started with. */
export const runLocalNodes = (entry: string, local: LocalNodes): Effect.Effect<never, CliFailure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const children = yield* Effect.forEach(
        local.nodes,
        (node) => Effect.map(started(entry, node, local), (child) => [node, child] as const),
        {
          concurrency: "unbounded"
        }
      )
      yield* Effect.forEach(children, ([node, child]) => ended(node, child), { concurrency: "unbounded", discard: true })
      return yield* Effect.fail(failed("all nodes were killed"))
    })
  )
