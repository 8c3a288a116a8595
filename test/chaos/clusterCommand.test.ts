/**
 * `effectmq cluster` as an operator uses it, on real processes: nodes are taken in, replaced and taken out while the others serve, and a
 * new cluster begins with the metadata of an old one.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ClusterStatus } from "@effectmq/schemas/admin/Cluster"
import * as Schema from "effect/Schema"
import { afterEach, describe, expect, it } from "vitest"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { until } from "../support/Until.js"

describe("effectmq cluster", () => {
  let cluster: ClusterProcesses | undefined
  let restored: BrokerProcess | undefined
  const folder = mkdtempSync(join(tmpdir(), "effectmq-export-"))
  afterEach(async () => {
    await restored?.remove()
    await cluster?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  it("shows, takes in, replaces, hands over, exports and restores", { timeout: 240_000 }, async () => {
    const nodes = await ClusterProcesses.start({ nodes: 3 })
    cluster = nodes
    const told = async (nodeId: number, ...args: ReadonlyArray<string>) => {
      const outcome = await nodes.node(nodeId).command(...args)
      expect(outcome, `${args.join(" ")}: ${outcome.stderr}`).toMatchObject({ code: 0 })
      return outcome.stdout
    }
    const users = async (nodeId: number) =>
      (JSON.parse(await told(nodeId, "user", "list", "--json")) as ReadonlyArray<{ readonly name: string }>).map(
        ({ name }) => name
      )
    const parts = async () => {
      const status = await nodes.status(await nodes.leader([1, 3]))
      return Object.fromEntries(status?.nodes.map(({ nodeId, part }) => [nodeId, part]) ?? [])
    }

    await told(1, "user", "add", "alice", "--password", "secret")
    for (const nodeId of nodes.nodeIds) expect(await users(nodeId)).toEqual(["alice"])
    const table = await told(2, "cluster", "status")
    expect(table).toMatch(/leader +node [123]/)
    for (const nodeId of nodes.nodeIds)
      expect(table).toMatch(new RegExp(`^${nodeId} +node-${nodeId} .* voter +(leader|follower) +alive`, "m"))

    const shown = JSON.parse(await told(2, "cluster", "status", "--json")) as ClusterStatus
    expect(shown.nodes.map(({ report }) => report?.standing)).toEqual(["alive", "alive", "alive"])
    expect(Schema.encodeSync(ClusterStatus)(shown)).toEqual(shown)

    // An observer has the same and takes changes.
    await nodes.prepareGuest(9, { "cluster.observer": true })
    await nodes.node(9).start()
    await told(9, "user", "add", "bob", "--password", "secret")
    expect(await users(9)).toEqual(["alice", "bob"])
    expect(await users(3)).toEqual(["alice", "bob"])

    // A dead node is replaced by a fresh one.
    await told(1, "cluster", "transfer", "1")
    expect((await nodes.status(1))?.leaderId).toBe(1)
    await nodes.node(2).kill9()
    const address = await nodes.prepareGuest(4, { "cluster.join": true })
    const starting = nodes.node(4).start()
    await told(1, "cluster", "replace", "2", "4", address)
    await starting
    await until(
      async () => JSON.stringify(await parts()) === JSON.stringify({ 1: "voter", 3: "voter", 4: "voter", 9: "observer" }),
      "node 4 votes"
    )
    await told(4, "user", "add", "carol", "--password", "secret")
    expect(await users(3)).toEqual(["alice", "bob", "carol"])

    // The one that was taken out is not let in with what it has.
    const again = await nodes.node(1).command("cluster", "remove", "2")
    expect(again.code).toBe(1)

    // Two of three go on.
    await nodes.node(3).kill9()
    await told(4, "user", "delete", "bob")
    await nodes.node(3).start()
    await until(async () => (await users(3)).join() === "alice,carol", "node 3 has caught up")

    expect(await told(1, "cluster", "snapshot")).toContain("has a snapshot of everything up to entry")
    const file = join(folder, "metadata.snapshot")
    await told(1, "cluster", "export", "--file", file)
    restored = await BrokerProcess.prepare({ settings: { "log.level": "warn" } })
    const restoring = await restored.command("cluster", "restore", "--file", file, "--data-dir", restored.dataDir)
    expect(restoring).toMatchObject({ code: 0, stdout: expect.stringMatching(/2 users.* for a cluster of node 1 alone/) })
    const twice = await restored.command("cluster", "restore", "--file", file, "--data-dir", restored.dataDir)
    expect(twice).toMatchObject({ code: 1, stderr: expect.stringContaining("give an empty one") })
    const three = ["--set", "cluster.nodes=1@127.0.0.1:1,2@127.0.0.1:2,3@127.0.0.1:3"]
    const restoreInto = (name: string, ...settings: ReadonlyArray<string>) =>
      nodes.node(1).command("cluster", "restore", "--file", file, "--data-dir", join(folder, name), ...settings)
    const ofThree = expect.stringContaining("for a cluster of the nodes 1, 2, 3: each of them needs the same restore")
    expect(await restoreInto("first", ...three)).toMatchObject({ code: 0, stdout: ofThree })
    const joining = expect.stringContaining("gets the metadata from the others")
    expect(await restoreInto("late", ...three, "--set", "cluster.join=true")).toMatchObject({ code: 1, stderr: joining })
    await restored.start()
    const listed = await restored.command("user", "list", "--json")
    expect((JSON.parse(listed.stdout) as ReadonlyArray<{ readonly name: string }>).map(({ name }) => name)).toEqual([
      "alice",
      "carol"
    ])
  })
})
