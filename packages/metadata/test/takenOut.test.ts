/** When a member that hears of no leader takes itself for one that was taken out. */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import { settledMembership, standing } from "../src/internal/Standing.js"
import { memberOf, until } from "./support/MemoryCluster.js"

type Identity = Effect.Effect.Success<ReturnType<ReturnType<ClusterPeersService["at"]>["identify"]>>

const status: RaftStatus = {
  nodeId: 3,
  role: "follower",
  term: 1,
  leaderId: 0,
  firstIndex: 1,
  lastIndex: 9,
  commitIndex: 9,
  appliedIndex: 9,
  snapshotIndex: 0,
  membershipIndex: 5,
  membership: { voters: [1, 2, 3], outgoingVoters: [], learners: [], members: [1, 2, 3].map(memberOf) },
  followers: [],
  fenced: undefined,
  noSpace: undefined
}

/** Without node 3 since entry 7. */
const without: Identity = {
  nodeId: 1,
  storeId: "s",
  clusterId: "a",
  memberIds: [1, 2],
  membershipIndex: 7,
  holdsLog: true,
  isConfirmed: true
}

/** What node 3 does with what nodes 1 and 2 say; undefined: silent. */
const fencedWith = async (
  said: ReadonlyArray<Identity | undefined>,
  {
    now = status,
    whenAsked = () => {}
  }: { now?: RaftStatus; whenAsked?: (change: (status: Partial<RaftStatus>) => void) => void } = {}
): Promise<string | undefined> => {
  let current = now
  let rounds = 0
  let reason: string | undefined
  const raft = {
    status: () => current,
    fence: (why: string) => {
      reason = why
    }
  } as unknown as RaftNodeService
  const peers = {
    at: ({ nodeId }: { readonly nodeId: number }) => ({
      identify: () =>
        Effect.suspend(() => {
          if (nodeId === 1) rounds++
          whenAsked((changed) => {
            current = { ...current, ...changed }
          })
          const answer = said[nodeId - 1]
          return answer === undefined
            ? Effect.fail(new PeerUnavailable({ reason: "unreachable", message: "" }))
            : Effect.succeed(answer)
        })
    })
  } as unknown as ClusterPeersService
  const looks = Effect.runFork(standing({ nodeId: 3, raft, peers, contacts: [], clusterId: () => "a" }, 1))
  await until(() => rounds >= 2 || reason !== undefined || current.leaderId !== 0)
  await Effect.runPromise(Fiber.interrupt(looks))
  return reason
}

describe("a member without a leader gives up its place", () => {
  it("where one says that a later membership is without it", async () => {
    expect(await fencedWith([without, undefined])).toMatch(/members are 1, 2 since entry 7, as node 1 says/)
  })

  it("not where that membership is none later than its own", async () => {
    expect(await fencedWith([{ ...without, membershipIndex: 5 }, undefined])).toBeUndefined()
    expect(await fencedWith([{ ...without, membershipIndex: undefined }, undefined])).toBeUndefined()
  })

  it("not where another one that is as late, or later, has it", async () => {
    const within = { ...without, nodeId: 2, memberIds: [1, 2, 3] }
    expect(await fencedWith([without, within])).toBeUndefined()
    expect(await fencedWith([within, without])).toBeUndefined()
    expect(await fencedWith([without, { ...within, membershipIndex: 8 }])).toBeUndefined()
    expect(await fencedWith([without, { ...within, membershipIndex: 6 }])).toBeDefined()
  })

  it("not where it is one of another cluster that says so", async () => {
    expect(await fencedWith([{ ...without, clusterId: "b" }, undefined])).toBeUndefined()
  })

  it("not where it hears of a leader, or of its own place, while it asks", async () => {
    expect(await fencedWith([without, without], { whenAsked: (change) => change({ leaderId: 2 }) })).toBeUndefined()
    expect(await fencedWith([without, without], { whenAsked: (change) => change({ membershipIndex: 7 }) })).toBeUndefined()
  })
})

it("tells only of a membership that is committed and final", () => {
  expect(settledMembership(status)).toEqual({ membershipIndex: 5 })
  expect(settledMembership({ ...status, membershipIndex: 10 })).toEqual({})
  expect(settledMembership({ ...status, membership: { ...status.membership, outgoingVoters: [1] } })).toEqual({})
})
