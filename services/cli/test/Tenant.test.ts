/**
 * Tenants as a person uses them: made by the command, and connected to by user name.
 */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import type { Broker } from "./cliProcess.js"
import { run, startBroker, temporaryDirectory } from "./cliProcess.js"

// Each command is a process of its own, and there are many.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

let directory: Awaited<ReturnType<typeof temporaryDirectory>>
let broker: Broker

beforeAll(async () => {
  directory = await temporaryDirectory()
  broker = await startBroker(join(directory.path, "data"))
})

afterAll(async () => {
  await broker?.stop("SIGKILL")
  await directory?.remove()
})

describe("tenant", () => {
  it("wrong usage is told before any broker is asked", async () => {
    const nowhere = ["--admin", "http://127.0.0.1:1"]
    expect((await run(["tenant", "create"])).code).toBe(2)
    expect(await run(["tenant", "alter", "shop", "--connections-max", "many", ...nowhere])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--connections-max: expected a whole number or none, got many")
    })
    expect((await run(["tenant", "list", "--tenant", "shop", ...nowhere])).code).toBe(2)
    expect((await run(["tenant", "list", ...nowhere])).code).toBe(3)
  })

  it("is made, listed, altered and deleted", async () => {
    const made = await broker.run(["tenant", "create", "shop", "--connections-max", "5", "--messages-per-second-max", "100"])
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining("Tenant shop is made") })
    expect(await broker.run(["tenant", "create", "shop"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("exists already")
    })
    expect((await broker.run(["tenant", "list"])).stdout).toMatch(/^shop +5 +- +100 +- +\d{4}-/m)
    const altered = await broker.run(["tenant", "alter", "shop", "--connections-max", "none", "--json"])
    expect(JSON.parse(altered.stdout)).toMatchObject({ name: "shop", publishMessagesPerSecondMax: 100 })
    expect(altered.stdout).not.toContain("connectionsMax")
    expect((await broker.run(["tenant", "alter", "absent"])).code).toBe(1)
    expect((await broker.run(["tenant", "delete", "shop"])).code).toBe(0)
    expect(await broker.run(["tenant", "delete", "default"])).toMatchObject({ code: 1 })
  })

  it("its users connect by their name behind the tenant's, and see nothing of others", async () => {
    const here = ["-u", "ann", "-P", "one"]
    const there = ["-u", "shop:ann", "-P", "two"]
    expect((await broker.run(["tenant", "create", "shop"])).code).toBe(0)
    await broker.run(["user", "add", "ann", "--password", "one"])
    expect((await broker.run(["user", "add", "ann", "--tenant", "shop", "--password", "two"])).code).toBe(0)
    expect((await broker.run(["pub", "-t", "a", "-m", "of default", "-r", ...here])).code).toBe(0)
    expect((await broker.run(["pub", "-t", "b", "-m", "of shop", "-r", ...there])).code).toBe(0)
    expect((await broker.run(["sub", "-t", "#", "-C", "1", ...there])).stdout).toBe("of shop\n")
    expect((await broker.run(["sub", "-t", "#", "-C", "1", ...here])).stdout).toBe("of default\n")
    expect(await broker.run(["pub", "-t", "a", "-m", "b", "-u", "shpo:ann", "-P", "two"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no such tenant|not authorized/i)
    })
    expect(await broker.run(["tenant", "delete", "shop"])).toMatchObject({ code: 1, stderr: expect.stringContaining("users") })
  })
})
