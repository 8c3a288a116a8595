/**
 * What the command says and answers without a broker.
 */
import { spawn } from "node:child_process"
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { outcomeOf, run } from "./cliProcess.js"

vi.setConfig({ testTimeout: 120_000 })

let directory = ""
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "effectmq-usage-"))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const file = async (name: string, text: string): Promise<string> => {
  const path = join(directory, name)
  await writeFile(path, text)
  return path
}

describe("a clone", () => {
  it("that is not compiled says what to run", async () => {
    const bin = join(directory, "services", "cli", "bin")
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, "package.json"), '{"type":"module"}')
    await copyFile(new URL("../bin/effectmq.js", import.meta.url), join(bin, "effectmq.js"))
    const child = spawn(process.execPath, [join(bin, "effectmq.js"), "cluster", "local"])
    expect(await outcomeOf(child)).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("npm run build") })
  })
})

describe("config", () => {
  it("shows every key with value and source, flags over environment over file", async () => {
    const path = await file("a.yaml", "mqtt:\n  tcp.port: 1\n  ws:\n    port: 2\n  tls.port: 3\n")
    const environment = { EFFECTMQ_MQTT_WS_PORT: "20", EFFECTMQ_MQTT_TLS_PORT: "30" }
    const shown = await run(["config", "show", "--json", "--config", path, "--set", "mqtt.tls.port=300"], { environment })
    expect(shown.code).toBe(0)
    const entries = JSON.parse(shown.stdout) as Array<{ key: string; value: unknown; source: string; environment: string }>
    const of = (key: string) => entries.find((entry) => entry.key === key)
    expect(of("mqtt.tcp.port")).toMatchObject({ value: 1, source: `file ${path}` })
    expect(of("mqtt.ws.port")).toMatchObject({ value: 20, source: "environment variable EFFECTMQ_MQTT_WS_PORT" })
    expect(of("mqtt.tls.port")).toMatchObject({ value: 300, source: "flag --set mqtt.tls.port" })
    expect(of("mqtt.wss.port")).toMatchObject({ value: 8085, source: "default", environment: "EFFECTMQ_MQTT_WSS_PORT" })
    const table = await run(["config", "show", "--config", path])
    expect(table.stdout).toMatch(/^mqtt\.tcp\.port +1 +file /m)
  })

  it("takes JSON, and the file that EFFECTMQ_CONFIG names", async () => {
    const path = await file("a.json", '{"node": {"name": "alpha"}}')
    const shown = await run(["config", "show"], { environment: { EFFECTMQ_CONFIG: path } })
    expect(shown.stdout).toMatch(/^node\.name +alpha /m)
  })

  it("names key, source, value and what was expected, and answers 2", async () => {
    const path = await file("wrong.yaml", "mqtt:\n  tcp:\n    prot: 1883\nlog.level: loud\n")
    const wrong = await run(["config", "validate", "--config", path, "--set", "node.id=zero"])
    expect(wrong.code).toBe(2)
    expect(wrong.stdout).toBe("")
    expect(wrong.stderr).toContain(`mqtt.tcp.prot = 1883 (file ${path}): expected a known key; did you mean mqtt.tcp.port?`)
    expect(wrong.stderr).toContain(`log.level = "loud" (file ${path}): expected one of trace, debug, info, warn, error`)
    expect(wrong.stderr).toContain('node.id = "zero" (flag --set node.id): expected a whole number')
  })

  it("says where a file is no YAML, or not there", async () => {
    const path = await file("broken.yaml", "mqtt: [1\n")
    expect(await run(["config", "validate", "--config", path])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("line 2")
    })
    const absent = await run(["config", "validate", "--config", join(directory, "absent.yaml")])
    expect(absent).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("absent.yaml cannot be read: there is no such file")
    })
  })

  it("a wrong configuration does not start", async () => {
    const wrong = await run(["start", "--set", "mqtt.tcp.port=70000"])
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("mqtt.tcp.port = 70000") })
  })
})

