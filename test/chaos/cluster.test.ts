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
        const refused = history.refused + 3
        await until(() => history.refused >= refused, "changes are refused in time, with an answer", 30_000)
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
