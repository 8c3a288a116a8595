/** Signs of life: whom the leader counts as heard of, and what a node makes of the answer. */
import type { RaftNodeService } from "@effectmq/raft/RaftNode"
import type { NodeState } from "@effectmq/schemas/metadata/Node"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { expect, it } from "vitest"
import type { ClusterPeersService } from "../src/ClusterPeers.js"
import { hashToHex } from "../src/core/EntryChain.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { Replica } from "../src/core/Replica.js"
import { Table } from "../src/core/Table.js"
import { ImageView } from "../src/internal/ImageView.js"
import type { Leaders } from "../src/internal/Leaders.js"
import * as Liveness from "../src/internal/Liveness.js"
import * as MemberPeer from "../src/internal/MemberPeer.js"
import { Roll } from "../src/internal/Roll.js"
import { memberOf, until } from "./support/MemoryCluster.js"

/** What a member answers to node 2, which it knows with store "s", and whether it counts it as heard of. */
const heard = async (storeId: string | undefined, leadsInTerm: number) => {
  const view = new ImageView()
  const nodesById = Table.empty<NodeState>().set("2", { nodeId: 2, storeId: "s", fencedAtMs: undefined } as unknown as NodeState)
  const image: Image = { ...emptyImage, nodesById, version: 1 }
  view.show({ before: emptyImage, after: image, events: undefined })
  const roll = new Roll()
  const membership = { voters: [1], outgoingVoters: [], learners: [], members: [memberOf(1)] }
  const raft = { status: () => ({ leaderId: 1, membership }), readBarrier: Effect.never, takeSnapshot: Effect.never }
  const machine = { replica: new Replica(), view, leadsInTerm }
  const peer = MemberPeer.make({
    raft: raft as unknown as RaftNodeService,
    machine,
    roll
  } as unknown as MemberPeer.MemberPeerParts)
  const clockMs = 10_000_000
  const request = { nodeId: 2, index: 0, clockMs, ...(storeId === undefined ? {} : { storeId }) }
  const { registered } = await Effect.runPromise(peer.heartbeat(request))
  const isClockKnown = roll.passedMs([2], performance.now()) !== undefined
  return { registered, isThere: roll.isThere(2, performance.now(), 60_000), isClockKnown }
}

it("the leader counts a node as heard of where it comes with the store that it is known with", async () => {
  expect(await heard("s", 3)).toEqual({ registered: true, isThere: true, isClockKnown: true })
  expect(await heard("another", 3)).toEqual({ registered: false, isThere: false, isClockKnown: false })
  expect(await heard(undefined, 3)).toEqual({ registered: false, isThere: false, isClockKnown: false })
  expect(await heard("s", 0)).toEqual({ registered: true, isThere: false, isClockKnown: false })
})

/** What node 3 finds where node 1, which it takes for the leader, answers so. */
const divergence = async (leaderId: number, hash: string | undefined) => {
  let beats = 0
  let problem: string | undefined
  const peers = {
    at: () => ({
      heartbeat: () =>
        Effect.sync(() => {
          beats++
          return { leaderId, registered: true, fenced: false, ...(hash === undefined ? {} : { hash }) }
        })
    })
  } as unknown as ClusterPeersService
  const leaders: Leaders = {
    now: () => ({ member: memberOf(1), term: 1 }),
    heard: () => undefined,
    silent: () => undefined,
    after: () => Effect.never
  }
  const diverged = (found: string) => {
    problem = found
  }
  const parts = { nodeId: 3, storeId: "s", replica: new Replica(), leaders, peers, diverged }
  const beating = Effect.runFork(Liveness.heartbeats(parts, { ...Liveness.defaultOptions, heartbeatMs: 1 }))
  await until(() => beats >= 2)
  await Effect.runPromise(Fiber.interrupt(beating))
  return problem
}

it("a node finds that it has something else than the leader from the leader alone, and where both know the place", async () => {
  const other = "07".repeat(32)
  expect(await divergence(1, other)).toMatch(/is not what the leader, node 1, applied/)
  expect(await divergence(2, other)).toBeUndefined()
  expect(await divergence(1, undefined)).toBeUndefined()
  expect(await divergence(1, hashToHex(new Replica().point.hash))).toBeUndefined()
})
