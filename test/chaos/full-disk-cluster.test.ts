/**
 * The disk of one node of three is full, first of a follower, then of the leader: the metadata goes on with the other two, that node
 * says so to whoever asks, and goes on by itself when there is room. What clients of the others were told is what one copy could have
 * told (linearizability), and nothing acknowledged is lost, not even when the full node is killed.
 */
import { checkLinearizability } from "@effectmq/testing/Linearizability"
import { registerModel } from "@effectmq/testing/RegisterModel"
import { afterEach, describe, expect, it } from "vitest"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { SessionClient } from "../support/SessionClient.js"
import { SmallDisk } from "../support/SmallDisk.js"
import { until } from "../support/Until.js"
import { randomFrom } from "./Random.js"
import { RegisterClient, RegisterHistory } from "./RegisterClient.js"

/** The write-ahead log of the messages takes 64 of them from the start, and as many again when these are full. */
const smallMebibytes = 256
const full = 2
const others = [1, 3]
const payload = "x".repeat(64 * 1024)

describe.runIf(SmallDisk.isPermitted("full disk of one node of a cluster"))("a full disk in a cluster", () => {
  let disk: SmallDisk | undefined
  let cluster: ClusterProcesses | undefined
  const clients: Array<SessionClient> = []

  afterEach(async () => {
    for (const client of clients.splice(0)) client.vanish()
    await cluster?.remove()
    disk?.unmount()
  })

  it("is one node's own trouble, and over when there is room", { timeout: 180_000 }, async () => {
    const small = SmallDisk.mount(smallMebibytes)
    disk = small
    const nodes = await ClusterProcesses.start({
      nodes: 3,
      settings: { "auth.allowAnonymous": true, "log.level": "info" },
      directoryOf: (nodeId) => (nodeId === full ? small.folder : undefined)
    })
    cluster = nodes
    await nodes.leader()
    const history = new RegisterHistory()
    const random = randomFrom(1)
    const registers = [1, 2].map(() => new RegisterClient(nodes, history, others, ["a", "b", "c"], random))
    const goesOn = (what: string) => {
      const enough = history.writes + 30
      return until(
        () => history.writes >= enough,
        () => `${what}: ${history.writes} of ${enough} writes; ${nodes.nodeIds.map((id) => nodes.node(id).output.slice(-600))}`
      )
    }
    const faultOf = async (asked: number) =>
      (await nodes.status(asked))?.nodes.find(({ nodeId }) => nodeId === full)?.report?.fault ?? ""
    const makeLead = (nodeId: number) =>
      until(async () => {
        if ((await nodes.leader()) === nodeId) return true
        await nodes.call(nodeId, "POST", "cluster/leader", { nodeId })
        return false
      }, `node ${nodeId} leads`)
    const saysSo = async () => {
      await until(async () => {
        // Something may have become free behind what was written before.
        small.fill()
        return /waits for space: .*full/.test(await faultOf(full))
      }, "the full node says so")
      await until(async () => /waits for space: .*full/.test(await faultOf(1)), "another node shows it")
      const shown = await nodes.node(3).command("cluster", "status")
      expect(shown).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^2 +node-2 .* no space .*^node 2: waits for space/ms)
      })
      expect(nodes.node(full).output).toContain("the raft log has no space left")
      expect((await fetch(`http://127.0.0.1:${nodes.node(full).adminPort}/health/ready`)).status).toBe(503)
      // Through it nothing is changed, which it says at once, and what it shows may be old.
      const refused = await nodes.call(full, "PUT", "bans/clientId/refused", { reason: "none" })
      expect(refused).toMatchObject({ status: 503, body: { message: expect.stringContaining("this node can take no changes") } })
      expect(await nodes.call(full, "GET", "bans")).toMatchObject({ status: 200, stale: true })
    }
    const hasCaughtUp = () =>
      until(async () => {
        const indexes = (await nodes.status(1))?.nodes.map((node) => node.report?.appliedIndex) ?? []
        return indexes.length === 3 && Math.max(...indexes.map(Number)) - Math.min(...indexes.map(Number)) < 20
      }, "the node that was full has caught up")

    await makeLead(1)
    small.fill()
    await goesOn("a follower is full")
    await saysSo()
    expect(others).toContain(await nodes.leader(others))

    // Its messages, as on a node alone: what cannot be stored is refused, what needs no disk is delivered.
    const open = async (clientId: string) => {
      const client = new SessionClient({ port: nodes.node(full).port, clientId })
      clients.push(client)
      await until(() => client.connected, `${clientId} is connected`)
      return client
    }
    const reader = await open("reader")
    await reader.subscribe("full/#", 1)
    const publisher = await open("publisher")
    const acknowledged: Array<string> = []
    let refusals = 0
    for (let number = 0; refusals === 0 && number < smallMebibytes * 16; ) {
      const some = Array.from({ length: 20 }, async () => {
        const text = String(number++)
        if ((await publisher.publish("full/data", `${text} ${payload}`, 1)) < 0x80) acknowledged.push(text)
        else refusals++
      })
      await Promise.race([Promise.all(some), until(() => refusals > 0, "the disk is full")])
    }
    expect(refusals).toBeGreaterThan(0)
    await until(async () => {
      await publisher.publish("full/live", "live", 0)
      return reader.received.some((message) => message.payload === "live")
    }, "QoS 0 is delivered while the disk is full")
    await until(() => {
      const there = new Set(reader.received.map((message) => message.payload.split(" ")[0]))
      return acknowledged.every((one) => there.has(one))
    }, "what was acknowledged is delivered")

    small.free()
    await hasCaughtUp()
    expect(nodes.node(full).output).toContain("the raft log has space again")
    await until(async () => (await publisher.publish("full/data", "after", 1)) < 0x80, "messages are taken again")
    await until(() => reader.received.some((message) => message.payload === "after"), "and delivered")
    expect((await fetch(`http://127.0.0.1:${nodes.node(full).adminPort}/health/ready`)).status).toBe(200)

    // The leader: another one takes over.
    await makeLead(full)
    small.fill()
    await goesOn("the leader is full")
    await saysSo()
    expect(others).toContain(await nodes.leader(others))
    await nodes.node(full).kill9()
    await goesOn("the full node is dead")
    small.free()
    await nodes.node(full).start()
    await hasCaughtUp()

    await Promise.all(registers.map((client) => client.stop()))
    expect(checkLinearizability(registerModel, history.operations)).toEqual({ _tag: "Linearizable" })
    await nodes.holdTheSame(full)
    console.info(`${history.writes} writes and ${history.reads} reads of others, ${acknowledged.length} messages`)
  })
})