describe("exit codes", () => {
  it("2 for wrong usage", async () => {
    for (const parameters of [
      ["frobnicate"],
      ["topic", "create"],
      ["pub", "-t", "a"],
      ["sub", "-t", "a", "-q", "7"],
      ["user", "add", "a"]
    ]) {
      expect(await run([...parameters, ...(parameters[0] === "user" ? ["--admin", "http://127.0.0.1:1"] : [])])).toMatchObject({
        code: parameters[0] === "user" ? 3 : 2
      })
    }
  })

  it("3 where no broker answers", async () => {
    expect(await run(["status", "--admin", "http://127.0.0.1:1"])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("no broker answers at http://127.0.0.1:1")
    })
    expect(await run(["pub", "-t", "a", "-m", "b", "--broker", "mqtt://127.0.0.1:1"])).toMatchObject({ code: 3 })
  })

  it("1 where the broker refuses, with its words", async () => {
    const server = createServer((_, response) => {
      response.writeHead(409, { "content-type": "application/json" }).end('{"error":"TopicExists","message":"it is there"}')
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    try {
      const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const refused = await run(["topic", "create", "a", "--admin", admin])
      expect(refused).toMatchObject({ code: 1, stdout: "", stderr: "effectmq: it is there\n" })
    } finally {
      server.close()
    }
  })

  it("wrong usage is told plainly, with where to read more", async () => {
    expect(await run(["topic", "creat", "x"])).toMatchObject({
      code: 2,
      stdout: "",
      stderr: "effectmq: effectmq topic has no command creat; it has alter, create, delete, list, read, show\n"
    })
    expect(await run(["pub"])).toMatchObject({
      code: 2,
      stdout: "",
      stderr: "effectmq: Expected to find option: '--topic'\nSee effectmq pub --help\n"
    })
    for (const [parameters, words] of [
      [["sub", "-t", "a/#/b"], "--topic a/#/b: expected a filter"],
      [["sub", "-t", "a", "-t", "b+"], "--topic b+: expected a filter"],
      [["sub", "-t", "a", "-C", "0"], "--count 0: expected 1 or more"],
      [["ban", "add", "user", "bob", "--for", "0"], "--for 0: expected 1 or more"],
      [["user", "delete", ""], "a name may not be empty"],
      [["user", "add", "shop:alice"], "a user's name has 1 to 256 characters, none of them a colon"],
      [["user", "add", "alice", "--password", "a", "--password-stdin"], "not both"],
      [["start", "--data-dir"], "effectmq: --data-dir wants a value\nSee effectmq start --help"],
      [["status", "--tenant", "shop"], "unknown argument: '--tenant'"],
      [["config", "validate", "--set", "mqtt.tcp.port"], "expected key=value"],
      [["config", "validate", "--set", "no value"], "expected key=value"]
    ] as const) {
      expect(await run(parameters)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(words) })
    }
    const wildcard = await run(["pub", "-t", "a/#", "-m", "x"])
    expect(wildcard).toMatchObject({ code: 2, stderr: expect.stringContaining("a topic without wildcards") })
  })

  it("help fits a terminal, and tells of every command and option", async () => {
    const root = await run([])
    expect(root).toMatchObject({ code: 0, stderr: "" })
    for (const command of ["start", "status", "pub", "sub", "topic", "user", "acl", "ban", "session", "config"]) {
      expect(root.stdout).toMatch(new RegExp(`^  ${command} +\\S`, "m"))
    }
    const add = await run(["acl", "add", "--help"])
    expect(add.stdout).toContain("Usage: effectmq acl add <allow|deny> <publish|subscribe|all> <filter> [options]\n")
    expect(add.stdout).toMatch(/^ {6}--client-id text +only for this client id$/m)
    expect((await run(["sub", "--help"])).stdout).toMatch(/^ {2}-t, --topic text\.\.\. +filter to subscribe to \(repeatable\)$/m)
    const widths = [root.stdout, add.stdout, (await run(["pub", "-h"])).stdout].flatMap((text) => text.split("\n"))
    expect(Math.max(...widths.map((line) => line.length))).toBeLessThanOrEqual(112)
  })

  it("0 for help and version", async () => {
    expect(await run(["--version"])).toMatchObject({ code: 0, stdout: expect.stringContaining("0.2.0") })
    expect(await run(["start", "--help"])).toMatchObject({ code: 0, stdout: expect.stringContaining("--data-dir") })
  })
})
