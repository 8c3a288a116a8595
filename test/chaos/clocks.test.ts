/**
 * Three real processes whose calendar's clocks are set, days ahead and days back, while clients change and read the metadata
 * through all of them: it costs no leader and nobody's standing, and what clients were told is what one copy could have told. What does
 * lean on a calendar's clock does so as the documentation says.
 */
import { isDeepStrictEqual } from "node:util"
import { checkLinearizability } from "@effectmq/testing/Linearizability"
import { registerModel } from "@effectmq/testing/RegisterModel"
import { afterEach, describe, expect, it } from "vitest"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { FalseClock } from "../support/FalseClock.js"
import { until } from "../support/Until.js"
import { randomFrom } from "./Random.js"
import { RegisterClient, RegisterHistory } from "./RegisterClient.js"

const names = ["a", "b", "c", "d"]
const daySeconds = 86_400

describe.runIf(FalseClock.isPossible("chaos of clocks"))("a cluster of three whose clocks are set", () => {
  let clocks: ReadonlyArray<FalseClock> = []
  let cluster: ClusterProcesses | undefined
  afterEach(async () => {
    await cluster?.remove()
    for (const clock of clocks) clock.remove()
  })

  it("keeps its leader, loses nothing, and drops a ban by the clocks of most", { timeout: 120_000 }, async () => {
    clocks = [1, 2, 3].map(() => FalseClock.make())
    const clockOf = (nodeId: number) => clocks[nodeId - 1] as FalseClock
    const nodes = await ClusterProcesses.start({ nodes: 3, environmentOf: (nodeId) => clockOf(nodeId).environment })
    cluster = nodes
    const { nodeIds } = nodes
    const othersThan = (nodeId: number) => nodeIds.filter((one) => one !== nodeId)
    const standing = async () => {
      const leader = await nodes.leader()
      const status = await nodes.status(leader)
      const fenced = status?.nodes.flatMap((node) => (node.fenced ? node.nodeId : []))
      return { leader, term: status?.term, fenced: String(fenced) }
    }
    await nodes.leader()
    const history = new RegisterHistory()
    const clients = [1, 2, 3].map((seed) => new RegisterClient(nodes, history, nodeIds, names, randomFrom(seed)))
    const goesOn = (what: string) => {
      const enough = history.writes + 12
      const said = () => nodeIds.map((nodeId) => nodes.node(nodeId).output.slice(-600)).join("\n")
      return until(
        () => history.writes >= enough,
        () => `${what}: ${history.writes} of ${enough} writes; ${said()}`
      )
    }
    /** By the clock of the node that is asked; undefined where it does not answer. */
    const isBannedAt = async (nodeId: number): Promise<boolean | undefined> => {
      const { status, body } = await nodes.call(nodeId, "GET", "bans")
      if (status !== 200) return undefined
      return (body as ReadonlyArray<{ readonly value: string }>).some(({ value }) => value === "guest")
    }
    const isBanned = (where: (nodeId: number) => boolean, what: string) =>
      until(async () => {
        const found = await Promise.all(nodeIds.map(isBannedAt))
        return nodeIds.every((nodeId, index) => found[index] === where(nodeId))
      }, what)

    /**
     * Each round goes a day further than the one before, and so does its ban: what the leader last heard of a clock that was ahead then
     * (a second may pass until it hears more) says of this ban that it holds.
     */
    let round = 0
    const banGuest = async () => {
      round++
      const guest = { reason: "for a while", untilMs: Date.now() + (round - 0.5) * daySeconds * 1000 }
      const put = async () => (await nodes.call(1, "PUT", "bans/clientId/guest", guest)).status === 200
      await until(put, "a guest is banned")
    }
    const victims: Readonly<Record<string, (leader: number) => number>> = {
      "the leader": (leader) => leader,
      "a follower": (leader) => othersThan(leader)[0] as number
    }
    for (const [what, victimOf] of Object.entries(victims)) {
      // On a machine that is busy a leader can be lost without it: what costs one does so each time.
      await until(
        async () => {
          const before = await standing()
          const nodeId = victimOf(before.leader)
          await banGuest()
          clockOf(nodeId).aheadBy(round * daySeconds)
          await goesOn(`the clock of ${what} is ahead`)
          await isBanned((one) => one !== nodeId, `the ban holds but where the clock of ${what} says that it is over`)
          clockOf(nodeId).aheadBy(-daySeconds)
          await goesOn(`the clock of ${what} was set back by days`)
          await isBanned(() => true, "the ban holds, and was not dropped")
          return isDeepStrictEqual(await standing(), before)
        },
        `a clock of ${what} that is set costs neither leadership nor standing`,
        60_000
      )
    }

    const wrong = nodeIds.slice(1)
    for (const nodeId of wrong) clockOf(nodeId).aheadBy(round * daySeconds)
    await until(async () => (await isBannedAt(1)) === false, "the ban is over by the clocks of two of three")
    for (const nodeId of wrong) clockOf(nodeId).aheadBy(0)
    await goesOn("the clocks are right")
    await isBanned(() => false, "the ban was dropped for all")
    await Promise.all(clients.map((client) => client.stop()))

    expect(checkLinearizability(registerModel, history.operations)).toEqual({ _tag: "Linearizable" })
    await nodes.holdTheSame()
    const { writes, reads, stale, failed } = history
    console.info(`${writes} writes and ${reads} reads confirmed, ${stale} reads said they may be old, ${failed} failed`)
  })
})
