/**
 * A few nodes as processes of this machine, for a try: each runs `effectmq start` with ports and a data directory of its own. What
 * they print comes out with the node's number in front; when one ends, all do.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
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

const started = (entry: string, node: LocalNode, nodes: ReadonlyArray<LocalNode>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // A group of its own: Ctrl-C reaches this process alone, which then stops the nodes.
      const child = spawn(process.execPath, [entry, ...argumentsOf(node, nodes)], {
        stdio: ["ignore", "pipe", "pipe"],
        detached: true
      })
      printed(node, child)
      return child
    }),
    stopped
  )

const ended = (node: LocalNode, child: ChildProcess): Effect.Effect<never, CliFailure> =>
  Effect.async((resume) => {
    const tell = (how: string) => resume(Effect.fail(failed(`node ${node.nodeId} ended (${how}); the others are stopped`)))
    if (child.exitCode !== null) tell(`exit code ${child.exitCode}`)
    child.once("error", (error) => tell(error.message))
    child.once("exit", (code, signal) => tell(code === null ? String(signal) : `exit code ${code}`))
  })

/** Runs them until it is interrupted or one of them ends. `entry`: the file that this process was started with. */
export const runLocalNodes = (entry: string, nodes: ReadonlyArray<LocalNode>): Effect.Effect<never, CliFailure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const children = yield* Effect.forEach(
        nodes,
        (node) => Effect.map(started(entry, node, nodes), (child) => [node, child] as const),
        {
          concurrency: "unbounded"
        }
      )
      return yield* Effect.raceAll(children.map(([node, child]) => ended(node, child)))
    })
  )
