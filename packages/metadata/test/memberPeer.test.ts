/** What a member answers to whoever wants a voter out of the cluster, or has no log yet. */
import type { FollowerStatus, RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import { RaftUnavailable } from "@effectmq/raft/RaftUnavailable"
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { ImageView } from "../src/internal/ImageView.js"
import * as MemberPeer from "../src/internal/MemberPeer.js"
import type { MetadataMachine } from "../src/MetadataMachine.js"
import { memberOf } from "./support/MemoryCluster.js"

const follower = (nodeId: number, matchIndex: number, silentMs: number): FollowerStatus => ({
  nodeId,
  matchIndex,
  silentMs,
  state: "replicate"
})

/** With what Raft says of this member, and does where its membership is to change. */
const peerWith = (status: Partial<RaftStatus>, changed: (change: unknown) => void = () => undefined) => {
  const raft = {
    storeId: "a",
    status: () => status,
    changeMembership: (change: unknown) => Effect.sync(() => changed(change)),
    readBarrier: Effect.fail(new RaftUnavailable({ reason: "no-leader", message: "nobody leads" })),
    takeSnapshot: Effect.never
  } as unknown as RaftNodeService
  const machine = { view: new ImageView() } as MetadataMachine
  return MemberPeer.make({ raft, machine } as MemberPeer.MemberPeerParts)
}

/** Of node 1, which leads 1, 2 and 3; answers what became of it and which changes Raft was asked for. */
const remove = async (nodeId: number, ...followers: ReadonlyArray<FollowerStatus>) => {
  const asked: Array<unknown> = []
  const membership = { voters: [1, 2, 3], outgoingVoters: [], learners: [], members: [1, 2, 3].map(memberOf) }
  const peer = peerWith({ nodeId: 1, role: "leader", membership, followers }, (change) => asked.push(change))
  const change = { _tag: "Remove", nodeId } as const
  const outcome = Effect.runPromise(Effect.either(peer.changeMembership({ change, waitMsMax: 0 })))
  await vi.advanceTimersByTimeAsync(10_000)
  return { outcome: await outcome, asked: asked.length }
}

/** Heard of a moment ago, and never again. */
const justDied = (nodeId: number): FollowerStatus => {
  const diedMs = performance.now()
  return {
    ...follower(nodeId, 9, 0),
    get silentMs() {
      return performance.now() - diedMs
    }
  }
}

describe("a voter", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }))
  afterEach(() => void vi.useRealTimers())

  it("that is dead is taken out, and a living one where a majority of those that stay is there", async () => {
    expect(await remove(3, follower(2, 9, 50), follower(3, 9, 60_000))).toMatchObject({ outcome: { _tag: "Right" }, asked: 1 })
    expect(await remove(2, follower(2, 9, 50), follower(3, 9, 50))).toMatchObject({ outcome: { _tag: "Right" }, asked: 1 })
  })

  it("is not taken out where that leaves no majority that is there", async () => {
    const refused = { outcome: { left: { _tag: "InvalidMembership", nodeId: 2 } }, asked: 0 }
    expect(await remove(2, follower(2, 9, 50), follower(3, 9, 60_000))).toMatchObject(refused)
    expect(await remove(2, follower(2, 9, 50), justDied(3))).toMatchObject(refused)
    // It never answered this leader.
    expect(await remove(2, follower(2, 9, 50), follower(3, 0, 50))).toMatchObject(refused)
  })
})

it("a member that has its first entry alone, or a snapshot of that, holds nothing of a cluster", async () => {
  const membership = { voters: [1, 2, 3], outgoingVoters: [], learners: [], members: [1, 2, 3].map(memberOf) }
  const holdsLog = async (lastIndex: number, snapshotIndex: number) => {
    const status = { nodeId: 3, membership, membershipIndex: 1, commitIndex: 1, lastIndex, snapshotIndex }
    return (await Effect.runPromise(peerWith(status).identify({ nodeId: 1 }))).holdsLog
  }
  expect(await holdsLog(1, 0)).toBe(false)
  expect(await holdsLog(1, 1)).toBe(false)
  expect(await holdsLog(2, 0)).toBe(true)
  expect(await holdsLog(2, 2)).toBe(true)
})
