/**
 * Strangers at the port between the nodes of a real cluster for a bounded time: noise, mutated bytes of real nodes, handshakes said
 * again, wrong secrets, frames too large, bytes one at a time, connections that say nothing, floods of them. None is let in, the node
 * stays up in bounded memory and says in few lines what it refused and why, and the cluster serves meanwhile.
 *
 * EFFECTMQ_FUZZ_CLUSTER_SECONDS: how long (8). EFFECTMQ_CHAOS_SEED: repeats the bytes of a run.
 */
import { checkLinearizability } from "@effectmq/testing/Linearizability"
import { registerModel } from "@effectmq/testing/RegisterModel"
import { afterEach, describe, expect, it } from "vitest"
import { ClusterProcesses } from "../support/ClusterProcesses.js"
import { until } from "../support/Until.js"
import { frameOf, framesIn, introduce, type Visit, visit } from "./NodeStranger.js"
import { randomFrom } from "./Random.js"
import { RegisterClient, RegisterHistory } from "./RegisterClient.js"

const seconds = Number(process.env.EFFECTMQ_FUZZ_CLUSTER_SECONDS ?? 8)
const seed = Number(process.env.EFFECTMQ_CHAOS_SEED ?? Date.now() % 1_000_000)
const strangers = 12
const secret = "what only the nodes of this test know"
const target = 1
const residentGrowthBytesMax = 250 * 1024 * 1024
/** Of a burst, then one in five seconds. */
const refusalLinesMax = 20 + Math.ceil(seconds / 5) + 20
const capturedBytesMax = 32 * 1024

