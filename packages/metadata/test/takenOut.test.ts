/** When a member that hears of no leader takes itself for one that was taken out. */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import type { StoredRaft } from "@effectmq/raft/RaftStore"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { settledMembership, standing } from "../src/internal/Standing.js"
import { Place } from "../src/internal/Place.js"
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
const looked = async (
  said: ReadonlyArray<Identity | undefined>,
  {
    now = status,
    whenAsked = () => {}
  }: { now?: RaftStatus; whenAsked?: (change: (status: Partial<RaftStatus>) => void) => void } = {}
): Promise<{ readonly reason: string | undefined; readonly mayBeOut: boolean }> => {
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
  const place = new Place(3, { entries: [], snapshot: undefined } as unknown as StoredRaft, { image: () => emptyImage })
  const parts = { place, address: undefined, returned: Effect.void, waitsFor: () => undefined }
  const looks = Effect.runFork(
    Effect.scoped(standing({ nodeId: 3, raft, peers, contacts: [], clusterId: () => "a", ...parts }, 1))
  )
  await until(() => rounds >= 2 || reason !== undefined || (current.leaderId !== 0 && !place.mayBeOut))
  await Effect.runPromise(Fiber.interrupt(looks))
  return { reason, mayBeOut: place.mayBeOut }
}
const fencedWith = async (...args: Parameters<typeof looked>) => (await looked(...args)).reason

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

it("a member without a leader may be out while one of its cluster hears of one, as long as it hears of none itself", async () => {
  const doubts = async (...args: Parameters<typeof looked>) => (await looked(...args)).mayBeOut
  const unsettled = { ...without, membershipIndex: undefined }
  expect(await doubts([unsettled, undefined])).toBe(true)
  expect(await doubts([{ ...unsettled, isConfirmed: false }, undefined])).toBe(false)
  expect(await doubts([{ ...unsettled, clusterId: "b" }, undefined])).toBe(false)
  expect(await doubts([undefined, undefined])).toBe(false)
  expect(await doubts([unsettled, unsettled], { whenAsked: (change) => change({ leaderId: 2 }) })).toBe(false)
  expect(await doubts([unsettled, unsettled], { now: { ...status, leaderId: 2 } })).toBe(false)
})

it("tells only of a membership that is committed and final", () => {
  expect(settledMembership(status)).toEqual({ membershipIndex: 5 })
  expect(settledMembership({ ...status, membershipIndex: 10 })).toEqual({})
  expect(settledMembership({ ...status, membership: { ...status.membership, outgoingVoters: [1] } })).toEqual({})
})

describe("a member that was taken out while it is there", () => {
  const stored = { storeId: "s", entries: [], snapshot: undefined } as unknown as StoredRaft
  const without3 = { voters: [1, 2], outgoingVoters: [], learners: [], members: [1, 2].map(memberOf) }
  const out = { ...status, membership: without3, membershipIndex: 7 }
  const imageWith = (storeId: string): Image => ({ nodesById: new Map([["3", { nodeId: 3, storeId }]]) }) as unknown as Image

  it("says so, until it is taken in again", () => {
    const place = new Place(3, stored, { image: () => emptyImage })
    place.look(status)
    expect(place.reason).toBeUndefined()
    place.look(out)
    expect(place.reason).toMatch(/^it was taken out of the cluster, whose members are 1, 2 since entry 7: /)
    expect(place.error).toMatchObject({ _tag: "MetadataUnavailable", reason: "fenced" })
    place.look(status)
    expect([place.reason, place.error]).toEqual([undefined, undefined])
  })

  it("knows it after a new start: from its log, its snapshot or its image", () => {
    const entry = { kind: "membership", index: 5, term: 1, membership: status.membership }
    const snapshot = { membership: status.membership }
    const found = (had: object, image: Image = emptyImage) => {
      const place = new Place(3, { ...stored, ...had } as StoredRaft, { image: () => image })
      place.look(out)
      return place.reason !== undefined
    }
    expect([found({ entries: [entry] }), found({ snapshot }), found({}, imageWith("s"))]).toEqual([true, true, true])
    // One that waits to be taken in has the log of those that are in; another store under its number is not this one.
    expect([found({}), found({}, imageWith("other"))]).toEqual([false, false])
  })

  it("leaves the word to what stopped it for good", () => {
    const place = new Place(3, stored, { image: () => emptyImage })
    place.look(status)
    place.look({ ...out, fenced: "its disk is broken" })
    expect(place.reason).toBeUndefined()
  })

  it("and one that never was one are told apart, whoever says it", () => {
    const place = new Place(3, stored, { image: () => emptyImage })
    const joining = { kind: "joining", why: expect.stringMatching(/^is no member of the cluster, whose members are 1, 2 since /) }
    expect(place.look(out)).toEqual(joining)
    expect(place.look({ ...out, noSpace: "/data is full" })).toEqual({ kind: "noSpace", why: "/data is full" })
    expect(place.look(status)).toBeUndefined()
    expect(place.look(out)).toEqual({ kind: "takenOut", why: place.reason })
    expect(place.look({ ...status, fenced: "its disk is broken" })).toEqual({ kind: "fault", why: "its disk is broken" })
    place.wasToldWhy("node 1 says so")
    expect(place.look({ ...status, fenced: "node 1 says so" })).toEqual({ kind: "takenOut", why: "node 1 says so" })
  })
})
