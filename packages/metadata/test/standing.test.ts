/** What a member finds out of its own standing: one without a log asks whom it was told of for the others. */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import type { ClusterNode } from "@effectmq/schemas/admin/Cluster"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import { standing } from "../src/internal/Standing.js"
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
  const parts = { nodeId: 6, raft, peers, contacts: [1, 2].map(memberOf), clusterId: () => undefined }
  const test = Effect.zipRight(
    Effect.forkScoped(standing(parts, 5)),
    Effect.promise(() => until(() => told.length > 0))
  )
  await Effect.runPromise(Effect.scoped(test))
  expect(told[0]).toEqual([1, 3, 4].map(memberOf))
})
