import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { emptyContents } from "@effectmq/raft/MemoryRaftStore"
import * as RaftNode from "@effectmq/raft/RaftNode"
import { defaultOptions } from "@effectmq/raft/RaftNodeOptions"
import type { StateMachine } from "@effectmq/raft/StateMachine"
import type { Member } from "@effectmq/schemas/raft/Membership"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { goodLink, SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import * as SimulatedRaftStore from "@effectmq/testing/SimulatedRaftStore"
import { SimulatedRaftTransport } from "@effectmq/testing/SimulatedRaftTransport"
import { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"

/** A Layer of one's own: a ledger that every node builds from the same commands. */
class Ledger extends Context.Tag("Ledger")<
  Ledger,
  { readonly lines: () => ReadonlyArray<string>; add(line: string): boolean }
>() {}

const ledger = (nodeId: number, members: ReadonlyArray<Member>) =>
  Layer.scoped(
    Ledger,
    Effect.gen(function* () {
      let lines: ReadonlyArray<string> = []
      let leadsInTerm = 0
      const machine: StateMachine = {
        apply: (commands) => {
          lines = [...lines, ...commands.map(({ data }) => Buffer.from(data).toString())]
        },
        snapshot: () => Effect.succeed([Buffer.from(JSON.stringify(lines))]),
        restore: (_, chunks) =>
          Effect.sync(() => {
            lines = JSON.parse(Buffer.concat(chunks).toString())
          }),
        leadershipBegan: (term) => {
          leadsInTerm = term
        },
        leadershipEnded: () => {
          leadsInTerm = 0
        }
      }
      const raft = yield* RaftNode.make({ ...defaultOptions, nodeId, initialMembers: members, contacts: members }, machine)
      return { lines: () => lines, add: (line) => raft.propose(leadsInTerm, Buffer.from(line))._tag === "Right" }
    })
  )

/** Three nodes, of which one is cut off for a while and another is killed; answers what each has in the end. */
export const simulate = (seed: number): Promise<ReadonlyArray<ReadonlyArray<string>>> => {
  const world = new VirtualWorld({ seed })
  const network = new SimulatedNetwork(world)
  const transport = new SimulatedRaftTransport(network)
  const members = [1, 2, 3].map((nodeId) => ({ nodeId, address: `node-${nodeId}:1` }))

  const node = (nodeId: number) => {
    const process = world.process(`node ${nodeId}`)
    const disk = emptyContents()
    const slow = { ...SimulatedRaftStore.noStoreFaults(), latencyMsMax: 5 }
    const layer = Layer.provide(
      ledger(nodeId, members),
      Layer.mergeAll(
        SimulatedRaftStore.layer(disk, slow, new SeededRandom(seed, nodeId)),
        transport.layer(process, nodeId),
        PrometheusMeters.layerMemory
      )
    )
    /** Also after it was killed: what its disk holds outlives it. */
    const start = async () => {
      const started = await process.start(layer)
      if (Exit.isFailure(started)) throw new Error(`node ${nodeId} does not start`)
      return Context.get(started.value, Ledger)
    }
    return { process, start }
  }

  return world.run(async () => {
    network.setQuality({ ...goodLink, delayMsMax: 20, lossChance: 0.1, ordered: false })
    const nodes = [node(1), node(2), node(3)] as const
    const ledgers = await Promise.all(nodes.map(({ start }) => start()))
    const add = async (line: string) => {
      while (!ledgers.some((one) => one.lines().includes(line))) {
        for (const one of ledgers) one.add(line)
        await world.sleep(500)
      }
    }
    const [first, second, third] = [nodes[0].process, nodes[1].process, nodes[2].process]
    await add("one")
    network.partition([first], [second, third])
    second.jumpClock(-3_600_000)
    await add("two")
    network.heal()
    third.kill()
    await add("three")
    ledgers[2] = await nodes[2].start()
    await world.sleep(5_000)
    return ledgers.map((one) => one.lines())
  })
}
