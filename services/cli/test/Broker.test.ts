/**
 * The whole of it as a person uses it: a broker started by the command, and every other command against it.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { once } from "node:events"
import { connect } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import type { Broker } from "./cliProcess.js"
import { launch, outcomeOf, run, said, startBroker, temporaryDirectory } from "./cliProcess.js"

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

const json = async (parameters: ReadonlyArray<string>) => {
  const outcome = await broker.run([...parameters, "--json"])
  expect(outcome).toMatchObject({ code: 0, stderr: "" })
  return JSON.parse(outcome.stdout)
}

/** Waits until the client is connected with so many subscriptions; fails where it never is. */
const subscribed = async (own: Broker, clientId: string, subscriptions = 1): Promise<void> => {
  const giveUpAt = performance.now() + 60_000
  for (;;) {
    if (performance.now() > giveUpAt) throw new Error(`client ${clientId} never had ${subscriptions} subscriptions`)
    const response = await fetch(`${own.adminUrl}/api/v1/sessions/${clientId}`)
    const session = (await response.json()) as { readonly connected?: boolean; readonly subscriptions?: number }
    if (session.connected === true && session.subscriptions === subscriptions) return
  }
}

describe("start", () => {
  it("says what listens where, where the data is and how to send a first message", () => {
    expect(broker.banner).toMatch(/EffectMQ .* serves \(node 1, ready after \d+ ms\)/)
    expect(broker.banner).toContain(`mqtt://127.0.0.1:${broker.mqttPort}`)
    expect(broker.banner).toContain(`ws://127.0.0.1:${broker.wsPort}/mqtt`)
    expect(broker.banner).toContain(join(directory.path, "data"))
    expect(broker.banner).toContain("only clients on this machine are let in")
    expect(broker.banner).toContain(`mosquitto_pub -h 127.0.0.1 -p ${broker.mqttPort}`)
  })

  it("is ready once it serves", async () => {
    expect((await fetch(`${broker.adminUrl}/health/ready`)).status).toBe(200)
    const metrics = await (await fetch(`${broker.adminUrl}/metrics`)).text()
    expect(metrics).toContain("effectmq_process_resident_memory_bytes")
  })

  it("twice on one data directory is refused with words that help", async () => {
    const data = join(directory.path, "data")
    // On the same ports too: the directory is what it is told about.
    const ports = ["--set", `admin.http.port=${new URL(broker.adminUrl).port}`, "--set", `mqtt.tcp.port=${broker.mqttPort}`]
    const second = await run(["start", "--data-dir", data, ...ports])
    expect(second).toMatchObject({ code: 1, stdout: "" })
    expect(second.stderr).toContain(`the directory ${data} is in use by process ${broker.child.pid}. Stop that broker first`)
    expect((await fetch(`${broker.adminUrl}/health/ready`)).status).toBe(200)
  })

  it("on a port that is taken is refused with words that help", async () => {
    const other = join(directory.path, "other")
    await mkdir(other)
    const flags = ["--set", "admin.http.port=0", "--set", "mqtt.ws.enabled=false", "--set", `mqtt.tcp.port=${broker.mqttPort}`]
    const second = await run(["start", "--data-dir", other, ...flags])
    expect(second).toMatchObject({ code: 1 })
    expect(second.stderr).toMatch(new RegExp(`127\\.0\\.0\\.1:${broker.mqttPort}.*taken`))
  })

  it("beyond this machine without authentication is refused with words that help", async () => {
    const refused = await run([
      ...["start", "--data-dir", join(directory.path, "third"), "--set", "admin.http.port=0"],
      ...["--set", "mqtt.tcp.host=0.0.0.0", "--set", "mqtt.tcp.port=0", "--set", "mqtt.ws.enabled=false"]
    ])
    expect(refused).toMatchObject({ code: 1 })
    for (const word of ["mqtt.tcp.host", "effectmq user add", "auth.allowAnonymous=true"]) expect(refused.stderr).toContain(word)
  })
})

describe("status", () => {
  it("tells people and scripts", async () => {
    const status = await json(["status"])
    expect(status).toMatchObject({ phase: "serving", nodeId: 1, authentication: "open" })
    expect(status.listeners.map((listener: { name: string }) => listener.name)).toEqual(["admin.http", "mqtt.tcp", "mqtt.ws"])
    expect((await broker.run(["status"])).stdout).toMatch(/^phase +serving$/m)
  })
})

