/** What a leader answers to whoever wants a voter out of the cluster. */
import type { FollowerStatus, RaftNodeService } from "@effectmq/raft/RaftNode"
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import * as MemberPeer from "../src/internal/MemberPeer.js"
import type { MetadataMachine } from "../src/MetadataMachine.js"
import { memberOf } from "./support/MemoryCluster.js"

const follower = (nodeId: number, matchIndex: number, silentMs: number): FollowerStatus => ({
  nodeId,
  matchIndex,
  silentMs,
  state: "replicate"
})

/** Of node 1, which leads 1, 2 and 3; answers what became of it and which changes Raft was asked for. */
const remove = async (nodeId: number, ...followers: ReadonlyArray<FollowerStatus>) => {
  const asked: Array<unknown> = []
  const membership = { voters: [1, 2, 3], outgoingVoters: [], learners: [], members: [1, 2, 3].map(memberOf) }
  const raft = {
    status: () => ({ nodeId: 1, role: "leader", membership, followers }),
    changeMembership: (change: unknown) => Effect.sync(() => void asked.push(change)),
    readBarrier: Effect.never,
    takeSnapshot: Effect.never
  } as unknown as RaftNodeService
  const peer = MemberPeer.make({ raft, machine: {} as MetadataMachine } as MemberPeer.MemberPeerParts)
  const change = { _tag: "Remove", nodeId } as const
  const outcome = await Effect.runPromise(Effect.either(peer.changeMembership({ change, waitMsMax: 0 })))
  return { outcome, asked: asked.length }
}

it("a dead voter is taken out, and a living one where a majority of those that stay is there", async () => {
  expect(await remove(3, follower(2, 9, 50), follower(3, 9, 60_000))).toMatchObject({ outcome: { _tag: "Right" }, asked: 1 })
  expect(await remove(2, follower(2, 9, 50), follower(3, 9, 50))).toMatchObject({ outcome: { _tag: "Right" }, asked: 1 })
})

it("a voter is not taken out where that leaves no majority that is there", async () => {
  const refused = { outcome: { left: { _tag: "MetadataUnavailable", reason: "busy" } }, asked: 0 }
  expect(await remove(2, follower(2, 9, 50), follower(3, 9, 60_000))).toMatchObject(refused)
  // It never answered this leader.
  expect(await remove(2, follower(2, 9, 50), follower(3, 0, 50))).toMatchObject(refused)
})
