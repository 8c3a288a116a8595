/**
 * How long a read waits for a majority that is not there, by the virtual clock: through whatever node, for no longer than
 * `cluster.commandTimeoutSeconds`, and 3 s at most.
 */
import * as LocalPeer from "@effectmq/metadata/LocalPeer"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as MetadataMember from "@effectmq/metadata/MetadataMember"
import * as MetadataRpcServer from "@effectmq/metadata/MetadataRpcServer"
import * as ObserverMetadata from "@effectmq/metadata/ObserverMetadata"
import * as RpcClusterPeers from "@effectmq/metadata/RpcClusterPeers"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { emptyContents } from "@effectmq/raft/MemoryRaftStore"
import * as RpcRaftTransport from "@effectmq/raft/RpcRaftTransport"
import { settingsWith } from "@effectmq/schemas/config/Settings"
import { timesAmongOthers } from "@effectmq/server/ClusterTimes"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import { SimulatedNodes } from "@effectmq/testing/SimulatedNodeTransport"
import * as SimulatedRaftStore from "@effectmq/testing/SimulatedRaftStore"
import { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { expect, test } from "vitest"
import { addressOf } from "./metadata/SimulatedNode.js"

/** A limit is looked at every 50 ms, and Raft counts in ticks. */
const lookMs = 100
const memberIds = [1, 2, 3]
const observerId = 4

const simulate = (seed: number, times: ReturnType<typeof timesAmongOthers>) => {
  const world = new VirtualWorld({ seed })
  const network = new SimulatedNetwork(world)
  const transport = new SimulatedNodes(world, network)
  const members = memberIds.map((nodeId) => ({ nodeId, address: addressOf(nodeId) }))
  const nodeOf = (nodeId: number) => ({ nodeId, name: `n${nodeId}`, version: "1", addresses: [], rpcAddress: addressOf(nodeId) })
  const links = Layer.merge(RpcClusterPeers.layer, MetadataRpcServer.layer)
  const member = (nodeId: number) =>
    MetadataMember.layer({
      node: { ...nodeOf(nodeId), roles: ["meta", "broker"] },
      initialMembers: members,
      contacts: members,
      ...times
    }).pipe(
      Layer.provideMerge(Layer.merge(links, RpcRaftTransport.layer())),
      Layer.provide(LocalPeer.layer({ nodeId })),
      Layer.provide(SimulatedRaftStore.layer(emptyContents(), SimulatedRaftStore.noStoreFaults(), new SeededRandom(seed, nodeId)))
    )
  const observer = ObserverMetadata.layer({
    node: { ...nodeOf(observerId), roles: ["broker"] },
    contacts: members,
    ...times
  }).pipe(Layer.provideMerge(links), Layer.provide(LocalPeer.layerObserver({ nodeId: observerId })))

  return world.run(async () => {
    const processes = [...memberIds, observerId].map((nodeId) => world.process(`node ${nodeId}`))
    const nodes = await Promise.all(
      processes.map(async (process, index) => {
        const nodeId = index + 1
        const composed = Layer.provideMerge(MetadataMember.ready, nodeId === observerId ? observer : member(nodeId))
        const layer = composed.pipe(
          Layer.provide(transport.layer(process, nodeId, addressOf(nodeId))),
          Layer.provide(PrometheusMeters.layerMemory)
        ) as Layer.Layer<Metadata, unknown>
        const started = await process.start(layer)
        if (Exit.isFailure(started)) throw new Error(`node ${nodeId} does not start: ${started.cause}`)
        return { process, metadata: Context.get(started.value, Metadata) }
      })
    )
    const read = async ({ process, metadata }: (typeof nodes)[number]) => {
      const begunMs = process.uptimeMs()
      const exit = await process.run(Effect.either(metadata.sync))
      const answer = Exit.isSuccess(exit) ? exit.value : undefined
      const said = answer?._tag === "Left" ? `${answer.left._tag}` : answer?._tag
      return { said, tookMs: process.uptimeMs() - begunMs, isStale: metadata.isStale() }
    }
    const readAll = () => Promise.all(nodes.map(read))
    const confirmed = await readAll()
    // Nobody hears anybody. At once, then when the nodes know it, and some reads later than others.
    for (const one of processes)
      network.partition(
        [one],
        processes.filter((other) => other !== one)
      )
    const cut = [readAll()]
    for (let count = 0; count < 12; count++) {
      await world.sleep(137)
      cut.push(readAll())
    }
    const unconfirmed = (await Promise.all(cut)).flat()
    network.heal()
    await world.sleep(10_000)
    return { confirmed, unconfirmed, healed: await readAll() }
  })
}

test.each([
  [1, 1_000],
  [2, 2_000],
  [10, 3_000]
])("where a change has %d s, a read that nobody confirms is answered within %d ms", async (seconds, syncMsMax) => {
  const settings = settingsWith({ "data.dir": "unused", "cluster.commandTimeoutSeconds": seconds })
  for (const seed of [1, 2]) {
    const { confirmed, unconfirmed, healed } = await simulate(seed, timesAmongOthers(settings))
    for (const one of [...confirmed, ...healed]) expect(one.said).toBe("Right")
    expect(healed.filter(({ isStale }) => isStale)).toEqual([])
    for (const one of unconfirmed) {
      expect(one.said).toBe("MetadataUnavailable")
      expect(one.tookMs).toBeLessThanOrEqual(syncMsMax + lookMs)
    }
    expect(Math.max(...unconfirmed.map(({ tookMs }) => tookMs))).toBeGreaterThan(syncMsMax / 4)
  }
})
