/** What a node with an empty store makes of what the others say. */
import { votersMax } from "@effectmq/raft/core/MembershipChange"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import { introduce } from "../src/internal/Introduction.js"
import { memberOf, until } from "./support/MemoryCluster.js"

type Identity = Effect.Effect.Success<ReturnType<ReturnType<ClusterPeersService["at"]>["identify"]>>

const silent = Effect.fail(new PeerUnavailable({ reason: "unreachable", message: "" }))
const nothing = { storeId: "o", memberIds: [], holdsLog: false, isConfirmed: false }
const cluster = { storeId: "o", clusterId: "a", memberIds: [1, 2, 3], holdsLog: true, isConfirmed: true }

/** Node 3, whose store is "s", asks the others; each says what it is given, under its own number where none is given. */
const outcome = async (
  said: Readonly<Record<number, Partial<Identity> | undefined>>,
  first: ReadonlyArray<number> = [1, 2, 3],
  waitsFor: (what: string | undefined) => void = () => undefined
): Promise<unknown> => {
  const others = Object.keys(said).map((id) => memberOf(Number(id)))
  let rounds = 0
  const peers = {
    at: ({ nodeId }: { readonly nodeId: number }) => ({
      identify: () =>
        Effect.suspend((): Effect.Effect<unknown, PeerUnavailable> => {
          if (nodeId === others[0]?.nodeId) rounds++
          const answer = said[nodeId]
          return answer === undefined ? silent : Effect.succeed({ nodeId, ...answer })
        })
    })
  } as unknown as ClusterPeersService
  const parts = { nodeId: 3, storeId: "s", others, initialMembers: first.map(memberOf), peers, waitsFor }
  let ended: unknown
  const asking = Effect.runFork(
    Effect.match(introduce(parts), {
      onFailure: (error) => {
        ended = error._tag
      },
      onSuccess: (introduced) => {
        ended = introduced
      }
    })
  )
  await until(() => rounds >= 2 || ended !== undefined)
  await Effect.runPromise(Fiber.interrupt(asking))
  return ended ?? "waits"
}

describe("a node with an empty store", () => {
  it("begins a cluster where a majority besides it holds nothing of one, and not before", async () => {
    expect(await outcome({ 1: nothing, 2: nothing })).toBe("begins")
    expect(await outcome({ 1: nothing, 2: undefined })).toBe("waits")
    const five = [1, 2, 3, 4, 5]
    expect(await outcome({ 1: nothing, 2: nothing, 4: nothing, 5: undefined }, five)).toBe("begins")
    expect(await outcome({ 1: nothing, 2: nothing, 4: undefined, 5: undefined }, five)).toBe("waits")
  })

  it("joins one that is there and does not know it with another store", async () => {
    expect(await outcome({ 1: cluster, 2: nothing })).toBe("joins")
    expect(await outcome({ 1: { ...cluster, knownStoreId: "s" }, 2: nothing })).toBe("joins")
    expect(await outcome({ 1: { ...cluster, knownStoreId: "older" }, 2: nothing })).toBe("NodeIdTaken")
    expect(await outcome({ 1: cluster, 2: nothing }, [])).toBe("joins")
  })

  it("waits where the one that holds a log cannot say for sure", async () => {
    expect(await outcome({ 1: { ...cluster, isConfirmed: false }, 2: nothing })).toBe("waits")
    expect(await outcome({ 1: { ...cluster, clusterId: undefined }, 2: nothing })).toBe("waits")
  })

  it("says what it waits for, and what to do where those it was told of are in the cluster no more", async () => {
    let what: string | undefined
    const waitsFor = (now: string | undefined) => {
      what = now
    }
    expect(await outcome({ 1: undefined, 2: nothing }, [1, 2, 3], waitsFor)).toBe("waits")
    expect(what).toMatch(/a new cluster begins when most of the others are there\): 1 at node1:1$/)
    const out = { ...cluster, memberIds: [4, 5], isConfirmed: false }
    expect(await outcome({ 1: undefined, 2: out }, [], waitsFor)).toBe("waits")
    expect(what).toMatch(
      /not there, or without a leader: 1 at node1:1; taken out of the cluster: 2 at node2:1; if these were taken/
    )
    expect(what).toMatch(/start this node again with cluster.nodes naming nodes that are in the cluster now$/)
    expect(await outcome({ 1: cluster, 2: out }, [], waitsFor)).toBe("joins")
    expect(what).toBeUndefined()
  })

  it("does not begin one beside a cluster that it is not in", async () => {
    expect(await outcome({ 1: { ...cluster, memberIds: [1, 2] }, 2: nothing })).toBe("InvalidMembership")
    expect(await outcome({ 1: { ...cluster, memberIds: [1, 2] }, 2: nothing }, [])).toBe("joins")
  })

  it("does not count one that answers where another should be", async () => {
    expect(await outcome({ 1: { ...nothing, nodeId: 2 }, 2: nothing })).toBe("waits")
    expect(await outcome({ 1: { ...cluster, nodeId: 2 }, 2: undefined })).toBe("waits")
  })

  it("begins with nobody to ask, or waits to be added", async () => {
    expect(await outcome({}, [3])).toBe("begins")
    expect(await outcome({}, [])).toBe("joins")
    expect(await outcome({ 1: undefined }, [3])).toBe("begins")
  })

  it("begins one with as many voters as a cluster may have, and no more", async () => {
    const ids = (count: number) => Array.from({ length: count }, (_, at) => at + 1)
    const others = (count: number) => Object.fromEntries(ids(count).flatMap((id) => (id === 3 ? [] : [[id, nothing]])))
    expect(await outcome(others(votersMax), ids(votersMax))).toBe("begins")
    expect(await outcome(others(votersMax + 1), ids(votersMax + 1))).toBe("InvalidMembership")
  })
})
