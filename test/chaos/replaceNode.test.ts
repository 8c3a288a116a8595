/**
 * A node dies for good while clients work: another takes its place, and nobody is disturbed for longer than an election takes. Neither the
 * dead one that comes back with what it had, nor one that was taken out while it runs, is taken for a node of the cluster.
 */
import { afterEach, expect, it } from "vitest"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { SessionClient } from "../support/SessionClient.js"
import { until } from "../support/Until.js"

let cluster: ClusterProcesses | undefined
const clients: Array<SessionClient> = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.vanish()
  await cluster?.remove()
  cluster = undefined
})

/** Clients that do not take the machine from the nodes. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 50))

/** A subscriber and a publisher of QoS 1 on one node; each message is sent when the one before it was acknowledged. */
const traffic = async (nodes: ClusterProcesses, nodeId: number) => {
  const { port } = nodes.node(nodeId)
  const subscriber = new SessionClient({ port, clientId: `subscriber-${nodeId}` })
  const publisher = new SessionClient({ port, clientId: `publisher-${nodeId}` })
  clients.push(subscriber, publisher)
  await until(() => subscriber.connected && publisher.connected, `clients are on node ${nodeId}`, 60_000)
  expect(await subscriber.subscribe("work/#", 1)).toBe(1)
  let isOver = false
  const acknowledged: Array<string> = []
  const publishing = (async () => {
    while (!isOver) {
      const payload = String(acknowledged.length)
      expect(await publisher.publish(`work/${nodeId}`, payload, 1)).toBeLessThan(0x80)
      acknowledged.push(payload)
      await pause()
    }
  })()
  return {
    count: () => acknowledged.length,
    /** Every message that was acknowledged came, in order, over the first connection. */
    check: async () => {
      isOver = true
      await publishing
      await until(() => subscriber.received.length >= acknowledged.length, `all messages of node ${nodeId} came`)
      expect(subscriber.received.map(({ payload }) => payload)).toEqual(acknowledged)
      for (const client of [subscriber, publisher]) expect([client.connects, client.faults]).toEqual([1, []])
    }
  }
}

/** Changes of the metadata through one node; what was acknowledged is to be found later, what failed is not claimed. */
const changes = (nodes: ClusterProcesses, nodeId: number) => {
  let isOver = false
  let tried = 0
  const acknowledged: Array<string> = []
  const changing = (async () => {
    while (!isOver) {
      const name = `client-${nodeId}-${tried++}`
      const { status } = await nodes.call(nodeId, "PUT", `bans/clientId/${name}`, { reason: "none" })
      if (status === 200) acknowledged.push(name)
      await pause()
    }
  })()
  return {
    acknowledged,
    stop: async () => {
      isOver = true
      await changing
    }
  }
}

const readiness = async (nodes: ClusterProcesses, nodeId: number) => {
  const response = await fetch(`${nodes.node(nodeId).adminUrl}/health/ready`)
  const { fault, waitsFor } = (await response.json()) as { readonly fault?: string; readonly waitsFor?: string }
  return { status: response.status, fault, waitsFor }
}

it("a dead node is replaced while clients work, and stays out", { timeout: 240_000 }, async () => {
  const nodes = await ClusterProcesses.start({ nodes: 3 })
  cluster = nodes
  const told = async (nodeId: number, ...args: ReadonlyArray<string>) => {
    const outcome = await nodes.node(nodeId).command(...args)
    expect(outcome, `${args.join(" ")}: ${outcome.stderr}`).toMatchObject({ code: 0 })
  }
  // The one that dies leads.
  const dead = await nodes.leader()
  const living = nodes.nodeIds.filter((nodeId) => nodeId !== dead)
  const [first, second] = living as [number, number]
  const busy = await Promise.all(living.map((nodeId) => traffic(nodes, nodeId)))
  const changing = living.map((nodeId) => changes(nodes, nodeId))
  await until(() => changing.every(({ acknowledged }) => acknowledged.length >= 3), "changes are made", 60_000)
  await nodes.node(dead).kill9()

  const address = await nodes.prepareGuest(4, { "cluster.join": true })
  const starting = nodes.node(4).start()
  await until(
    async () => {
      const { waitsFor } = await readiness(nodes, 4).catch(() => ({ waitsFor: undefined }))
      return waitsFor?.startsWith(`effectmq cluster add 4 ${address}`) === true
    },
    "node 4 says what it waits for",
    60_000
  )

  // A number that is in use replaces nobody.
  const taken = await nodes.node(first).command("cluster", "replace", String(dead), String(second), address)
  expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining(`node ${second} is a member already`) })
  expect((await nodes.status(first))?.nodes.map(({ nodeId, part }) => [nodeId, part])).toContainEqual([dead, "voter"])

  await told(first, "cluster", "replace", String(dead), "4", address)
  await starting
  const counts = busy.map((one) => one.count())
  await until(() => busy.every((one, at) => one.count() > (counts[at] as number) + 5), "messages go on", 60_000)
  await Promise.all(changing.map((one) => one.stop()))
  await Promise.all(busy.map((one) => one.check()))

  const now = [...living, 4].sort()
  await until(
    async () => {
      const found = (await nodes.status(4))?.nodes ?? []
      const held = new Set(found.map(({ report }) => `${report?.appliedIndex} ${report?.imageHash}`))
      return JSON.stringify(found.map(({ nodeId }) => nodeId)) === JSON.stringify(now) && held.size === 1
    },
    "the new node holds what the others hold",
    60_000
  )
  const { body } = await nodes.call(4, "GET", "bans")
  expect((body as ReadonlyArray<{ readonly value: string }>).map(({ value }) => value)).toEqual(
    expect.arrayContaining(changing.flatMap(({ acknowledged }) => acknowledged))
  )

  // The dead one comes back with what it had.
  const outside = "it was taken out of the cluster, whose members are"
  const returning = nodes
    .node(dead)
    .start()
    .catch(() => undefined)
  await until(() => nodes.node(dead).output.includes(outside), "the dead one learns that it was taken out", 60_000)
  await until(
    async () => (await readiness(nodes, dead).catch(() => ({ status: 0 }))).status !== 200,
    "the dead one is not ready, or has ended"
  )
  await nodes.node(dead).kill9()
  await returning

  // One that is taken out while it runs says so, and takes part again when it is taken in as it is.
  await told(second, "cluster", "remove", "4")
  await until(async () => (await readiness(nodes, 4)).status === 503, "node 4 is not ready", 60_000)
  expect((await readiness(nodes, 4)).fault).toContain(outside)
  expect(await nodes.isAlive(4, 5_000)).toBe(true)
  expect((await nodes.call(4, "GET", "status")).body).toMatchObject({ fault: expect.stringContaining(outside) })
  const table = (await nodes.node(4).command("cluster", "status")).stdout
  expect(table).toMatch(/^4 +.* taken out +\d/m)
  expect(table).toMatch(new RegExp(`^node 4: ${outside} `, "m"))
  const refused = await nodes.call(4, "DELETE", `cluster/nodes/${first}`)
  expect(refused).toMatchObject({ status: 503, body: { message: expect.stringContaining(outside) } })
  await told(second, "cluster", "add", "4", address)
  await until(async () => (await readiness(nodes, 4)).status === 200, "node 4 is ready again", 60_000)
})
