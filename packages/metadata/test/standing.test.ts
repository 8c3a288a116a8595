/** What a member finds out of its own standing: one without a log asks whom it was told of for the others. */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import type { StoredRaft } from "@effectmq/raft/RaftStore"
import type { ClusterNode } from "@effectmq/schemas/admin/Cluster"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import { emptyImage } from "../src/core/Image.js"
import { standing, type StandingParts } from "../src/internal/Standing.js"
import { Place } from "../src/internal/Place.js"
import { memberOf, until } from "./support/MemoryCluster.js"

const nothing = { voters: [], outgoingVoters: [], learners: [], members: [] }
const node = (nodeId: number, part: ClusterNode["part"]): ClusterNode => ({
  nodeId,
  name: `n${nodeId}`,
  version: "1",
  part,
  fenced: false,
  address: memberOf(nodeId).address
})

const partsOf = (raft: RaftNodeService, peers: ClusterPeersService, contacts: ReadonlyArray<number>): StandingParts => ({
  nodeId: 6,
  raft,
  peers,
  contacts: contacts.map(memberOf),
  clusterId: () => undefined,
  address: memberOf(6).address,
  place: new Place(6, { entries: [], snapshot: undefined } as unknown as StoredRaft, { image: () => emptyImage }),
  returned: Effect.void,
  waitsFor: () => undefined
})

it("a member without a log speaks to all that take part, as the first contact says that answers", async () => {
  const told: Array<ReadonlyArray<Member>> = []
  const raft = {
    status: () => ({ membership: nothing, leaderId: 0, fenced: undefined }) as unknown as RaftStatus,
    setContacts: (contacts: ReadonlyArray<Member>) => void told.push(contacts)
  } as unknown as RaftNodeService
  const unreachable = new PeerUnavailable({ reason: "unreachable", message: "nobody answers" })
  const answered = { nodes: [node(1, "voter"), node(3, "voter"), node(4, "outgoing"), node(6, "learner"), node(9, "observer")] }
  const peers = {
    at: ({ nodeId }: Member) => ({ status: nodeId === 1 ? Effect.fail(unreachable) : Effect.succeed(answered) })
  } as unknown as ClusterPeersService
  const waits: Array<string | undefined> = []
  const parts = { ...partsOf(raft, peers, [1, 2]), waitsFor: (what: string | undefined) => void waits.push(what) }
  const test = Effect.zipRight(
    Effect.forkScoped(standing(parts, 5)),
    Effect.promise(() => until(() => told.length > 0))
  )
  await Effect.runPromise(Effect.scoped(test))
  expect(told[0]).toEqual([1, 3, 4].map(memberOf))
  expect(waits[0]).toBe("effectmq cluster add 6 node6:1 on a node of the cluster")
})

it("where those it was told of were taken out, it finds the others through them, or says what to do", async () => {
  const told: Array<ReadonlyArray<Member>> = []
  const waits: Array<string | undefined> = []
  const raft = {
    status: () => ({ membership: nothing, leaderId: 0, fenced: undefined }) as unknown as RaftStatus,
    setContacts: (contacts: ReadonlyArray<Member>) => void told.push(contacts)
  } as unknown as RaftNodeService
  let isThere = false
  const unreachable = new PeerUnavailable({ reason: "unreachable", message: "nobody answers" })
  // Node 1 is out and knew nodes 3 and 4, which know node 5 as well.
  const old = { stale: true, nodes: [node(1, "observer"), node(3, "voter"), node(4, "voter")] }
  const now = { stale: false, nodes: [node(3, "voter"), node(4, "voter"), node(5, "voter")] }
  const peers = {
    at: ({ nodeId }: Member) => ({
      status: Effect.suspend(() =>
        nodeId === 1 ? Effect.succeed(old) : nodeId === 4 && isThere ? Effect.succeed(now) : Effect.fail(unreachable)
      )
    })
  } as unknown as ClusterPeersService
  const parts = { ...partsOf(raft, peers, [1, 2]), waitsFor: (what: string | undefined) => void waits.push(what) }
  const test = Effect.zipRight(
    Effect.forkScoped(standing(parts, 5)),
    Effect.promise(async () => {
      await until(() => waits.length >= 2)
      isThere = true
      await until(() => told.at(-1)?.length === 3)
      await until(() => waits.at(-1)?.startsWith("effectmq cluster add 6") === true)
    })
  )
  await Effect.runPromise(Effect.scoped(test))
  expect(waits[1]).toMatch(
    /^a node that knows who leads its cluster: none of 3 at node3:1, 4 at node4:1, 1 at node1:1, 2 at node2:1/
  )
  expect(waits[1]).toMatch(/cluster.nodes naming nodes that are in the cluster now$/)
  expect(told.at(-1)).toEqual([3, 4, 5].map(memberOf))
})
