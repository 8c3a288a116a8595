/**
 * Three real processes: killed, stopped and cut off while clients change and read the metadata through all of them. What clients were
 * told must be what one copy could have told (linearizability), and afterwards all nodes hold the same.
 *
 * EFFECTMQ_CHAOS_ROUNDS: how many faults (8). EFFECTMQ_CHAOS_SEED: repeats their order.
 */
import { checkLinearizability } from "@effectmq/testing/Linearizability"
import { registerModel } from "@effectmq/testing/RegisterModel"
import { afterEach, describe, expect, it } from "vitest"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { until } from "../support/Until.js"
import { randomFrom } from "./Random.js"
import { RegisterClient, RegisterHistory } from "./RegisterClient.js"

const rounds = Number(process.env.EFFECTMQ_CHAOS_ROUNDS ?? 8)
const seed = Number(process.env.EFFECTMQ_CHAOS_SEED ?? Date.now() % 1_000_000)
const names = ["a", "b", "c", "d"]
const commandTimeoutSeconds = 1

/** What the broker needs at most on a machine that is not busy, beside the time it promises: it looks for what is late 20 times a second. */
const slackMs = 500
/** Longer than any of it takes: what is late is found by its duration, not by an answer that nobody waited for. */
const patienceMs = 60_000

/**
 * A change through this node is refused, with a reason, within the time the configuration gives it. How busy the machine is says the
 * slowest answer meanwhile to a question that waits for nobody; what the broker does for a change is a few such turns.
 */
const isRefusedInTime = async (nodes: ClusterProcesses, nodeId: number): Promise<void> => {
  let slowestMs = 0
  let isOver = false
  const timed = async <A>(action: () => Promise<A>): Promise<{ readonly answer: A; readonly tookMs: number }> => {
    const begunAt = performance.now()
    return { answer: await action(), tookMs: performance.now() - begunAt }
  }
  const asking = async () => {
    while (!isOver) {
      slowestMs = Math.max(slowestMs, (await timed(() => nodes.isAlive(nodeId, patienceMs))).tookMs)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const asked = asking()
  for (let count = 0; count < 2; count++) {
    const change = () => nodes.call(nodeId, "PUT", "bans/clientId/nobody", { reason: "none" }, patienceMs)
    const { answer, tookMs } = await timed(change)
    expect(answer, `a change through node ${nodeId}`).toMatchObject({ status: 503, body: { message: expect.any(String) } })
    const promisedMs = 1_000 * commandTimeoutSeconds
    expect(tookMs - promisedMs, `late by, where an answer takes up to ${slowestMs} ms`).toBeLessThan(slackMs + 5 * slowestMs)
  }
  isOver = true
  await asked
}

describe("a cluster of three processes", () => {
  let cluster: ClusterProcesses | undefined
  afterEach(async () => {
    await cluster?.remove()
    cluster = undefined
  })

  it(`stays one under faults, and loses nothing (seed ${seed})`, { timeout: 60_000 + rounds * 40_000 }, async () => {
    const random = randomFrom(seed)
    cluster = await ClusterProcesses.start({ nodes: 3, settings: { "cluster.commandTimeoutSeconds": commandTimeoutSeconds } })
    const nodes = cluster
    const { nodeIds, links } = nodes
    await nodes.leader()
    const history = new RegisterHistory()
    const clients = [1, 2, 3, 4].map(() => new RegisterClient(nodes, history, nodeIds, names, random))
    const served = () => history.writes
    /** Waits until so many more writes were acknowledged. */
    const goesOn = (count: number, what: string) => {
      const enough = served() + count
      return until(
        () => served() >= enough,
        () =>
          `${what}: ${count} writes; ${served()} of ${enough}; ${nodeIds.map((id) => nodes.node(id).output.slice(-600)).join("\n")}`,
        60_000
      )
    }
    /** The leader or any other, by chance. */
    const victim = async (): Promise<number> =>
      random(2) === 0 ? await nodes.leader() : (nodeIds[random(nodeIds.length)] as number)

    const faults: Readonly<Record<string, () => Promise<void>>> = {
      kill: async () => {
        const nodeId = await victim()
        await nodes.node(nodeId).kill9()
        await goesOn(20, `node ${nodeId} is dead`)
        await nodes.node(nodeId).start()
      },
      "kill all": async () => {
        await Promise.all(nodeIds.map((nodeId) => nodes.node(nodeId).kill9()))
        await Promise.all(nodeIds.map((nodeId) => nodes.node(nodeId).start()))
      },
      stop: async () => {
        const nodeId = await victim()
        nodes.node(nodeId).pause()
        await goesOn(20, `node ${nodeId} stands still`)
        nodes.node(nodeId).resume()
      },
      "cut off": async () => {
        const nodeId = await victim()
        links.partition([nodeId], random(2) === 0 ? "reset" : "silent")
        await goesOn(20, `node ${nodeId} is cut off`)
        links.heal()
      },
      "one way": async () => {
        const from = await victim()
        for (const to of nodeIds) if (to !== from) links.cut(from, to, "silent")
        await goesOn(20, `node ${from} is not heard`)
        links.heal()
      },
      "no majority": async () => {
        for (const one of nodeIds) links.partition([one], "reset")
        await Promise.all(nodeIds.map((nodeId) => isRefusedInTime(nodes, nodeId)))
        links.heal()
      }
    }
    const kinds = Object.keys(faults)
    for (let round = 0; round < rounds; round++) {
      const kind = kinds[(round + seed) % kinds.length] as string
      await (faults[kind] as () => Promise<void>)()
      await goesOn(20, `healed after ${kind}`)
    }
    await Promise.all(clients.map((client) => client.stop()))

    const checked = checkLinearizability(registerModel, history.operations)
    expect(checked).toEqual({ _tag: "Linearizable" })

    await nodes.holdTheSame()
    const { writes, reads, stale, failed, refused } = history
    console.info(
      `${rounds} faults: ${writes} writes and ${reads} reads confirmed, ${stale} reads said they may be old, ${failed} failed, ${refused} of them with an answer`
    )
  })
})
