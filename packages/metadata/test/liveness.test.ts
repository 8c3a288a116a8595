/** Whom the leader fences and takes back, and when a node finds that the leader does not answer it. */
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { NodeState } from "@effectmq/schemas/metadata/Node"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type ClusterPeersService, type MetadataPeer, PeerUnavailable } from "../src/ClusterPeers.js"
import type { ControllerService } from "../src/Controller.js"
import { emptyImage } from "../src/core/Image.js"
import { Replica } from "../src/core/Replica.js"
import { Table } from "../src/core/Table.js"
import type { Leader, Leaders } from "../src/internal/Leaders.js"
import * as Liveness from "../src/internal/Liveness.js"
import { Roll } from "../src/internal/Roll.js"
import { memberOf } from "./support/MemoryCluster.js"

const running: Array<Fiber.RuntimeFiber<unknown>> = []
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }))
afterEach(async () => {
  for (const fiber of running.splice(0)) await Effect.runPromise(Fiber.interrupt(fiber))
  vi.useRealTimers()
})

const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const options = { heartbeatMs: 1_000, silentMsMax: 6_000 }

/** Node 1, which leads itself and node 2 where the test says so. */
const leading = (term: number) => {
  const submitted: Array<string> = []
  const roll = new Roll()
  const node = { term, fencedAtMs: undefined as number | undefined, refuses: 0 }
  const states = () =>
    [1, 2].reduce(
      (table, nodeId) =>
        table.set(String(nodeId), { nodeId, fencedAtMs: nodeId === 2 ? node.fencedAtMs : undefined } as unknown as NodeState),
      Table.empty<NodeState>()
    )
  const replica = {
    get image() {
      return { ...emptyImage, nodesById: states() }
    }
  } as unknown as Replica
  const controller = {
    submit: ({ _tag, nodeId }: MetadataCommand & { readonly nodeId: number }) =>
      Effect.suspend((): Effect.Effect<void, MetadataUnavailable> => {
        submitted.push(`${_tag} ${nodeId}`)
        if (node.refuses-- > 0) return Effect.fail(new MetadataUnavailable({ reason: "overloaded", message: "full" }))
        node.fencedAtMs = _tag === "FenceNode" ? 1 : undefined
        return Effect.void
      })
  } as unknown as ControllerService
  const parts = { nodeId: 1, leadsInTerm: () => node.term, replica, roll, controller }
  running.push(Effect.runFork(Liveness.fencing(parts, options)))
  const beats = async (count: number) => {
    for (let beat = 0; beat < count; beat++) {
      roll.heard(2, performance.now())
      await passes(options.heartbeatMs)
    }
  }
  return { beats, node, submitted }
}

describe("the leader", () => {
  it("fences a node that is silent for too long, once, and takes it back when it is heard of again", async () => {
    const { beats, submitted } = leading(3)
    await beats(10)
    expect(submitted).toEqual([])
    await passes(5_000)
    expect(submitted).toEqual([])
    await passes(10_000)
    expect(submitted).toEqual(["FenceNode 2"])
    await beats(5)
    expect(submitted).toEqual(["FenceNode 2", "UnfenceNode 2"])
  })

  it("tells with the next look what it could not tell now", async () => {
    const { node, submitted } = leading(3)
    node.refuses = 1
    await passes(10_000)
    expect(submitted).toEqual(["FenceNode 2", "FenceNode 2"])
  })

  it("alone fences, and gives everybody the whole time when it begins to lead", async () => {
    const { node, submitted } = leading(0)
    await passes(20_000)
    expect(submitted).toEqual([])
    node.term = 4
    await passes(6_000)
    expect(submitted).toEqual([])
    await passes(3_000)
    expect(submitted).toEqual(["FenceNode 2"])
  })
})

/** Of node 3, and for how many signs of life it took the leader for silent. */
const beating = async (leader: Leader | undefined, answer: ReturnType<MetadataPeer["heartbeat"]>) => {
  const seen = { beats: 0, silent: 0 }
  const peers = {
    at: () => ({
      heartbeat: () =>
        Effect.suspend(() => {
          seen.beats++
          return answer
        })
    })
  } as unknown as ClusterPeersService
  const leaders: Leaders = {
    now: () => leader,
    heard: () => undefined,
    silent: () => void seen.silent++,
    after: () => Effect.never
  }
  const parts = { nodeId: 3, storeId: "s", replica: new Replica(), leaders, peers, diverged: () => undefined }
  running.push(Effect.runFork(Liveness.heartbeats(parts, options)))
  await passes(4_500)
  return seen
}

describe("a node", () => {
  const leader = { member: memberOf(1), term: 2 }
  const answered = Effect.succeed({ leaderId: 1, registered: true, fenced: false })

  it("tells the leader that it is there with every beat, but not itself, and nobody where none leads", async () => {
    expect(await beating(leader, answered)).toEqual({ beats: 4, silent: 0 })
    expect(await beating({ member: memberOf(3), term: 2 }, answered)).toEqual({ beats: 0, silent: 0 })
    expect(await beating(undefined, answered)).toEqual({ beats: 0, silent: 0 })
  })

  it("takes the leader for silent that cannot be reached, or does not answer within a beat", async () => {
    const unreachable = new PeerUnavailable({ reason: "unreachable", message: "gone" })
    expect(await beating(leader, Effect.fail(unreachable))).toEqual({ beats: 4, silent: 4 })
    expect(await beating(leader, Effect.never)).toEqual({ beats: 2, silent: 2 })
  })
})