describe("pub and sub", () => {
  it("a message goes from one to the other, with its properties", async () => {
    const child = launch(["sub", "-t", "a/+", "-C", "1", "--json", "-b", `mqtt://127.0.0.1:${broker.mqttPort}`, "-i", "reader"])
    const outcome = outcomeOf(child)
    await subscribed(broker, "reader")
    const properties = [
      "--property",
      "content-type=text/plain",
      "--property",
      "user.colour=red",
      "--property",
      "message-expiry=60"
    ]
    expect(await broker.run(["pub", "-t", "a/b", "-m", "hällo", "-q", "1", ...properties])).toMatchObject({ code: 0, stderr: "" })
    const { code, stdout } = await outcome
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      topic: "a/b",
      payload: "hällo",
      encoding: "utf8",
      retain: false,
      properties: { contentType: "text/plain", userProperties: { colour: "red" } }
    })
  })

  it("over WebSocket, retained, and from standard input", async () => {
    expect(await broker.run(["pub", "-t", "kept/1", "-m", "one", "-r", "-q", "2"])).toMatchObject({ code: 0 })
    const ws = ["-b", `ws://127.0.0.1:${broker.wsPort}`]
    expect(await broker.run(["pub", "-t", "kept/2", "-l", "-r", "-q", "1", ...ws], { input: "first\nsecond\n" })).toMatchObject({
      code: 0
    })
    const got = await broker.run(["sub", "-t", "kept/+", "-C", "2", "-v", ...ws])
    expect(got.code).toBe(0)
    expect(got.stdout.trim().split("\n").sort()).toEqual(["kept/1 one", "kept/2 second"])
  })

  it("sub that is left waiting says so", async () => {
    expect(await broker.run(["sub", "-t", "nothing", "-C", "1", "-W", "0.2"])).toMatchObject({ code: 1, stdout: "" })
    expect(await broker.run(["sub", "-t", "nothing", "-W", "0.2"])).toMatchObject({ code: 0 })
  })

  it("sub ends with 0 on SIGINT", async () => {
    const child = launch(["sub", "-t", "x", "-i", "ended", "-b", `mqtt://127.0.0.1:${broker.mqttPort}`])
    const outcome = outcomeOf(child)
    await subscribed(broker, "ended")
    child.kill("SIGINT")
    expect((await outcome).code).toBe(0)
  })

  it("a persistent session keeps messages for a client that is away", async () => {
    const session = ["sub", "-t", "later", "-q", "1", "-i", "away", "--session-expiry", "600"]
    await broker.run([...session, "-W", "0.3"])
    await broker.run(["pub", "-t", "later", "-m", "kept for you", "-q", "1"])
    expect(await broker.run([...session, "-C", "1"])).toMatchObject({ code: 0, stdout: "kept for you\n" })
  })
})