describe("strangers at the port between nodes", () => {
  let cluster: ClusterProcesses | undefined
  afterEach(async () => {
    await cluster?.remove()
  })

  it(`are not let in and disturb nobody for ${seconds} s (seed ${seed})`, { timeout: 120_000 + seconds * 1000 }, async () => {
    const random = randomFrom(seed)
    const captured = new Map<object, Buffer>()
    const nodes = await ClusterProcesses.start({
      nodes: 3,
      settings: { "cluster.secret": secret, "cluster.commandTimeoutSeconds": 5 },
      onCallerBytes: (link, to, chunk) => {
        const known = captured.get(link) ?? Buffer.alloc(0)
        if (to === target && known.length < capturedBytesMax) captured.set(link, Buffer.concat([known, chunk]))
      }
    })
    cluster = nodes
    await nodes.leader()
    const { pid } = nodes.node(target)
    const port = nodes.rpcPort(target)
    const history = new RegisterHistory()
    const clients = [1, 2].map(() => new RegisterClient(nodes, history, nodes.nodeIds, ["a", "b", "c"], random))
    /** What real nodes said, whole from the hello on. */
    const talks = () => [...captured.values()].filter((bytes) => framesIn(bytes).length >= 2)
    await until(() => talks().length >= 2, "nodes have spoken with the target")

    const noise = (length: number) => Buffer.from(Array.from({ length }, () => random(256)))
    const talk = (): Buffer => talks()[random(talks().length)] as Buffer
    const mutated = (bytes: Buffer): Buffer => {
      const at = random(Math.min(bytes.length, 400))
      const changed = Buffer.from(bytes)
      switch (random(4)) {
        case 0:
          changed[at] = (changed[at] as number) ^ (1 << random(8))
          return changed
        case 1:
          return changed.subarray(0, at)
        case 2:
          return Buffer.concat([changed.subarray(0, at), noise(1 + random(40)), changed.subarray(at)])
        default:
          return changed.fill(random(256), at, Math.min(changed.length, at + 1 + random(8)))
      }
    }
    const say = (...parts: ReadonlyArray<Buffer>) =>
      visit(port, 500, (socket) => {
        for (const part of parts) socket.write(part)
        if (random(2) === 0) socket.end()
      })
    const huge = Buffer.alloc(4)
    huge.writeUInt32BE(257 + random(0x7fff_ffff))
    const as = (from: number, guess: string) => ({
      from,
      to: target,
      channel: random(2) === 0 ? "raft/1" : "metadata/1",
      secret: guess
    })
    const kinds: ReadonlyArray<() => Promise<Visit>> = [
      () => say(noise(1 + random(3_000))),
      () => say(mutated(talk())),
      () => say(mutated(talk()), talk()),
      // A whole talk once more: its proof answered another challenge.
      () => say(talk()),
      () =>
        visit(port, 500, (socket, heard) => {
          const [hello, ...rest] = framesIn(talk()) as [Buffer, ...Array<Buffer>]
          socket.write(frameOf(hello))
          heard((_, index) => index === 0 && socket.write(Buffer.concat(rest.map(frameOf))))
        }),
      () => introduce(port, 500, as(2 + random(3), ["", "secret", `${secret} `][random(3)] as string), [talk()]),
      () => say(huge, noise(500)),
      () => say(talk().subarray(0, 60), huge),
      // Says nothing, or a part of its hello.
      () => visit(port, 200 + random(1_500), (socket) => socket.write(talk().subarray(0, random(40)))),
      () =>
        visit(port, 1_500, (socket) => {
          const bytes = talk()
          let at = 0
          const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), 20)
          socket.on("close", () => clearInterval(timer))
        }),
      async () => {
        const crowd = Array.from({ length: 100 }, () => visit(port, 300, () => undefined))
        return ((await Promise.all(crowd)).find(({ welcomed }) => welcomed) ?? crowd[0]) as Visit
      }
    ]

    const residentBefore = nodes.node(target).residentBytes()
    let residentMost = residentBefore
    const writesBefore = history.writes
    const deadline = performance.now() + seconds * 1000
    let visits = 0
    const letIn: Array<string> = []
    const refusals = new Set<string>()
    const knock = async () => {
      while (performance.now() < deadline) {
        const kind = random(kinds.length)
        const { welcomed, refusal } = await (kinds[kind] as () => Promise<Visit>)()
        visits++
        if (welcomed) letIn.push(`kind ${kind}`)
        if (refusal !== undefined) refusals.add(refusal)
        residentMost = Math.max(residentMost, nodes.node(target).residentBytes())
      }
    }
    await Promise.all(Array.from({ length: strangers }, knock))

    expect(letIn).toEqual([])
    expect([...refusals]).toContain("cluster.secret is not the same on both nodes")
    expect(nodes.node(target)).toMatchObject({ isRunning: true, pid })
    expect(residentMost - residentBefore).toBeLessThan(residentGrowthBytesMax)
    expect(visits).toBeGreaterThan(20)
    expect(history.writes).toBeGreaterThan(writesBefore)
    const lines = nodes
      .node(target)
      .output.split("\n")
      .filter((line) => line.includes("refused"))
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.length).toBeLessThanOrEqual(refusalLinesMax)
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({
        annotations: { reason: expect.stringMatching(/./), address: expect.stringMatching(/./) }
      })
    }

    // Whoever knows the secret is let in after all of that, and what it says behind it is nobody's trouble.
    await until(async () => (await introduce(port, 500, as(9, secret))).welcomed, "a node that knows the secret is let in")
    await introduce(port, 500, as(9, secret), [frameOf(noise(2_000)), huge])
    const more = history.writes + 20
    await until(() => history.writes >= more, "the cluster serves")
    await Promise.all(clients.map((client) => client.stop()))
    expect(checkLinearizability(registerModel, history.operations)).toEqual({ _tag: "Linearizable" })
    const mebibytes = (bytes: number) => Math.round(bytes / 1024 / 1024)
    console.info(
      `${visits} visits and ${lines.length} lines, ${history.writes} writes and ${history.reads} reads meanwhile, ` +
        `resident ${mebibytes(residentBefore)} to at most ${mebibytes(residentMost)} MiB`
    )
  })
})
