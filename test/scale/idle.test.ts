/**
 * 16,000 clients that do nothing: what each costs, that nobody else notices them, and that all of them are told when the
 * broker stops.
 *
 * EFFECTMQ_SCALE_CONNECTIONS: how many.
 */
import { spawnSync } from "node:child_process"
import { afterEach, describe, expect, it } from "vitest"
import { until } from "../support/Until.js"
import { LeanClient, openAll } from "./LeanClient.js"
import { begin, end, figures, mebibytes, metrics, type Stage, size, stopwatch } from "./Scale.js"
import { told } from "./Witness.js"

const wanted = size("CONNECTIONS", 16_000)
/** Each connection is a file of the broker's, and one of this process's. */
const filesMax = Number(String(spawnSync("sh", ["-c", "ulimit -Hn"]).stdout).trim()) || Number.POSITIVE_INFINITY
const connections = Math.min(wanted, filesMax - 500)

describe("idle connections", () => {
  let stage: Stage | undefined
  afterEach(() => end(stage))

  it(`${connections} are held, cost little, and are told of the end`, async () => {
    if (connections < wanted) console.warn(`only ${connections} connections: a process may have ${filesMax} files here`)
    stage = await begin()
    const { broker, witness } = stage
    const before = broker.residentBytes()
    const openedTime = stopwatch(broker)
    const { result: clients, seen: whileOpening } = await witness.during(() =>
      openAll(connections, 200, (index) => {
        const localAddress = `127.0.1.${1 + (index % 8)}`
        return LeanClient.open(`idle-${index}`, { port: broker.port, keepAliveSeconds: 3600, localAddress })
      })
    )
    const openSeconds = openedTime()
    expect(clients.filter((client) => client.connackCode !== 0 || client.closed)).toEqual([])
    expect((await metrics(broker)).get("effectmq_connections")).toBe(connections + 1)

    // Some talk among the many: each of them gets exactly its own.
    const talkers = clients.filter((_, index) => index % 100 === 0)
    const { seen: whileTalking } = await witness.during(async () => {
      await Promise.all(talkers.map((client) => client.subscribe([`to/${client.clientId}`], 1)))
      for (let round = 0; round < 10; round++) {
        for (const [index, client] of talkers.entries()) {
          const to = talkers[(index + 1) % talkers.length] as LeanClient
          client.publish(`to/${to.clientId}`, `round ${round}`, 1)
        }
      }
      await until(() => talkers.every((client) => client.publishes === 10 && client.pubacks === 10), "all of them have talked")
    })
    expect(clients.reduce((sum, client) => sum + client.publishes, 0)).toBe(10 * talkers.length)
    expect(whileTalking.closed).toBe(false)
    const held = broker.residentBytes()

    // One word to everybody.
    const { seen: whileShouting } = await witness.during(async () => {
      await openAll(connections, 500, (index) => (clients[index] as LeanClient).subscribe(["all"], 0))
      const heard = clients.map((client) => client.publishes)
      ;(clients[0] as LeanClient).publish("all", "hear, hear", 1)
      await until(() => clients.every((client, index) => client.publishes > (heard[index] as number)), "all have heard it")
      expect(clients.every((client, index) => client.publishes === (heard[index] as number) + 1)).toBe(true)
    })

    const stoppedTime = stopwatch(broker)
    expect(`${await broker.stop()}\n${broker.output}`).toMatch(/^0\n/)
    const stopSeconds = stoppedTime()
    await until(() => clients.every((client) => client.closed), "all connections have ended")
    expect(clients.filter((client) => client.disconnectCode !== 0x8b).length).toBe(0)
    figures(
      `${connections} idle connections`,
      `opened in ${openSeconds}; ${told(whileOpening)}`,
      `resident ${mebibytes(before)} before, ${mebibytes(held)} then: ${Math.round((held - before) / connections)} bytes each`,
      `${talkers.length} of them talking; ${told(whileTalking)}`,
      `all subscribe, one speaks to all of them; ${told(whileShouting)}`,
      `stopped in ${stopSeconds}`
    )
  })
})
