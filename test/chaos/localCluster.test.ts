/**
 * `effectmq cluster local` as somebody who tries it out uses it: a node is killed, all are stopped and started again. Its ports are fixed,
 * so that it runs in a network namespace.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { NodeNetworks } from "../support/NodeNetworks.js"
import { Tool } from "../support/Tool.js"
import { until } from "../support/Until.js"

const bin = fileURLToPath(new URL("../../services/cli/bin/effectmq.js", import.meta.url))

describe.runIf(NodeNetworks.isPermitted("effectmq cluster local"))("effectmq cluster local", () => {
  let networks: NodeNetworks | undefined
  const folder = mkdtempSync(join(tmpdir(), "effectmq-local-"))
  afterEach(() => {
    networks?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  it("goes on when a node is killed, stops all in order, and has them back", { timeout: 240_000 }, async () => {
    const net = NodeNetworks.create(1)
    networks = net
    const [enter = "", ...entered] = net.placeOf(1).enter
    const effectmq = (...args: ReadonlyArray<string>) => new Tool(enter, [...entered, process.execPath, bin, ...args])
    const local = () => effectmq("cluster", "local", "--data-dir", folder)
    const serve = (tool: Tool) =>
      until(
        () => tool.stdout.split(" serves (node ").length === 4,
        () => tool.stdout + tool.stderr,
        90_000
      )
    const users = async (adminPort: number) => {
      const tool = effectmq("user", "list", "--json", "--admin", `http://127.0.0.1:${adminPort}`)
      expect(await tool.exited, tool.stderr).toBe(0)
      return (JSON.parse(tool.stdout) as ReadonlyArray<{ readonly name: string }>).map(({ name }) => name)
    }

    const first = local()
    await serve(first)
    process.kill(Number(readFileSync(join(folder, "node-2", "lock.owner"), "utf8")), "SIGKILL")
    await first.says(/node 2 was killed \(SIGKILL\); the others go on/)
    const added = effectmq("user", "add", "alice", "--password", "secret", "--admin", "http://127.0.0.1:9664")
    expect(await added.exited, added.stderr).toBe(0)
    first.kill("SIGINT")
    expect(await first.exited).toBe(0)
    expect(first.stderr.split('"message":"stopped"')).toHaveLength(3)

    const second = local()
    await serve(second)
    for (const adminPort of [9644, 9654, 9664]) expect(await users(adminPort)).toEqual(["alice"])
    const third = local()
    expect(await third.exited).toBe(1)
    expect(third.stderr).toMatch(/node [123] ended \(exit code 1\); the others are stopped/)
    expect(await users(9654)).toEqual(["alice"])
    second.kill("SIGINT")
    expect(await second.exited).toBe(0)
  })
})