describe("topic", () => {
  it("is created, listed, altered and deleted", async () => {
    expect(await json(["topic", "create", "sensors", "--partitions", "2", "--mqtt-filter", "sensors/#"])).toMatchObject({
      partitions: 2
    })
    expect(await broker.run(["topic", "create", "sensors"])).toMatchObject({ code: 1, stderr: expect.stringContaining("exists") })
    expect((await broker.run(["topic", "list"])).stdout).toMatch(/^sensors +file +2 +delete +fsync +sensors\/#$/m)
    for (const topic of ["sensors/a", "sensors/b", "other"]) {
      expect(await broker.run(["pub", "-t", topic, "-m", `of ${topic}`, "-q", "1"])).toMatchObject({ code: 0 })
    }
    const held = await json(["topic", "show", "sensors"])
    expect(
      held.partitionList.map((each: { endOffset: number }) => each.endOffset).reduce((sum: number, end: number) => sum + end)
    ).toBe(2)
    expect((await broker.run(["topic", "show", "sensors"])).stdout).toMatch(
      /^PARTITION +START OFFSET +END OFFSET +BYTES\n0 +0 +/m
    )
    const read = await json(["topic", "read", "sensors"])
    expect(read.map((each: { key: string; payload: string }) => [each.key, each.payload]).sort()).toEqual([
      ["sensors/a", "of sensors/a"],
      ["sensors/b", "of sensors/b"]
    ])
    expect((await broker.run(["topic", "read", "sensors", "--count", "5"])).stdout).toMatch(
      /^\d +0 +\S+ \S+ +sensors\/b +of sensors\/b$/m
    )
    expect(await broker.run(["topic", "read", "sensors", "--partition", "2"])).toMatchObject({ code: 2 })
    expect(await json(["topic", "alter", "sensors", "--retention-ms", "1000"])).toMatchObject({ retentionMs: 1000 })
    expect((await json(["topic", "alter", "sensors", "--retention-ms", "none"])).retentionMs).toBeUndefined()
    expect(await broker.run(["topic", "alter", "sensors", "--retention-ms", "soon"])).toMatchObject({ code: 2 })
    expect(await broker.run(["topic", "delete", "sensors"])).toMatchObject({ code: 0 })
    expect(await broker.run(["topic", "show", "sensors"])).toMatchObject({ code: 1 })
  })
})

describe("session", () => {
  it("is listed, shown, kicked and deleted", async () => {
    const child = launch([
      "sub",
      "-t",
      "k",
      "-q",
      "1",
      "-i",
      "kicked",
      "--session-expiry",
      "600",
      "-b",
      `mqtt://127.0.0.1:${broker.mqttPort}`
    ])
    const outcome = outcomeOf(child)
    await subscribed(broker, "kicked")
    expect((await broker.run(["session", "show", "kicked"])).stdout).toMatch(/^k +1 +no +no +-$/m)
    expect((await broker.run(["session", "list", "--prefix", "kick"])).stdout).toMatch(
      /^kicked +- +yes +127\.0\.0\.1 +5\.0 +600 s/m
    )
    expect(await broker.run(["session", "kick", "kicked"])).toMatchObject({ code: 0 })
    expect((await outcome).code).toBe(1)
    expect(await broker.run(["session", "kick", "kicked"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("not connected")
    })
    expect(await broker.run(["session", "delete", "kicked"])).toMatchObject({ code: 0 })
    expect(await broker.run(["session", "show", "kicked"])).toMatchObject({ code: 1 })
  })
})

describe("ban", () => {
  it("keeps a client out until it is taken away", async () => {
    expect(await broker.run(["ban", "add", "clientId", "loud", "--for", "600", "--reason", "noise"])).toMatchObject({ code: 0 })
    expect((await broker.run(["ban", "list"])).stdout).toMatch(/^clientId +loud .* admin +noise$/m)
    expect((await broker.run(["pub", "-t", "a", "-m", "b", "-i", "loud"])).code).toBe(1)
    expect(await broker.run(["ban", "delete", "clientId", "loud"])).toMatchObject({ code: 0 })
    expect((await broker.run(["pub", "-t", "a", "-m", "b", "-i", "loud"])).code).toBe(0)
  })
})

describe("user and acl", () => {
  const alice = ["-u", "alice", "-P", "s3cret"]
  let data = ""
  let own: Broker
  beforeAll(async () => {
    data = join(directory.path, "closed")
    own = await startBroker(data)
  })
  afterAll(() => own?.stop("SIGKILL"))

  it("the first user closes the broker", async () => {
    expect((await own.run(["pub", "-t", "a", "-m", "b"])).code).toBe(0)
    const added = await own.run(["user", "add", "alice", "--password-stdin"], { input: "s3cret\n" })
    expect(added).toMatchObject({ code: 0, stdout: expect.stringMatching(/User alice is added\.\nIt is the first one/) })
    expect((await own.run(["status"])).stdout).toContain("user name and password")
    expect(await own.run(["user", "add", "alice", "--password", "x"])).toMatchObject({ code: 1 })
    expect(await own.run(["pub", "-t", "a", "-m", "b"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/not authorized/i)
    })
    expect((await own.run(["pub", "-t", "a", "-m", "b", "-u", "alice", "-P", "wrong"])).code).toBe(1)
    expect((await own.run(["pub", "-t", "a", "-m", "b", "-r", "-q", "1", ...alice])).code).toBe(0)
  })

  it("rules hold", async () => {
    expect((await own.run(["acl", "add", "deny", "publish", "secret/#", "--user", "alice"])).code).toBe(0)
    expect(await own.run(["pub", "-t", "secret/1", "-m", "b", "-q", "1", ...alice])).toMatchObject({ code: 1 })
    expect((await own.run(["acl", "list"])).stdout).toMatch(/deny +publish +secret\/# .*user alice/)
  })

  it("a restart keeps user, rule and retained message, and then listens on every address", async () => {
    expect(await own.stop()).toBe(0)
    own = await startBroker(data, ["--set", "mqtt.ws.enabled=false"])
    expect(own.banner).toContain(`mqtt://0.0.0.0:${own.mqttPort}`)
    expect(own.banner).toContain("-u USER -P PASSWORD")
    expect((await own.run(["pub", "-t", "a", "-m", "b"])).code).toBe(1)
    expect(await own.run(["sub", "-t", "a", "-C", "1", ...alice])).toMatchObject({ code: 0, stdout: "b\n" })
    expect(await own.run(["pub", "-t", "secret/1", "-m", "b", "-q", "1", ...alice])).toMatchObject({ code: 1 })
  })

  it("a password can be changed, a user deleted, and the default of the rules set", async () => {
    expect((await own.run(["user", "passwd", "alice", "--password", "new"])).code).toBe(0)
    expect((await own.run(["pub", "-t", "a", "-m", "b", ...alice])).code).toBe(1)
    expect((await own.run(["pub", "-t", "a", "-m", "b", "-u", "alice", "-P", "new"])).code).toBe(0)
    expect((await own.run(["acl", "default", "deny"])).stdout).toContain("deny")
    expect((await own.run(["user", "delete", "alice"])).code).toBe(0)
    expect((await own.run(["user", "list"])).stdout.trim().split("\n")).toHaveLength(1)
  })
})

describe("config", () => {
  it("changes the running broker", async () => {
    const wrong = await broker.run(["config", "set", "mqtt.tcp.port", "1"])
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("needs a restart: set it in the file") })
    expect((await broker.run(["config", "set", "log.level", "debug"])).stdout).toBe("log.level is debug in the whole cluster.\n")
    const told = said(broker.child, /"level":"debug","message":"protocol error"/)
    // A PINGREQ where CONNECT must come.
    connect(broker.mqttPort, "127.0.0.1")
      .on("error", () => {})
      .write(Buffer.from([0xc0, 0]))
    await told
    const shown = await broker.run(["config", "show", "--running", "log.level"])
    expect(shown.stdout).toMatch(/^value +debug\nunit +-\nsource +dynamic\nstarted with +info \(default\)$/m)
    const unset = await broker.run(["config", "unset", "log.level", "--json"])
    expect(JSON.parse(unset.stdout)).toMatchObject({ key: "log.level", value: "info", source: "default", dynamic: true })
  })
})

describe("stopping", () => {
  it("SIGTERM and SIGINT stop cleanly with 0, and say goodbye to clients", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const own = await startBroker(join(directory.path, signal))
      const child = launch(["sub", "-t", "x", "-i", "there", "-b", `mqtt://127.0.0.1:${own.mqttPort}`])
      const outcome = outcomeOf(child)
      await subscribed(own, "there")
      expect(await own.stop(signal)).toBe(0)
      // 139: the server is shutting down.
      expect(await outcome).toMatchObject({ code: 1, stderr: expect.stringContaining("139") })
    }
  })

  it("the admin token is wanted where it is set", async () => {
    const file = join(directory.path, "token.yaml")
    await writeFile(file, "admin.token: hush\n")
    const own = await startBroker(join(directory.path, "token"), ["--config", file])
    try {
      expect(await own.run(["status"])).toMatchObject({ code: 1, stderr: expect.stringContaining("admin.token") })
      expect(await own.run(["status", "--token", "hush"])).toMatchObject({ code: 0 })
      expect(await own.run(["status"], { environment: { EFFECTMQ_ADMIN_TOKEN: "hush" } })).toMatchObject({ code: 0 })
      const shown = await own.run(["config", "show", "--running", "--token", "hush"])
      expect(shown.stdout).toMatch(/^admin\.token +\*+ /m)
    } finally {
      await own.stop("SIGKILL")
    }
  })

  it("a second signal does not wait for clients that do not go", async () => {
    const own = await startBroker(join(directory.path, "twice"))
    const socket = connect(own.mqttPort, "127.0.0.1")
    socket.on("error", () => {})
    await once(socket, "connect")
    // CONNECT of a client that then answers nothing, and keeps its half of the connection open.
    socket.write(Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 1, 0x61]))
    await once(socket, "data")
    const ended = new Promise<number | null>((resolve) => own.child.on("exit", (code) => resolve(code)))
    while (own.child.exitCode === null && own.child.signalCode === null) {
      own.child.kill("SIGTERM")
      await fetch(`${own.adminUrl}/health/live`).catch(() => undefined)
    }
    socket.destroy()
    // Clean where the client went in time, else at once.
    expect([0, 1]).toContain(await ended)
  })
})
