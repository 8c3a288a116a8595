/** What a node says it belongs to, from the moment its store is open. */
import { emptyContents, layerOver, type MemoryContents } from "@effectmq/raft/MemoryRaftStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, expect, it } from "vitest"
import { Belonging } from "../src/Belonging.js"
import { Metadata, type MetadataService } from "../src/Metadata.js"
import { command, tenant } from "./commands.js"
import { MemoryCluster, memberOf, until } from "./support/MemoryCluster.js"

const clusters: Array<MemoryCluster> = []
afterEach(async () => {
  for (const one of clusters.splice(0)) await one.stopAll()
})

/** Before any metadata are there. */
const firstSaid = async (contents: MemoryContents) => {
  const belonging = new Belonging()
  const first = Layer.provide(belonging.layerFirst([memberOf(1), memberOf(2)]), layerOver(contents))
  await Effect.runPromise(Effect.scoped(Layer.build(first)))
  return belonging
}

const clusterOfOne = async (options: ConstructorParameters<typeof MemoryCluster>[1] = {}) => {
  const cluster = new MemoryCluster([1], { clusterId: "cluster-a", ...options })
  clusters.push(cluster)
  const [node] = await cluster.startAll()
  if (node === undefined) throw new Error("no node was started")
  return { cluster, node, contents: cluster.contentsOf(1) }
}

it("is the list it is started with while its store is empty", async () => {
  const said = (await firstSaid(emptyContents())).now()
  expect(said.clusterId).toBeUndefined()
  expect(said.firstMembers).toMatch(/^[0-9a-f]{16}$/)
})

it("is its cluster from the log, as far as that is committed", async () => {
  const { cluster, contents, node } = await clusterOfOne()
  const made = contents.entries.find((entry) => entry.kind === "command" && Buffer.from(entry.data).includes("ClusterCreated"))
  if (made === undefined) throw new Error("the cluster was not made")
  // What is known to be committed is written with the next entry.
  await Effect.runPromise(node.controller.submit(command("CreateTopic", { tenant, name: "a" })))
  await until(() => contents.hardState.commitIndex >= made.index)
  await cluster.stopAll()
  const belonging = await firstSaid(contents)
  expect(belonging.now().clusterId).toBe("cluster-a")
  const before = { ...contents, hardState: { ...contents.hardState, commitIndex: made.index - 1 } }
  expect((await firstSaid(before)).now().clusterId).toBeUndefined()
})

it.each([7, 1 << 16])(
  "is its cluster where the log was cut behind a snapshot in chunks of %d bytes",
  async (snapshotChunkBytesMax) => {
    const { cluster, contents, node } = await clusterOfOne({ raft: { keptEntries: 0, snapshotChunkBytesMax } })
    await Effect.runPromise(node.controller.submit(command("CreateTopic", { tenant, name: "a" })))
    await Effect.runPromise(node.control.takeSnapshot)
    await until(() => contents.firstIndex > 1 && contents.entries.length === 0)
    await cluster.stopAll()
    const belonging = await firstSaid(contents)
    expect(belonging.now()).toEqual({ clusterId: "cluster-a", firstMembers: undefined })
    // The metadata are there and have applied nothing yet.
    const metadata = { image: () => ({}) } as unknown as MetadataService
    await Effect.runPromise(Effect.scoped(Layer.build(Layer.provide(belonging.layerCluster, Layer.succeed(Metadata, metadata)))))
    expect(belonging.now().clusterId).toBe("cluster-a")
  }
)

it("is not known where the snapshot cannot be read, which its member finds", async () => {
  const { cluster, contents, node } = await clusterOfOne({ raft: { keptEntries: 0 } })
  await Effect.runPromise(node.control.takeSnapshot)
  await until(() => contents.entries.length === 0)
  await cluster.stopAll()
  const damaged = { ...contents, chunks: [Buffer.from("{\n{\n")] }
  expect((await firstSaid(damaged)).now().clusterId).toBeUndefined()
})
