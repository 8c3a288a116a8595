/**
 * Three real processes, each in a network namespace of its own: cut off, heard one way only, behind lossy and slow links, while clients
 * change and read the metadata through all of them. Unlike the doors of `cluster.test.ts` it is the system's TCP that the fault meets.
 * What clients were told must be what one copy could have told (linearizability), and afterwards all nodes hold the same.
 */
import { spawn, spawnSync } from "node:child_process"
import { checkLinearizability } from "@effectmq/testing/Linearizability"
import { registerModel } from "@effectmq/testing/RegisterModel"
import { afterEach, describe, expect, it } from "vitest"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { NodeNetworks } from "../support/NodeNetworks.js"
import { until } from "../support/Until.js"
import { randomFrom } from "./Random.js"
import { RegisterClient, RegisterHistory } from "./RegisterClient.js"

const names = ["a", "b", "c", "d"]

describe.runIf(NodeNetworks.isPermitted("chaos in networks of their own"))("a cluster of three in networks of their own", () => {
  let networks: NodeNetworks | undefined
  let cluster: ClusterProcesses | undefined
  afterEach(async () => {
    await cluster?.remove()
    networks?.remove()
  })

  it("takes away what tests that were killed left behind", async () => {
    const { pid } = spawnSync("true")
    const left = `effectmq-${pid}-1`
    spawnSync("ip", ["netns", "add", left])
    const inside = spawn("ip", ["netns", "exec", left, "sleep", "300"])
    const ended = new Promise((resolve) => inside.on("exit", resolve))
    const ip = (...args: ReadonlyArray<string>) => spawnSync("ip", ["netns", ...args], { encoding: "utf8" }).stdout
    await until(() => ip("pids", left) !== "", "something runs in it")
    networks = NodeNetworks.create(1)
    const listed = () => ip("list")
    expect(listed()).toContain(`effectmq-${process.pid}-1`)
    networks.remove()
    expect(listed()).not.toMatch(new RegExp(`effectmq-(${pid}|${process.pid})-`))
    await ended
  })

  it("stays one when packets are lost, late, or go one way", { timeout: 240_000 }, async () => {
    const net = NodeNetworks.create(3)
    networks = net
    const nodes = await ClusterProcesses.start({ nodes: 3, settings: { "cluster.commandTimeoutSeconds": 1 }, networks: net })
    cluster = nodes
    const { nodeIds } = nodes
    const history = new RegisterHistory()
    const clients = [1, 2, 3, 4, 5, 6].map((seed) => new RegisterClient(nodes, history, nodeIds, names, randomFrom(seed)))
    const othersThan = (nodeId: number) => nodeIds.filter((one) => one !== nodeId)
    const follower = async () => othersThan(await nodes.leader())[0] as number
    const goesOn = (what: string) => {
      const enough = history.writes + 12
      const said = () => nodeIds.map((nodeId) => nodes.node(nodeId).output.slice(-600)).join("\n")
      return until(
        () => history.writes >= enough,
        () => `${what}: ${history.writes} of ${enough} writes; ${said()}`,
        60_000
      )
    }
    const isStaleAt = async (nodeId: number): Promise<boolean | undefined> => {
      const { status, stale } = await nodes.call(nodeId, "GET", "bans")
      return status === 200 ? stale : undefined
    }
    const isAlone = (nodeId: number) =>
      until(async () => (await isStaleAt(nodeId)) === true, `what node ${nodeId} shows may be old`)

    const faults: Readonly<Record<string, () => Promise<void>>> = {
      "a follower is cut off": async () => {
        const nodeId = await follower()
        net.partition([nodeId])
        await isAlone(nodeId)
      },
      "the leader is cut off": async () => {
        const nodeId = await nodes.leader()
        net.partition([nodeId])
        await isAlone(nodeId)
        expect(othersThan(nodeId)).toContain(await nodes.leader(othersThan(nodeId)))
      },
      "the leader is not heard": async () => {
        const nodeId = await nodes.leader()
        for (const to of othersThan(nodeId)) net.cut(nodeId, to)
        await isAlone(nodeId)
        expect(othersThan(nodeId)).toContain(await nodes.leader(othersThan(nodeId)))
      },
      "the leader hears nobody": async () => {
        const nodeId = await nodes.leader()
        for (const from of othersThan(nodeId)) net.cut(from, nodeId)
        await isAlone(nodeId)
        expect(othersThan(nodeId)).toContain(await nodes.leader(othersThan(nodeId)))
      },
      "two do not hear each other": async () => {
        const leader = await nodes.leader()
        const [one, other] = othersThan(leader) as [number, number]
        net.cut(one, other)
        net.cut(other, one)
      },
      "packets are lost": async () => net.lose(),
      "the leader is slow": async () => {
        console.info(`slow by: ${net.delay(await nodes.leader())}`)
      }
    }
    for (const [what, strikes] of Object.entries(faults)) {
      await strikes()
      await goesOn(what)
      net.heal()
      await goesOn(`no more: ${what}`)
      for (const nodeId of nodeIds) {
        await until(async () => (await isStaleAt(nodeId)) === false, `node ${nodeId} is one of them again, after: ${what}`)
      }
    }

    for (const nodeId of nodeIds) net.partition([nodeId])
    const refused = history.refused + 5
    await until(() => history.refused >= refused, "changes are refused without a majority")
    net.heal()
    await goesOn("there is a majority again")
    await Promise.all(clients.map((client) => client.stop()))

    expect(checkLinearizability(registerModel, history.operations)).toEqual({ _tag: "Linearizable" })
    await nodes.holdTheSame()
    const { writes, reads, stale, failed } = history
    console.info(`${writes} writes and ${reads} reads confirmed, ${stale} reads said they may be old, ${failed} failed`)
  })
})
